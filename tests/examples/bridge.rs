//! `bridge`: the command-line bridge against the example gateway.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use axum::Router;
use axum::http::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::{Gateway, alice, text};
use crate::support::process::{example, run, run_with};

/// What a command that succeeds prints.
pub(super) fn printed(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The one line of a command that fails.
pub(super) fn complaint(output: &Output) -> String {
    complaint_with(1, output)
}

/// The one line of a command that needs a code first.
pub(super) fn signed_out(output: &Output) -> String {
    complaint_with(3, output)
}

fn complaint_with(exit: i32, output: &Output) -> String {
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(exit), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    stderr
}

pub(super) fn credential(home: &TempDir) -> PathBuf {
    home.path().join("bridge-auth/bridge.json")
}

pub(super) fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

/// A home in which alice's bridge is linked, and what it printed.
pub(super) async fn linked(gateway: &Gateway) -> (TempDir, String) {
    let home = tempfile::tempdir().unwrap();
    let code = gateway.code(alice(), None).await;
    let mut command = gateway.bridge(&home, &["link", "--device-name", "laptop"]);
    let said = printed(&run_with(&mut command, &format!("{code}\n")).await);
    (home, said)
}

/// What an operator does when alice's laptop is lost.
pub(super) async fn revoke_all(gateway: &Gateway) {
    let revoke = gateway.client.delete(gateway.url("/admin/users/alice/sessions"));
    let answer = revoke.bearer_auth(gateway.admin_token()).send().await.unwrap();
    // Her hooks' sessions among them.
    assert!(answer.json::<Value>().await.unwrap()["revoked"].as_u64() >= Some(1));
}

/// A home with a credential for a gateway at `url` that the test made itself.
pub(super) fn home_with_credential_for(url: &str) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let file = credential(&home);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let content = json!({ "gateway": url, "token": "a.b.c", "ttl": 60, "headers": {} });
    std::fs::write(&file, content.to_string()).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    home
}

#[tokio::test]
async fn a_bridge_links_calls_lists_provisions_and_logs_out() {
    let gateway = Gateway::start(&[]).await;
    let (home, said) = linked(&gateway).await;
    let kept = std::fs::read_to_string(credential(&home)).unwrap();
    let session = text(&serde_json::from_str::<Value>(&kept).unwrap()["headers"], "x-session-id");
    assert_eq!(said, format!("linked as alice in session {session} for 3600 s\n"));
    assert_eq!(mode(&credential(&home)), 0o600);

    let who = run(&mut gateway.bridge(&home, &["call", "/v1/whoami"])).await;
    let who: Value = serde_json::from_str(&printed(&who)).unwrap();
    assert_eq!((who["user_id"].as_str(), who["session_id"].as_str()), (Some("alice"), Some(&*session)));

    for arguments in
        [&["call", "POST", "/v1/messages", "--data", "[1]"][..], &["call", "/v1/messages", "--data", "-"]]
    {
        let sent = run_with(&mut gateway.bridge(&home, arguments), "[1]").await;
        let received: Value = serde_json::from_str(&printed(&sent)).unwrap();
        assert_eq!(received["body"], json!([1]));
        assert_eq!(received["headers"]["x-session-id"], *session);
    }

    let sessions = printed(&run(&mut gateway.bridge(&home, &["sessions"])).await);
    assert_eq!(sessions.lines().count(), 1);
    assert!(sessions.starts_with(&format!("* {session}  bridge  laptop  127.0.0.1  ")), "{sessions}");

    let provisioned = printed(&run(&mut gateway.bridge(&home, &["provision"])).await);
    let provisioned: Value = serde_json::from_str(&provisioned).unwrap();
    assert_eq!(provisioned["client_id"], "bridge:alice");
    assert_eq!(text(&provisioned, "client_secret").len(), 43);

    let token = text(&serde_json::from_str(&kept).unwrap(), "token");
    assert_eq!(printed(&run(&mut gateway.bridge(&home, &["logout"])).await), "logged out\n");
    assert!(!credential(&home).exists());
    assert_eq!(gateway.get("/v1/whoami", &token).await.status(), 401);
    let refused = signed_out(&run(&mut gateway.bridge(&home, &["call", "/v1/whoami"])).await);
    assert!(refused.contains("there is no credential"), "{refused}");
}

