//! `hyper`: the guard without axum.

use reqwest::Client;
use serde_json::{Value, json};

use super::text;
use crate::support::process::{example, start};

#[tokio::test]
async fn the_hyper_server_links_guards_refuses_and_stops() {
    let home = tempfile::tempdir().unwrap();
    let mut server = start(example("hyper", home.path()).arg("127.0.0.1:0")).await;
    let client = Client::builder().no_proxy().build().unwrap();
    let url = |path: &str| format!("{}{path}", server.url);

    let refused = client.get(url("/")).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    assert_eq!(refused.headers()["www-authenticate"], "Bearer");

    let exchange = json!({ "code": server.printed_after("code: ") });
    let linked = client.post(url("/v1/auth/bridge/session")).json(&exchange).send().await.unwrap();
    assert_eq!(linked.status(), 200);
    let access: Value = linked.json().await.unwrap();
    let token = text(&access, "token");
    let session = text(&access["headers"], "x-session-id");

    let answer =
        client.get(url("/")).bearer_auth(&token).header("x-user-id", "mallory").send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), format!("alice in session {session}\n"));

    let sessions = client.get(url("/v1/auth/bridge/sessions")).bearer_auth(&token).send().await.unwrap();
    let sessions: Value = sessions.json().await.unwrap();
    assert_eq!(sessions["sessions"][0]["origin"]["address"], "127.0.0.1");

    let ended = client.post(url("/v1/auth/bridge/logout")).bearer_auth(&token).send().await.unwrap();
    assert_eq!(ended.status(), 204);
    let refused = client.get(url("/")).bearer_auth(&token).send().await.unwrap();
    assert_eq!(refused.status(), 401);

    server.signal("INT").await;
    assert!(server.ended().await.success());
}
