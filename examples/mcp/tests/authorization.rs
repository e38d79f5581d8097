//! What MCP's authorization requires of a server, request by request (rows 1.I of the checklist).

use std::time::Duration;

use bridge_auth::id::Audience;
use bridge_auth::issue::AccessRequest;
use bridge_auth::{Scopes, SignedIn};
use reqwest::Method;
use reqwest::header::{HOST, ORIGIN, WWW_AUTHENTICATE};
use serde_json::json;
use tokio::time::timeout;

use crate::server::{Server, initialize, result, user};

#[tokio::test]
async fn row_144_a_token_for_another_audience_is_refused() {
    let server = Server::start().await;
    let issuer = server.bridge.issuer();
    issuer.register_user(&SignedIn::new(user("alice"), Scopes::default())).await.unwrap();
    let wish = AccessRequest::for_user(user("alice"), Scopes::default());
    let access = issuer.open_access(wish.audiences([Audience::parse("bridge").unwrap()])).await.unwrap();

    for token in [access.token.expose(), "not.a.token"] {
        let answer = server.request(Method::POST, Some(token)).json(&initialize()).send().await.unwrap();
        assert_eq!(answer.status(), 401, "{token}");
    }
}

#[tokio::test]
async fn row_144_no_token_comes_as_far_as_a_tool() {
    let server = Server::start().await;
    let token = server.link("alice", "").await;
    let session = server.open(&token).await;
    let caller = result(server.call(Some(&token), &session, "whoami").await).await;
    let headers = caller["headers"].as_array().unwrap();
    assert!(headers.contains(&json!("x-user-id")), "{headers:?}");
    assert!(!headers.contains(&json!("authorization")), "{headers:?}");
}

#[tokio::test]
async fn row_145_each_refusal_has_its_status() {
    let server = Server::start().await;
    let token = server.link("alice", "").await;
    let session = server.open(&token).await;

    assert_eq!(server.call(None, &session, "whoami").await.status(), 401);
    assert_eq!(server.call(Some("bad"), &session, "whoami").await.status(), 401);
    assert_eq!(server.call(Some("two words"), &session, "whoami").await.status(), 400);
    assert_eq!(server.call(Some(&token), &session, "track").await.status(), 403);
    assert_eq!(server.call(Some(&token), &session, "whoami").await.status(), 200);
}

#[tokio::test]
async fn row_146_every_request_needs_a_token() {
    let server = Server::start().await;
    let token = server.link("alice", "").await;
    let session = server.open(&token).await;

    for method in [Method::POST, Method::GET, Method::DELETE] {
        let request = server.request(method.clone(), None).header("mcp-session-id", &session);
        assert_eq!(request.send().await.unwrap().status(), 401, "{method}");
    }
    assert_eq!(server.call(None, &session, "whoami").await.status(), 401);
    assert_eq!(server.call(Some(&token), &session, "whoami").await.status(), 200);
}

#[tokio::test]
async fn row_146_a_stream_ends_when_the_session_of_its_token_is_revoked() {
    let server = Server::start().await;
    let token = server.link("alice", "").await;
    let session = server.open(&token).await;
    let request = server.request(Method::GET, Some(&token)).header("mcp-session-id", &session);
    let stream = request.send().await.unwrap();
    assert_eq!(stream.status(), 200);

    let logout = server.http.post(server.url("/v1/auth/bridge/logout")).bearer_auth(&token);
    assert_eq!(logout.send().await.unwrap().status(), 204);

    timeout(Duration::from_secs(30), stream.bytes()).await.unwrap().unwrap();
}

#[tokio::test]
async fn row_147_a_session_is_of_no_use_to_another_person() {
    let server = Server::start().await;
    let alice = server.link("alice", "").await;
    let bob = server.link("bob", "").await;
    let session = server.open(&alice).await;

    assert_eq!(server.call(Some(&bob), &session, "whoami").await.status(), 404);
    for method in [Method::GET, Method::DELETE] {
        let request = server.request(method.clone(), Some(&bob)).header("mcp-session-id", &session);
        assert_eq!(request.send().await.unwrap().status(), 404, "{method}");
    }

    let caller = result(server.call(Some(&alice), &session, "whoami").await).await;
    assert_eq!(caller["user_id"], "alice");
}