#[tokio::test]
async fn a_code_that_is_bound_to_a_challenge_is_linked_by_who_made_it_alone() {
    let gateway = Gateway::start(&[]).await;
    let (home, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let challenge = printed(&run(&mut gateway.bridge(&home, &["challenge"])).await);
    let verifier = credential(&home).with_extension("json.verifier");
    assert_eq!(mode(&verifier), 0o600);
    let code = gateway.code(alice(), Some(challenge.trim())).await;

    let stolen = complaint(&run(&mut gateway.bridge(&elsewhere, &["link", &code])).await);
    assert!(stolen.starts_with("error: cannot link: the gateway refused (400"), "{stolen}");
    let aside = run(&mut gateway.bridge(&home, &["link", "--no-pkce", &code])).await;
    assert!(complaint(&aside).starts_with("error: cannot link: the gateway refused (400"));

    let unbound = gateway.code(alice(), None).await;
    let refused = complaint(&run(&mut gateway.bridge(&home, &["link", &unbound])).await);
    assert!(refused.contains("use --no-pkce to link without it"), "{refused}");
    printed(&run(&mut gateway.bridge(&home, &["link", "--no-pkce", &unbound])).await);

    printed(&run(&mut gateway.bridge(&home, &["link", &code])).await);
    assert!(!verifier.exists());
    printed(&run(&mut gateway.bridge(&home, &["call", "/v1/whoami"])).await);
}

#[tokio::test]
async fn a_bridge_may_ask_for_a_session_id() {
    let gateway = Gateway::start(&[]).await;
    let home = tempfile::tempdir().unwrap();
    let code = gateway.code(alice(), None).await;
    let said = printed(&run(&mut gateway.bridge(&home, &["link", &code, "--session-id", "my-laptop"])).await);
    assert_eq!(said, "linked as alice in session my-laptop for 3600 s\n");
}

#[tokio::test]
async fn a_bridge_whose_session_is_over_logs_out_all_the_same() {
    let gateway = Gateway::start(&[]).await;
    let (home, _) = linked(&gateway).await;
    revoke_all(&gateway).await;
    assert_eq!(printed(&run(&mut gateway.bridge(&home, &["logout"])).await), "logged out\n");
    assert!(!credential(&home).exists());
}

#[tokio::test]
async fn a_credential_that_others_can_read_is_not_used() {
    let gateway = Gateway::start(&[]).await;
    let (home, _) = linked(&gateway).await;
    std::fs::set_permissions(credential(&home), std::fs::Permissions::from_mode(0o640)).unwrap();
    let refused = complaint(&run(&mut gateway.bridge(&home, &["call", "/v1/whoami"])).await);
    assert!(refused.contains("run `chmod 600 "), "{refused}");
}

#[tokio::test]
async fn a_credential_is_shown_to_its_own_gateway_alone() {
    let gateway = Gateway::start(&[]).await;
    let (home, _) = linked(&gateway).await;
    let mut other = gateway.bridge(&home, &["--gateway", "https://other.example", "call", "/v1/whoami"]);
    let refused = complaint(&run(&mut other).await);
    assert!(refused.contains("is not shown to https://other.example"), "{refused}");
    let outside = complaint(&run(&mut gateway.bridge(&home, &["call", "https://other.example/"])).await);
    assert!(outside.contains("a path begins with '/'"), "{outside}");
    let host = complaint(&run(&mut gateway.bridge(&home, &["call", "//other.example/"])).await);
    assert!(host.contains("404"), "{host}");
}

#[tokio::test]
async fn a_token_is_not_sent_in_the_clear_over_a_network() {
    let home = tempfile::tempdir().unwrap();
    let link = ["--gateway", "http://gateway.example", "link", "0"];
    let refused = complaint(&run(example("bridge", home.path()).args(link)).await);
    assert!(refused.contains("plain http would show the token"), "{refused}");
}

#[tokio::test]
async fn a_gateway_that_cannot_check_is_no_reason_to_link_again() {
    let busy = Router::new().fallback(|| async { (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "7")]) });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let home = home_with_credential_for(&format!("http://{}", listener.local_addr().unwrap()));
    tokio::spawn(async move { axum::serve(listener, busy).await });
    for command in [&["call", "/"][..], &["logout"]] {
        let told = complaint(&run(example("bridge", home.path()).args(command)).await);
        assert!(told.contains("(503)") && told.contains("try again in 7 s"), "{told}");
    }
    assert!(credential(&home).exists());
}

#[tokio::test]
async fn a_gateway_that_is_not_there_is_named() {
    let home = home_with_credential_for("http://127.0.0.1:1");
    let told = complaint(&run(example("bridge", home.path()).args(["call", "/"])).await);
    assert!(told.starts_with("error: cannot reach http://127.0.0.1:1/: "), "{told}");
}
