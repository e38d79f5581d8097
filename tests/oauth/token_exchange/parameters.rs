//! What an exchange is asked with, and what it answers (RFC 8693 §2.1, §2.2).

use http::StatusCode;
use serde_json::json;

use super::{ACCESS, GRANT, JWT, agent, by_bridge, exchange, exchanging, fields, gateway};
use crate::oauth::given::{MCP, claims, gateway as without_exchange, post};
use crate::support::gateway::{Gateway, PREFIX, send};
use crate::support::{Backend, SqliteBackend};

crate::store::promises![m5_the_answer_says_what_was_issued_and_the_token_says_who_acts];

async fn m5_the_answer_says_what_was_issued_and_the_token_says_who_acts(db: impl Backend) {
    let gateway = gateway(&db).await;
    let token = gateway.link("alice").await;
    for kind in [ACCESS, JWT] {
        let asked = [
            ("grant_type", GRANT),
            ("subject_token", &*token),
            ("subject_token_type", kind),
            ("requested_token_type", ACCESS),
        ];
        let answer = agent("planner").send(&gateway, "/token", &asked).await;
        assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/json"));
        assert!(answer.is_not_stored(), "{answer:?}");
        let new = answer.text("access_token");
        let (old, said) = (claims(&token), claims(&new));
        let expires_in = said["exp"].as_u64().unwrap() - said["iat"].as_u64().unwrap();
        let expected = json!({
            "access_token": new,
            "issued_token_type": ACCESS,
            "token_type": "Bearer",
            "expires_in": expires_in,
            "scope": "chat tools",
        });
        assert_eq!(answer.json(), expected, "and no refresh token");
        assert_eq!(said["act"], json!({ "sub": "planner" }));
        assert_eq!(
            json!([said["sub"], said["client_id"], said["aud"]]),
            json!(["alice", "planner", old["aud"]])
        );
        assert_eq!(said["auth_time"], old["auth_time"], "alice signed in then");
        assert!(said["exp"].as_u64() <= old["exp"].as_u64());
        assert!(said["sid"] != old["sid"] && said["jti"] != old["jti"]);
        assert!(gateway.admits(&new).await && gateway.admits(&token).await);
    }
}

#[tokio::test]
async fn m5_a_token_without_its_type_and_a_type_that_is_unknown_are_invalid_requests() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let token = gateway.link("alice").await;
    let token = &*token;
    for asked in [
        &[][..],
        &[("subject_token", token)],
        &[("subject_token_type", ACCESS)],
        &[("subject_token", ""), ("subject_token_type", ACCESS)],
        &[("subject_token", token), ("subject_token_type", "")],
        &[("subject_token", token), ("subject_token_type", "access_token")],
        &[("subject_token", token), ("subject_token_type", "urn:ietf:params:oauth:token-type:refresh_token")],
        &[("subject_token", token), ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token")],
        &[("subject_token", token), ("subject_token_type", "urn:ietf:params:oauth:token-type:saml2")],
        &[("subject_token", token), ("subject_token_type", "urn:x:made-up")],
    ] {
        let asked = [&[("grant_type", GRANT)], asked].concat();
        let answer = agent("planner").send(&gateway, "/token", &asked).await;
        assert!(answer.is_oauth_error(400, "invalid_request"), "{asked:?} {answer:?}");
    }
    for more in [
        &[("actor_token", token)][..],
        &[("actor_token_type", ACCESS)],
        &[("actor_token", token), ("actor_token_type", "urn:x:made-up")],
        &[("requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token")],
        &[("requested_token_type", JWT)],
        &[("requested_token_type", "urn:x:made-up")],
        &[("scope", "chat"), ("scope", "tools")],
        &[("subject_token", token)],
    ] {
        let answer = exchange(&gateway, &agent("planner"), token, more).await;
        assert!(answer.is_oauth_error(400, "invalid_request"), "{more:?} {answer:?}");
    }
    // Unknown parameters are ignored, and a parameter without a value is absent.
    let more = [("foo", "bar"), ("actor_token", ""), ("scope", ""), ("audience", ""), ("resource", "")];
    assert_eq!(exchange(&gateway, &agent("planner"), token, &more).await.status, StatusCode::OK);
}

