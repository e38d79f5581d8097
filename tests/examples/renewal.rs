//! `bridge`: a session that lasts, with nobody there.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::sleep;

use super::bridge::{complaint, credential, linked, mode, printed, revoke_all, signed_out};
use super::relay::{Relayed, Tokens};
use super::{Gateway, alice, text};
use crate::support::process::{Running, example, run, run_with, start};

/// What the bridge keeps.
pub(super) fn kept(home: &TempDir) -> Value {
    serde_json::from_slice(&std::fs::read(credential(home)).unwrap()).unwrap()
}

/// Makes the kept token as old as this.
pub(super) fn age(home: &TempDir, age: Duration) {
    let mut kept = kept(home);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    kept["asked_at"] = json!(u64::try_from((now - age).as_millis()).unwrap());
    // In its place: the file keeps its mode.
    std::fs::write(credential(home), kept.to_string()).unwrap();
}

pub(super) const ALMOST_AN_HOUR: Duration = Duration::from_secs(3500);
pub(super) const OVER_AN_HOUR: Duration = Duration::from_secs(3700);

/// The proxy of the person who lives in `home`, whose local key is `key`.
async fn serve(gateway: &Gateway, home: &TempDir) -> Running {
    start(&mut gateway.bridge(home, &["serve", "--listen", "127.0.0.1:0", "--key", "key"])).await
}

async fn ask(gateway: &Gateway, proxy: &Running) -> StatusCode {
    let request = gateway.client.get(format!("{}/v1/whoami", proxy.url)).bearer_auth("key");
    request.send().await.unwrap().status()
}

/// Asks again and again until the proxy answers so.
async fn ask_until(gateway: &Gateway, proxy: &Running, expected: u16) {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let status = ask(gateway, proxy).await;
        if status == expected {
            return;
        }
        assert!(Instant::now() < until, "{status}");
        sleep(Duration::from_millis(50)).await;
    }
}

async fn whoami(gateway: &Gateway, home: &TempDir) -> Value {
    let who = run(&mut gateway.bridge(home, &["call", "/v1/whoami"])).await;
    serde_json::from_str(&printed(&who)).unwrap()
}

#[tokio::test]
async fn a_bridge_that_serves_renews_by_itself_for_many_token_lives() {
    let relayed = Relayed::start(&["--token-life", "2"]).await;
    let gateway = &relayed.gateway;
    let (home, _) = linked(gateway).await;
    let session = kept(&home)["headers"]["x-session-id"].clone();
    let proxy = serve(gateway, &home).await;
    while relayed.token_answers() < 4 {
        assert_eq!(ask(gateway, &proxy).await, 200);
    }
    assert_eq!(whoami(gateway, &home).await["session_id"], session);
    assert_eq!(mode(&credential(&home)), 0o600);
}

#[tokio::test]
async fn a_command_renews_a_token_that_is_due_and_no_other() {
    let relayed = Relayed::start(&[]).await;
    let (home, _) = linked(&relayed.gateway).await;
    let first = kept(&home);
    whoami(&relayed.gateway, &home).await;
    assert_eq!(relayed.token_answers(), 0);
    for due in [ALMOST_AN_HOUR, OVER_AN_HOUR] {
        age(&home, due);
        let before = relayed.token_answers();
        whoami(&relayed.gateway, &home).await;
        assert_eq!(relayed.token_answers(), before + 1);
    }
    let renewed = kept(&home);
    assert_ne!(first["token"], renewed["token"]);
    assert_ne!(first["refresh_token"], renewed["refresh_token"]);
    assert_eq!(first["headers"], renewed["headers"]);
}

#[tokio::test]
async fn thirty_two_calls_at_once_through_one_proxy_make_one_refresh() {
    let relayed = Relayed::start(&[]).await;
    let gateway = &relayed.gateway;
    let (home, _) = linked(gateway).await;
    age(&home, OVER_AN_HOUR);
    let proxy = serve(gateway, &home).await;
    let answers = join_all((0..32).map(|_| ask(gateway, &proxy))).await;
    assert!(answers.iter().all(StatusCode::is_success), "{answers:?}");
    assert_eq!(relayed.token_answers(), 1);
}

