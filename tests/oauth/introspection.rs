//! `POST /introspect`: CHECKLIST 1.G, RFC 7662.

use bridge_auth::Freshness;
use bridge_auth::store::Revoke;
use http::StatusCode;
use http::header::AUTHORIZATION;
use serde_json::json;

use super::given::{Hook, claims, gateway, hook, oauth_builder, post, server};
use crate::support::bridge::user;
use crate::support::gateway::{Answer, Gateway, send};
use crate::support::{Backend, SqliteBackend};

crate::store::promises![
    row_117_only_a_client_that_proves_itself_may_ask,
    row_118_attack_a117_what_is_not_good_or_not_theirs_is_inactive_without_a_reason,
    row_119_the_answer_is_the_session_row_now,
];

const INACTIVE: &[u8] = br#"{"active":false}"#;

async fn ask(gateway: &Gateway, client: &Hook, token: &str) -> Answer {
    client.send(gateway, "/introspect", &[("token", token)]).await
}

fn is_inactive(answer: &Answer) -> bool {
    answer.status == StatusCode::OK && answer.body == INACTIVE && answer.is_not_stored()
}

async fn row_117_only_a_client_that_proves_itself_may_ask(db: impl Backend) {
    let gateway = gateway(&db).await;
    let hook = hook(&gateway, "alice").await;
    let token = hook.token(&gateway).await;
    let anonymous = send(post(&gateway, "/introspect", &[("token", &token)])).await;
    let public = send(post(&gateway, "/introspect", &[("token", &token), ("client_id", "sp_bridge")])).await;
    let wrong = Hook { secret: "wrong".to_owned(), ..server() };
    let bearer = send(post(&gateway, "/introspect", &[("token", &token)]).bearer_auth(&token)).await;
    for refused in [anonymous, public, ask(&gateway, &wrong, &token).await, bearer] {
        assert!(refused.is_oauth_error(401, "invalid_client"), "{refused:?}");
        assert!(refused.header("www-authenticate").starts_with("Basic "), "{refused:?}");
    }
    for client in [&hook, &server()] {
        let missing = client.send(&gateway, "/introspect", &[("token", "")]).await;
        assert!(missing.is_oauth_error(400, "invalid_request"), "{missing:?}");
    }
}

async fn row_118_attack_a117_what_is_not_good_or_not_theirs_is_inactive_without_a_reason(db: impl Backend) {
    let gateway = gateway(&db).await;
    let (alice, bob) = (hook(&gateway, "alice").await, hook(&gateway, "bob").await);
    let token = alice.token(&gateway).await;
    let said = claims(&token);
    let expected = json!({
        "active": true,
        "scope": "hook:govern hook:track",
        "client_id": "bridge:alice",
        "username": "alice",
        "token_type": "Bearer",
        "sub": "bridge:alice",
        "aud": ["bridge", "mcp"],
        "iss": "https://gateway.example",
        "exp": said["exp"], "iat": said["iat"], "nbf": said["nbf"], "jti": said["jti"], "sid": said["sid"],
    });
    for client in [&alice, &server()] {
        let answer = ask(&gateway, client, &token).await;
        assert_eq!((answer.status, answer.json()), (StatusCode::OK, expected.clone()));
        assert_eq!(answer.header("content-type"), "application/json");
    }
    let persons = gateway.link("alice").await;
    let known = ask(&gateway, &server(), &persons).await.json();
    assert_eq!(json!([known["active"], known["sub"], known["username"]]), json!([true, "alice", "alice"]));

    let other = alice.ask(&gateway, &[("resource", "https://api.example")]).await.text("access_token");
    let stranger = Gateway::start(&db).await.link("carol").await;
    let long = "a".repeat(9000);
    for (client, token) in [
        (&bob, token.as_str()),
        (&alice, &persons),
        (&server(), &other),
        (&server(), &stranger),
        (&server(), &token[..token.len() - 1]),
        (&server(), "garbage"),
        (&server(), "a.b.c"),
        (&server(), "\u{0}\u{e9}"),
        (&server(), &long),
        (&server(), &"A".repeat(43)),
        (&server(), &alice.secret),
    ] {
        let answer = ask(&gateway, client, token).await;
        assert!(is_inactive(&answer), "{token:.20} {answer:?}");
    }
    assert_eq!(ask(&gateway, &alice, &other).await.json()["active"], true);
}

async fn row_119_the_answer_is_the_session_row_now(db: impl Backend) {
    for freshness in [Freshness::Strict, Freshness::watched()] {
        let gateway = Gateway::over(oauth_builder(&db).await.freshness(freshness).build().unwrap()).await;
        let far = db.open().await;
        for end in 0..3 {
            let person = format!("person{end}{freshness:?}").replace([' ', '{', '}', ':'], "");
            let hook = hook(&gateway, &person).await;
            let token = hook.token(&gateway).await;
            assert!(gateway.admits(&token).await);
            assert_eq!(ask(&gateway, &hook, &token).await.json()["active"], true);
            let session = claims(&token)["sid"].as_str().unwrap().parse().unwrap();
            // By another node: nothing here knows of it but the row.
            match end {
                0 => drop(far.revoke(&Revoke::Session(session)).await.unwrap().unwrap()),
                1 => drop(far.revoke(&Revoke::User(user(&person))).await.unwrap().unwrap()),
                _ => db.pass_time(std::time::Duration::from_secs(24 * 3600 + 1)).await,
            }
            assert!(is_inactive(&ask(&gateway, &server(), &token).await), "{end}");
        }
    }
}

#[tokio::test]
async fn row_120_no_answer_is_kept() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let hook = hook(&gateway, "alice").await;
    let token = hook.token(&gateway).await;
    for answer in [
        ask(&gateway, &hook, &token).await,
        ask(&gateway, &hook, "garbage").await,
        ask(&gateway, &Hook { secret: "wrong".to_owned(), ..hook.clone() }, &token).await,
    ] {
        assert!(answer.is_not_stored(), "{answer:?}");
    }
}

#[tokio::test]
async fn row_124_the_hint_is_only_a_hint() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let hook = hook(&gateway, "alice").await;
    let token = hook.token(&gateway).await;
    for hint in ["access_token", "refresh_token", "x", ""] {
        let fields = [("token", token.as_str()), ("token_type_hint", hint)];
        assert_eq!(hook.send(&gateway, "/introspect", &fields).await.json()["active"], true, "{hint}");
    }
}

#[tokio::test]
async fn a_store_that_cannot_answer_calls_no_token_inactive() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let hook = hook(&gateway, "alice").await;
    let token = hook.token(&gateway).await;
    db.break_down();
    let down = ask(&gateway, &server(), &token).await;
    assert!(down.is_oauth_error(503, "temporarily_unavailable"), "{down:?}");
    assert_eq!(down.header("retry-after"), "1");
}

#[tokio::test]
async fn what_is_not_configured_is_not_there() {
    let db = SqliteBackend::start().await;
    let gateway = Gateway::start(&db).await;
    for endpoint in ["/introspect", "/revoke"] {
        let answer =
            send(post(&gateway, endpoint, &[("token", "x")]).header(AUTHORIZATION, server().basic())).await;
        assert!(answer.is_oauth_error(404, "not_found"), "{answer:?}");
    }
}