#[tokio::test]
async fn m5_a_subject_token_that_is_not_good_here_is_an_invalid_request_without_a_reason() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let token = gateway.link("alice").await;
    let stranger = Gateway::start(&db).await.link("carol").await;
    let mut answers = Vec::new();
    for bad in [&stranger, &token[..token.len() - 1], "garbage", "a.b.c", "\u{0}\u{e9}", &"a".repeat(9000)] {
        answers.push(exchange(&gateway, &agent("planner"), bad, &[]).await);
    }
    let ended = gateway.link("dora").await;
    gateway.call(http::Method::POST, &format!("{PREFIX}/logout"), &ended).await;
    answers.push(exchange(&gateway, &agent("planner"), &ended, &[]).await);
    for answer in &answers {
        assert!(answer.is_oauth_error(400, "invalid_request"), "{answer:?}");
        assert_eq!(answer, &answers[0]);
    }
    db.break_down();
    let down = exchange(&gateway, &agent("planner"), &token, &[]).await;
    assert!(down.is_oauth_error(503, "temporarily_unavailable"), "{down:?}");
    assert_eq!(down.header("retry-after"), "1");
}

#[tokio::test]
async fn a_token_in_the_query_is_refused_and_does_not_work() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let token = gateway.link("alice").await;
    for name in ["subject_token", "actor_token"] {
        let fields = fields(&token, &[("client_id", "sp_bridge")]);
        let answer = send(post(&gateway, &format!("/token?{name}={token}"), &fields)).await;
        assert!(answer.is_oauth_error(400, "invalid_request"), "{answer:?}");
    }
}

#[tokio::test]
async fn token_exchange_is_off_and_not_advertised_until_the_host_turns_it_on() {
    let db = SqliteBackend::start().await;
    let (on, off) = (gateway(&db).await, without_exchange(&db).await);
    for (gateway, expected) in [(&on, true), (&off, false)] {
        let path = "/.well-known/oauth-authorization-server";
        let metadata = send(gateway.request(http::Method::GET, path)).await.json();
        let grants = metadata["grant_types_supported"].as_array().unwrap().clone();
        assert_eq!(grants.contains(&json!(GRANT)), expected, "{grants:?}");
        let path = format!("{PREFIX}/capabilities");
        let modes = send(gateway.request(http::Method::GET, &path)).await.json()["modes"].clone();
        assert_eq!(modes.as_array().unwrap().contains(&json!("token-exchange")), expected);
    }
    let token = off.link("alice").await;
    assert!(by_bridge(&off, &token, &[]).await.is_oauth_error(400, "unsupported_grant_type"));
}

#[tokio::test]
async fn settings_that_could_not_be_safe_are_refused() {
    use bridge_auth::issue::{RegisteredClient, TokenExchange};
    use std::time::Duration;
    let db = SqliteBackend::start().await;
    let build = async |exchange| exchanging(&db).await.token_exchange(exchange).build().map(drop);
    for (exchange, said) in [
        (TokenExchange::new().max_sessions(0), "TokenExchange::max_sessions"),
        (TokenExchange::new().max_sessions(33), "TokenExchange::max_sessions"),
        (TokenExchange::new().token_life(Duration::ZERO), "TokenExchange::token_life"),
        (TokenExchange::new().token_life(Duration::from_secs(86_401)), "TokenExchange::token_life"),
        (TokenExchange::new().token_life(Duration::from_millis(1500)), "TokenExchange::token_life"),
    ] {
        let refused = build(exchange).await.unwrap_err().to_string();
        assert!(refused.contains(said), "{refused}");
    }
    build(TokenExchange::new().max_sessions(1).token_life(Duration::from_secs(1))).await.unwrap();
    let client = RegisteredClient::new("other", "Other");
    for (client, said) in [
        (client.clone().exchanges_tokens(true), "a client with a secret"),
        (client.clone().impersonates(true), "a client with a secret"),
        (client.secret(super::SECRET).impersonates(true).manages_devices(true), "manages devices"),
    ] {
        let refused = exchanging(&db).await.client(client).build().unwrap_err().to_string();
        assert!(refused.contains(said), "{refused}");
    }
}

#[tokio::test]
async fn row_125_a_resource_that_no_token_is_for_is_an_invalid_target() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let token = gateway.link("alice").await;
    for more in [
        &[("resource", MCP)][..],
        &[("resource", "https://evil.example")],
        &[("resource", "mcp")],
        &[("audience", "https://evil.example")],
        &[("audience", "MCP")],
        &[("audience", MCP)],
        &[("audience", "mcp"), ("audience", MCP)],
        &[("audience", "mcp"), ("resource", MCP)],
    ] {
        let answer = exchange(&gateway, &agent("planner"), &token, more).await;
        assert!(answer.is_oauth_error(400, "invalid_target"), "{more:?} {answer:?}");
    }
}