#[tokio::test]
async fn many_processes_at_once_make_one_refresh() {
    let relayed = Relayed::start(&[]).await;
    let gateway = &relayed.gateway;
    let (home, _) = linked(gateway).await;
    age(&home, OVER_AN_HOUR);
    let mut commands: Vec<Command> =
        (0..16).map(|_| gateway.bridge(&home, &["call", "/v1/whoami"])).collect();
    for output in join_all(commands.iter_mut().map(run)).await {
        printed(&output);
    }
    assert_eq!(relayed.token_answers(), 1);
}

#[tokio::test]
async fn two_processes_keep_one_session_alive() {
    let relayed = Relayed::start(&["--token-life", "2"]).await;
    let gateway = &relayed.gateway;
    let (home, _) = linked(gateway).await;
    let (one, other) = (serve(gateway, &home).await, serve(gateway, &home).await);
    while relayed.token_answers() < 4 {
        assert_eq!(ask(gateway, &one).await, 200);
        assert_eq!(ask(gateway, &other).await, 200);
    }
}

#[tokio::test]
async fn a_bridge_that_is_killed_in_the_middle_of_a_refresh_carries_on() {
    let relayed = Relayed::start(&[]).await;
    let gateway = &relayed.gateway;
    let (home, _) = linked(gateway).await;
    age(&home, OVER_AN_HOUR);
    relayed.tokens(Tokens::AnswerLost);
    let mut cut_off = gateway.bridge(&home, &["call", "/v1/whoami"]).spawn().unwrap();
    while relayed.token_answers() == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    cut_off.kill().await.unwrap();
    relayed.tokens(Tokens::Answered);
    // The token that is kept was used, and the one that took its place is known to nobody.
    assert_eq!(whoami(gateway, &home).await["user_id"], "alice");
    assert_eq!(relayed.token_answers(), 2);
    age(&home, OVER_AN_HOUR);
    whoami(gateway, &home).await;
}

#[tokio::test]
async fn a_bridge_that_is_killed_at_any_moment_keeps_its_session() {
    let relayed = Relayed::start(&[]).await;
    let gateway = &relayed.gateway;
    let (home, _) = linked(gateway).await;
    for delay in (0..20).map(|step| Duration::from_millis(5 * step)) {
        age(&home, OVER_AN_HOUR);
        let mut cut_off = gateway.bridge(&home, &["call", "/v1/whoami"]).spawn().unwrap();
        sleep(delay).await;
        cut_off.kill().await.unwrap();
    }
    age(&home, OVER_AN_HOUR);
    assert_eq!(whoami(gateway, &home).await["user_id"], "alice");
}

#[tokio::test]
async fn a_disk_that_is_full_costs_no_session() {
    let relayed = Relayed::start(&[]).await;
    let gateway = &relayed.gateway;
    let (home, _) = linked(gateway).await;
    age(&home, OVER_AN_HOUR);
    let bridge = example("bridge", home.path());
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" call /v1/whoami"])
        .arg(bridge.as_std().get_program())
        .env("XDG_DATA_HOME", home.path())
        .env_remove("BRIDGE_CREDENTIAL");
    let refused = complaint(&run(&mut shell).await);
    assert!(refused.contains("cannot write"), "{refused}");
    assert_eq!(relayed.token_answers(), 0);
    whoami(gateway, &home).await;
}

#[tokio::test]
async fn a_gateway_that_cannot_renew_now_costs_no_credential() {
    let relayed = Relayed::start(&[]).await;
    let gateway = &relayed.gateway;
    let (home, _) = linked(gateway).await;
    relayed.tokens(Tokens::Busy);
    age(&home, ALMOST_AN_HOUR);
    whoami(gateway, &home).await;
    age(&home, OVER_AN_HOUR);
    let told = complaint(&run(&mut gateway.bridge(&home, &["call", "/v1/whoami"])).await);
    assert!(told.contains("(503)") && told.contains("try again in 60 s"), "{told}");
    relayed.tokens(Tokens::Answered);
    whoami(gateway, &home).await;
}

