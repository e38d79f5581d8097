//! `POST /token`: CHECKLIST 1.A and 1.G.

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, StatusCode};
use serde_json::json;

use super::given::{
    FORM, Hook, MCP, claims, code_grant, gateway, hook, oauth_builder, pkce_code, post, raw_post,
};
use crate::support::bridge::user;
use crate::support::gateway::{Gateway, PREFIX, send};
use crate::support::{Backend, SqliteBackend};

crate::store::promises![
    a_hook_client_gets_a_token_by_basic_and_by_body,
    row_31_and_32_a_code_is_spent_once_and_its_replay_revokes,
    row_33_of_many_racers_one_gets_the_token,
    row_35_to_37_a_code_needs_its_own_verifier_and_client,
    row_43_attack_a60_a_disabled_person_gets_nothing,
    row_130_131_every_secret_that_was_shown_last_works,
];

async fn a_hook_client_gets_a_token_by_basic_and_by_body(db: impl Backend) {
    let gateway = gateway(&db).await;
    let hook = hook(&gateway, "alice").await;
    let by_basic = hook.ask(&gateway, &[]).await;
    let fields =
        [("grant_type", "client_credentials"), ("client_id", &hook.id), ("client_secret", &hook.secret)];
    let by_body = send(post(&gateway, "/token", &fields)).await;
    for answer in [by_basic, by_body] {
        assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/json"));
        assert!(answer.is_not_stored(), "{answer:?}");
        let token = answer.text("access_token");
        let expected = json!({
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": 3600,
            "scope": "hook:govern hook:track",
        });
        assert_eq!(answer.json(), expected);
        let claims = claims(&token);
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 3600);
        let said = json!([claims["sub"], claims["client_id"], claims["owner"], claims["aud"]]);
        assert_eq!(said, json!(["bridge:alice", "bridge:alice", "alice", ["bridge", "mcp"]]));
        assert!(gateway.admits(&token).await);
    }
}

async fn row_31_and_32_a_code_is_spent_once_and_its_replay_revokes(db: impl Backend) {
    let gateway = gateway(&db).await;
    let code = pkce_code(&gateway, "alice").await;
    let first = send(post(&gateway, "/token", &code_grant(&code))).await;
    assert_eq!(first.status, StatusCode::OK, "{first:?}");
    let token = first.text("access_token");
    assert!(gateway.admits(&token).await);
    assert_eq!(first.json()["scope"], "chat tools");
    let wrong = send(post(&gateway, "/token", &code_grant(&"0".repeat(64)))).await;
    assert!(wrong.is_oauth_error(400, "invalid_grant"), "{wrong:?}");
    assert!(gateway.admits(&token).await);
    assert_eq!(send(post(&gateway, "/token", &code_grant(&code))).await, wrong);
    assert!(!gateway.admits(&token).await);
}

async fn row_33_of_many_racers_one_gets_the_token(db: impl Backend) {
    let gateway = gateway(&db).await;
    let code = pkce_code(&gateway, "alice").await;
    let racers = (0..16).map(|_| send(post(&gateway, "/token", &code_grant(&code))));
    let answers = futures_util::future::join_all(racers).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == StatusCode::OK).count(), 1);
    for loser in answers.iter().filter(|answer| answer.status != StatusCode::OK) {
        assert!(loser.is_oauth_error(400, "invalid_grant"), "{loser:?}");
    }
}

async fn row_35_to_37_a_code_needs_its_own_verifier_and_client(db: impl Backend) {
    let gateway = gateway(&db).await;
    let code = pkce_code(&gateway, "alice").await;
    let grant = code_grant(&code);
    let long = "a".repeat(129);
    for verifier in ["a", &VERIFIER_OF_ANOTHER, &long, &VERIFIER_OF_ANOTHER[..42], "\u{e9}"] {
        let fields = [grant[0], grant[1], grant[2], ("code_verifier", verifier)];
        let refused = send(post(&gateway, "/token", &fields)).await;
        assert!(refused.is_oauth_error(400, "invalid_grant"), "{verifier} {refused:?}");
    }
    for fields in [&grant[..3], &[grant[0], grant[1], grant[3]]] {
        let refused = send(post(&gateway, "/token", fields)).await;
        assert!(refused.is_oauth_error(400, "invalid_request"), "{refused:?}");
    }
    let stranger = [grant[0], ("client_id", "sp_other"), grant[2], grant[3]];
    assert!(send(post(&gateway, "/token", &stranger)).await.is_oauth_error(401, "invalid_client"));
    let nobody = [grant[0], grant[2], grant[3]];
    assert!(send(post(&gateway, "/token", &nobody)).await.is_oauth_error(401, "invalid_client"));
    let unbound = gateway.code("alice").await;
    let downgraded = send(post(&gateway, "/token", &code_grant(&unbound))).await;
    assert!(downgraded.is_oauth_error(400, "invalid_grant"), "{downgraded:?}");
    assert_eq!(send(post(&gateway, "/token", &grant)).await.status, StatusCode::OK);
}

const VERIFIER_OF_ANOTHER: &str = "EBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

async fn row_43_attack_a60_a_disabled_person_gets_nothing(db: impl Backend) {
    let gateway = gateway(&db).await;
    let hook = hook(&gateway, "alice").await;
    let token = hook.token(&gateway).await;
    let code = pkce_code(&gateway, "alice").await;
    gateway.bridge.admin().disable_user(&user("alice")).await.unwrap();
    let refused = send(post(&gateway, "/token", &code_grant(&code))).await;
    assert!(refused.is_oauth_error(400, "invalid_grant"), "{refused:?}");
    attack_a77_is_refused(&gateway, &hook, &token).await;
}

async fn attack_a77_is_refused(gateway: &Gateway, hook: &Hook, token: &str) {
    assert!(hook.ask(gateway, &[]).await.is_oauth_error(401, "invalid_client"));
    assert!(!gateway.admits(token).await);
}

async fn row_130_131_every_secret_that_was_shown_last_works(db: impl Backend) {
    let gateway = gateway(&db).await;
    let token = gateway.link("alice").await;
    let provisioned = (0..8).map(|_| super::given::hook_of(&gateway, &token));
    let hooks = futures_util::future::join_all(provisioned).await;
    for hook in &hooks {
        assert_eq!(hook.ask(&gateway, &[]).await.status, StatusCode::OK);
    }
    let next = super::given::hook_of(&gateway, &token).await;
    assert!(hooks.iter().all(|hook| hook.secret != next.secret));
    db.pass_time(std::time::Duration::from_secs(120)).await;
    assert_eq!(next.ask(&gateway, &[]).await.status, StatusCode::OK);
    for hook in &hooks {
        assert!(hook.ask(&gateway, &[]).await.is_oauth_error(401, "invalid_client"));
    }
}
