//! `bridge token`, `bridge status` and `bridge logout`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use super::bridge::{complaint, credential, linked, printed, revoke_all, signed_out};
use super::relay::{Relayed, Tokens};
use super::renewal::{ALMOST_AN_HOUR, OVER_AN_HOUR, age, kept};
use super::{Gateway, text};
use crate::support::process::{example, run};

async fn token(gateway: &Gateway, home: &TempDir) -> String {
    let said = printed(&run(&mut gateway.bridge(home, &["token"])).await);
    let token = said.strip_suffix('\n').unwrap();
    assert!(!token.contains(char::is_whitespace), "{said}");
    token.to_owned()
}

#[tokio::test]
async fn a_token_is_printed_alone_and_is_let_in() {
    let gateway = Gateway::start(&[]).await;
    let (home, _) = linked(&gateway).await;
    let token = token(&gateway, &home).await;
    assert_eq!(gateway.get("/v1/whoami", &token).await.status(), 200);

    let output = run(&mut gateway.bridge(&home, &["token", "--json"])).await;
    assert!(output.stderr.is_empty());
    let said: Value = serde_json::from_str(&printed(&output)).unwrap();
    assert_eq!(said.as_object().unwrap().len(), 2, "{said}");
    assert_eq!(said["token"], token);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let left = said["expires_at"].as_u64().unwrap() - now;
    assert!((3500..=3600).contains(&left), "{left}");
}

#[tokio::test]
async fn a_token_near_its_end_is_renewed_first() {
    let relayed = Relayed::start(&[]).await;
    let (home, _) = linked(&relayed.gateway).await;
    let first = token(&relayed.gateway, &home).await;
    assert_eq!(token(&relayed.gateway, &home).await, first);
    assert_eq!(relayed.token_answers(), 0);
    for due in [ALMOST_AN_HOUR, OVER_AN_HOUR] {
        age(&home, due);
        let renewed = token(&relayed.gateway, &home).await;
        assert_ne!(renewed, first);
        assert_eq!(relayed.gateway.get("/v1/whoami", &renewed).await.status(), 200);
    }
    assert_eq!(relayed.token_answers(), 2);
}

#[tokio::test]
async fn twenty_programs_that_ask_at_once_cost_one_refresh() {
    for due in [ALMOST_AN_HOUR, OVER_AN_HOUR] {
        let relayed = Relayed::start(&[]).await;
        let gateway = &relayed.gateway;
        let (home, _) = linked(gateway).await;
        age(&home, due);
        let mut commands: Vec<Command> = (0..20).map(|_| gateway.bridge(&home, &["token"])).collect();
        let tokens = join_all(commands.iter_mut().map(run)).await;
        assert_eq!(relayed.token_answers(), 1);
        for output in tokens {
            let token = printed(&output);
            assert_eq!(gateway.get("/v1/whoami", token.trim()).await.status(), 200);
        }
    }
}

#[tokio::test]
async fn a_token_that_is_still_good_needs_no_gateway() {
    let relayed = Relayed::start(&[]).await;
    let gateway = &relayed.gateway;
    let (home, _) = linked(gateway).await;
    let first = token(gateway, &home).await;
    // It is due, and someone else has been renewing it for a while.
    relayed.tokens(Tokens::AnswerLost);
    age(&home, ALMOST_AN_HOUR);
    let mut first_process = gateway.bridge(&home, &["token"]).spawn().unwrap();
    while relayed.token_answers() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(token(gateway, &home).await, first);
    first_process.kill().await.unwrap();
    relayed.tokens(Tokens::Busy);
    assert_eq!(token(gateway, &home).await, first);

    let gateway = Gateway::start(&[]).await;
    let (home, _) = linked(&gateway).await;
    let first = token(&gateway, &home).await;
    let url = gateway.running.url.clone();
    gateway.stop().await;
    for (arguments, life) in
        [(&[][..], Duration::ZERO), (&["--check"], Duration::ZERO), (&[], ALMOST_AN_HOUR)]
    {
        age(&home, life);
        let said = run(example("bridge", home.path()).arg("token").args(arguments)).await;
        assert_eq!(printed(&said), format!("{first}\n"));
    }
    age(&home, OVER_AN_HOUR);
    let told = complaint(&run(example("bridge", home.path()).arg("token")).await);
    assert!(told.starts_with(&format!("error: cannot reach {url}/: ")), "{told}");
}