#[tokio::test]
async fn a_gateway_that_was_down_is_come_back_to() {
    let gateway = Gateway::start(&["--token-life", "2"]).await;
    let (home, _) = linked(&gateway).await;
    let address = gateway.running.url.strip_prefix("http://").unwrap().to_owned();
    let proxy = serve(&gateway, &home).await;
    ask_until(&gateway, &proxy, 200).await;
    let (client, folder) = (gateway.client.clone(), gateway.stop().await);
    let down = client.get(format!("{}/v1/whoami", proxy.url)).bearer_auth("key").send().await.unwrap();
    assert!(down.status().is_server_error(), "{}", down.status());
    assert_eq!(down.headers()["content-type"], "application/problem+json");
    // Longer than the token lives.
    sleep(Duration::from_secs(3)).await;
    let gateway = Gateway::start_at(folder, &address, &["--token-life", "2"]).await;
    ask_until(&gateway, &proxy, 200).await;
}

#[tokio::test]
async fn a_bridge_that_was_signed_out_says_so_and_is_linked_again() {
    let gateway = Gateway::start(&[]).await;
    let (home, _) = linked(&gateway).await;
    revoke_all(&gateway).await;
    let told = signed_out(&run(&mut gateway.bridge(&home, &["call", "/v1/whoami"])).await);
    let login = format!("sign in again: bridge login {}/", gateway.running.url);
    assert_eq!(told, format!("error: this device was signed out; {login}\n"));
    assert!(!credential(&home).exists());
    // Not only the process that found out.
    assert_eq!(signed_out(&run(&mut gateway.bridge(&home, &["call", "/v1/whoami"])).await), told);

    let code = gateway.code(alice(), None).await;
    printed(&run_with(&mut gateway.bridge(&home, &["link", "-"]), &code).await);
    whoami(&gateway, &home).await;
    revoke_all(&gateway).await;
    let code = gateway.code(alice(), None).await;
    let relinked = run_with(&mut gateway.bridge(&home, &["--relink", "call", "/v1/whoami"]), &code).await;
    let said = printed(&relinked);
    assert!(said.starts_with("linked as alice ") && said.contains(r#""user_id":"alice""#), "{said}");
}

#[tokio::test]
async fn a_proxy_that_was_signed_out_says_so_and_takes_the_next_link() {
    let gateway = Gateway::start(&[]).await;
    let (home, _) = linked(&gateway).await;
    let proxy = serve(&gateway, &home).await;
    assert_eq!(ask(&gateway, &proxy).await, 200);
    revoke_all(&gateway).await;
    for _ in 0..2 {
        let request = gateway.client.get(format!("{}/v1/whoami", proxy.url)).bearer_auth("key");
        let refused = request.send().await.unwrap();
        assert_eq!(refused.status(), 401);
        let problem: Value = refused.json().await.unwrap();
        assert!(
            text(&problem, "detail").starts_with("this device was signed out; sign in again: bridge login")
        );
    }
    let code = gateway.code(alice(), None).await;
    printed(&run_with(&mut gateway.bridge(&home, &["link", "-"]), &code).await);
    assert_eq!(ask(&gateway, &proxy).await, 200);
}

#[tokio::test]
async fn a_gateway_that_says_it_is_another_gets_no_refresh_token() {
    let gateway = Gateway::start(&["--issuer", "https://gateway.example"]).await;
    let (home, _) = linked(&gateway).await;
    age(&home, OVER_AN_HOUR);
    let refused = complaint(&run(&mut gateway.bridge(&home, &["call", "/v1/whoami"])).await);
    assert!(refused.contains("says that it is https://gateway.example"), "{refused}");
    assert!(Path::exists(&credential(&home)));
}