#[tokio::test]
async fn row_147_a_session_id_cannot_be_made_up() {
    let server = Server::start().await;
    let token = server.link("alice", "").await;
    let (first, second) = (server.open(&token).await, server.open(&token).await);
    assert_ne!(first, second);

    let (id, seal) = first.split_once('.').unwrap();
    let (_, other_seal) = second.split_once('.').unwrap();
    for forged in [id.to_owned(), format!("{id}."), format!("{id}.{other_seal}"), format!("x{id}.{seal}")] {
        assert_eq!(server.call(Some(&token), &forged, "whoami").await.status(), 404, "{forged}");
    }
}

#[tokio::test]
async fn row_147_each_request_is_its_own_tokens() {
    let server = Server::start().await;
    let (first, second) = (server.link("alice", "").await, server.link("alice", "hook:track").await);
    let session = server.open(&first).await;

    let before = result(server.call(Some(&first), &session, "whoami").await).await;
    let after = result(server.call(Some(&second), &session, "whoami").await).await;

    assert_ne!(before["session_id"], after["session_id"]);
    assert_eq!(after["scopes"], json!(["hook:track"]));
}

#[tokio::test]
async fn row_148_a_missing_scope_is_one_challenge_that_names_it() {
    let server = Server::start().await;
    let token = server.link("alice", "hook:govern").await;
    let session = server.open(&token).await;

    let answer = server.call(Some(&token), &session, "track").await;

    assert_eq!(answer.status(), 403);
    let challenges: Vec<_> = answer.headers().get_all(WWW_AUTHENTICATE).iter().collect();
    let [challenge] = challenges[..] else { panic!("{challenges:?}") };
    let challenge = challenge.to_str().unwrap();
    assert!(challenge.contains("error=\"insufficient_scope\""), "{challenge}");
    assert!(challenge.contains("scope=\"hook:track\""), "{challenge}");
}

#[tokio::test]
async fn row_148_more_scopes_than_needed_are_enough() {
    let server = Server::start().await;
    let token = server.link("alice", "hook:govern hook:track other").await;
    let session = server.open(&token).await;
    let tracked = result(server.call(Some(&token), &session, "track").await).await;
    assert_eq!(tracked["user_id"], "alice");
}

#[tokio::test]
async fn row_154_a_page_of_another_origin_or_by_another_name_is_refused() {
    let server = Server::start().await;
    let token = server.link("alice", "").await;
    let own = server.url("");
    let other_scheme = own.replace("http:", "https:");
    let other_port = own.rsplit_once(':').unwrap().0.to_owned() + ":1";
    let no_port = own.rsplit_once(':').unwrap().0;
    let longer = format!("{own}.evil.example");
    for (header, value) in [
        (ORIGIN, "http://evil"),
        (ORIGIN, "null"),
        (ORIGIN, &*other_scheme),
        (ORIGIN, &*other_port),
        (ORIGIN, no_port),
        (ORIGIN, &*longer),
        (HOST, "evil.example"),
    ] {
        let request = server.request(Method::POST, Some(&token)).header(&header, value);
        let answer = request.json(&initialize()).send().await.unwrap();
        assert_eq!(answer.status(), 403, "{header}: {value}");
    }
}

#[tokio::test]
async fn a_page_of_the_servers_own_origin_may_call() {
    let server = Server::start().await;
    let token = server.link("alice", "").await;
    let own = server.url("");
    for method in [Method::POST, Method::GET] {
        let request = server.request(method.clone(), Some(&token)).header(ORIGIN, &own);
        let answer = request.json(&initialize()).send().await.unwrap();
        // An event stream needs a session: 400, and not 403.
        let expected = if method == Method::POST { 200 } else { 400 };
        assert_eq!(answer.status(), expected, "{method} {answer:?}");
    }
}
