//! `bridge hook-token`.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::bridge::{complaint, credential, linked, mode, printed, revoke_all, signed_out};
use super::{Gateway, text};
use crate::support::process::run;

async fn hook_token(gateway: &Gateway, home: &TempDir, arguments: &[&str]) -> String {
    let output = run(&mut gateway.bridge(home, &[&["hook-token"], arguments].concat())).await;
    printed(&output).trim_end().to_owned()
}

async fn track(gateway: &Gateway, token: &str) -> u16 {
    let request = gateway.client.post(gateway.url("/v1/track")).bearer_auth(token);
    request.send().await.unwrap().status().as_u16()
}

fn hooks(home: &TempDir) -> std::path::PathBuf {
    credential(home).with_extension("json.hooks")
}

fn kept(home: &TempDir) -> Value {
    serde_json::from_slice(&std::fs::read(hooks(home)).unwrap()).unwrap()
}

#[tokio::test]
async fn a_hook_token_is_fetched_kept_used_revoked_and_refused() {
    let gateway = Gateway::start(&[]).await;
    let (home, _) = linked(&gateway).await;
    let token = hook_token(&gateway, &home, &[]).await;
    assert_eq!(track(&gateway, &token).await, 200);
    assert_eq!(mode(&hooks(&home)), 0o600);
    assert_eq!(hook_token(&gateway, &home, &[]).await, token);

    let client = kept(&home);
    let form = [("token", token.as_str())];
    let revoke = gateway.client.post(gateway.url("/v1/auth/bridge/revoke"));
    let revoke = revoke.basic_auth(text(&client, "client_id"), Some(text(&client, "client_secret")));
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let revoke = revoke.header("content-type", "application/x-www-form-urlencoded").body(body);
    assert_eq!(revoke.send().await.unwrap().status(), 200);
    assert_eq!(track(&gateway, &token).await, 401);

    let next = hook_token(&gateway, &home, &["--new"]).await;
    assert_eq!(track(&gateway, &next).await, 200);
    assert_eq!(kept(&home)["client_secret"], client["client_secret"]);

    revoke_all(&gateway).await;
    assert_eq!(track(&gateway, &next).await, 401);
    let told = signed_out(&run(&mut gateway.bridge(&home, &["hook-token", "--new"])).await);
    assert!(told.contains("this device was signed out"), "{told}");
    assert!(!hooks(&home).exists());
}

#[tokio::test]
async fn a_hook_token_is_good_for_what_was_asked() {
    let gateway = Gateway::start(&[]).await;
    let (home, _) = linked(&gateway).await;
    let all = hook_token(&gateway, &home, &[]).await;
    let narrow = hook_token(&gateway, &home, &["--scope", "hook:govern"]).await;
    assert_ne!(all, narrow);
    assert_eq!(track(&gateway, &narrow).await, 403);
    assert_eq!(hook_token(&gateway, &home, &["--scope", "hook:govern"]).await, narrow);
    assert_eq!(hook_token(&gateway, &home, &[]).await, all);
    for (option, value, error) in
        [("--scope", "admin", "invalid_scope"), ("--resource", "https://other.example", "invalid_target")]
    {
        let refused = run(&mut gateway.bridge(&home, &["hook-token", option, value])).await;
        let refused = complaint(&refused);
        assert!(refused.contains(error), "{refused}");
    }
}

#[tokio::test]
async fn a_hook_secret_that_is_good_no_more_is_provisioned_anew() {
    let gateway = Gateway::start(&[]).await;
    let (home, _) = linked(&gateway).await;
    hook_token(&gateway, &home, &[]).await;
    let mut client = kept(&home);
    client["client_secret"] = json!("A".repeat(43));
    client["tokens"] = json!([]);
    std::fs::write(hooks(&home), client.to_string()).unwrap();
    let token = hook_token(&gateway, &home, &[]).await;
    assert_eq!(track(&gateway, &token).await, 200);
}

#[tokio::test]
async fn a_secret_that_a_person_provisioned_is_the_hooks_own() {
    let gateway = Gateway::start(&[]).await;
    let (home, _) = linked(&gateway).await;
    let shown = printed(&run(&mut gateway.bridge(&home, &["provision"])).await);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    hook_token(&gateway, &home, &[]).await;
    assert_eq!(kept(&home)["client_secret"], shown["client_secret"]);
}