#[tokio::test]
async fn a_program_without_a_token_learns_why() {
    let gateway = Gateway::start(&[]).await;
    let empty = tempfile::tempdir().unwrap();
    let output = run(&mut gateway.bridge(&empty, &["token"])).await;
    assert!(output.stdout.is_empty());
    let told = signed_out(&output);
    assert!(told.starts_with("error: there is no credential: run `bridge login`"), "{told}");

    let (home, _) = linked(&gateway).await;
    revoke_all(&gateway).await;
    let login = format!("sign in again: bridge login {}/", gateway.running.url);
    let ended = format!("error: this device was signed out; {login}\n");
    // The token itself is still good for an hour, so only the gateway knows.
    let output = run(&mut gateway.bridge(&home, &["token", "--check"])).await;
    assert!(output.stdout.is_empty());
    assert_eq!(signed_out(&output), ended);
    assert_eq!(signed_out(&run(&mut gateway.bridge(&home, &["token"])).await), ended);
    assert_eq!(signed_out(&run(&mut gateway.bridge(&home, &["status"])).await), ended);

    let (home, _) = linked(&gateway).await;
    revoke_all(&gateway).await;
    age(&home, OVER_AN_HOUR);
    let mut commands: Vec<Command> = (0..8).map(|_| gateway.bridge(&home, &["token"])).collect();
    for output in join_all(commands.iter_mut().map(run)).await {
        assert_eq!(signed_out(&output), ended);
    }
}

#[tokio::test]
async fn the_status_says_who_where_and_until_when() {
    let gateway = Gateway::start(&[]).await;
    let (home, _) = linked(&gateway).await;
    let session = text(&kept(&home)["headers"], "x-session-id");
    let said = printed(&run(&mut gateway.bridge(&home, &["status"])).await);
    let url = &gateway.running.url;
    assert_eq!(
        said,
        format!(
            "signed in to {url}/ as alice\n\
             session {session}: ends in 13 days unless it is renewed, and in 29 days at the latest\n\
             token of sp_bridge: good for 59 min, then it is renewed\n"
        )
    );
    let said = printed(&run(&mut gateway.bridge(&home, &["status", "--json"])).await);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((said["user_id"].as_str(), said["session_id"].as_str()), (Some("alice"), Some(&*session)));
    for time in ["token_expires_at", "session_expires_at", "session_ends_at"] {
        assert!(said[time].is_u64(), "{said}");
    }
}

#[tokio::test]
async fn a_refresh_token_is_never_shown() {
    let gateway = Gateway::start(&[]).await;
    let (home, _) = linked(&gateway).await;
    let secret = text(&kept(&home), "refresh_token");
    for command in
        [&["token"][..], &["token", "--json"], &["token", "--check"], &["status"], &["status", "--json"]]
    {
        let output = run(&mut gateway.bridge(&home, command)).await;
        assert!(!printed(&output).contains(&secret), "{command:?}");
        assert!(output.stderr.is_empty());
    }
}

#[tokio::test]
async fn a_logout_needs_no_token_that_is_good() {
    let relayed = Relayed::start(&[]).await;
    let gateway = &relayed.gateway;
    let (home, _) = linked(gateway).await;
    let session = token(gateway, &home).await;
    age(&home, OVER_AN_HOUR);
    assert_eq!(printed(&run(&mut gateway.bridge(&home, &["logout"])).await), "logged out\n");
    assert_eq!(relayed.token_answers(), 0);
    assert!(!credential(&home).exists());
    // The whole session has ended, and with it the token that the machine's clock held for expired.
    assert_eq!(gateway.get("/v1/whoami", &session).await.status(), 401);
    let told = signed_out(&run(&mut gateway.bridge(&home, &["logout"])).await);
    assert!(told.contains("there is no credential"), "{told}");
}
