//! `POST /revoke`: CHECKLIST 1.G, RFC 7009.

use std::time::Duration;

use bridge_auth::Freshness;
use http::StatusCode;
use http::header::AUTHORIZATION;
use serde_json::json;

use super::given::{Hook, gateway, hook, hook_of, oauth_builder, post, server};
use crate::support::gateway::{Answer, Gateway, send};
use crate::support::{Backend, ListedByAdmin as _, SqliteBackend};

crate::store::promises![
    row_121_a_client_ends_its_own_tokens_and_no_others,
    a_revoked_token_is_refused_here_at_once_however_fresh_verdicts_are,
    the_bridge_ends_its_session_and_what_hangs_on_it,
    an_expired_token_ends_nothing,
];

async fn revoke(gateway: &Gateway, client: &Hook, token: &str) -> Answer {
    client.send(gateway, "/revoke", &[("token", token)]).await
}

fn is_done(answer: &Answer) -> bool {
    let is_json = answer.header("content-type") == "application/json" && answer.json() == json!({});
    answer.status == StatusCode::OK && is_json && answer.is_not_stored()
}

/// The bridge itself ends `token`: it has nothing to prove itself with but that.
async fn revoke_as_bridge(gateway: &Gateway, token: &str) -> Answer {
    send(post(gateway, "/revoke", &[("token", token), ("client_id", "sp_bridge")])).await
}

async fn row_121_a_client_ends_its_own_tokens_and_no_others(db: impl Backend) {
    let gateway = gateway(&db).await;
    let (alice, bob) = (hook(&gateway, "alice").await, hook(&gateway, "bob").await);
    let token = alice.token(&gateway).await;
    let other = hook(&gateway, "alice").await.token(&gateway).await;
    let persons = gateway.link("alice").await;
    for (client, token) in [(&bob, &token), (&alice, &persons)] {
        let refused = revoke(&gateway, client, token).await;
        assert!(refused.is_oauth_error(400, "invalid_grant"), "{refused:?}");
        assert!(gateway.admits(token).await);
    }
    assert!(revoke_as_bridge(&gateway, &token).await.is_oauth_error(400, "invalid_grant"));
    assert!(revoke(&gateway, &server(), &token).await.is_oauth_error(400, "unauthorized_client"));
    let anonymous = send(post(&gateway, "/revoke", &[("token", &token)])).await;
    assert!(anonymous.is_oauth_error(401, "invalid_client"), "{anonymous:?}");
    let wrong = Hook { secret: bob.secret.clone(), ..alice.clone() };
    assert!(revoke(&gateway, &wrong, &token).await.is_oauth_error(401, "invalid_client"));
    assert!(gateway.admits(&token).await);

    for _ in 0..2 {
        assert!(is_done(&revoke(&gateway, &alice, &token).await));
    }
    // With it goes the session of that device's hooks, and nothing of another device.
    assert!(!gateway.admits(&token).await && gateway.admits(&other).await && gateway.admits(&persons).await);
    assert!(is_done(&revoke(&gateway, &alice, "never issued").await));
    let missing = alice.send(&gateway, "/revoke", &[]).await;
    assert!(missing.is_oauth_error(400, "invalid_request"), "{missing:?}");
}

async fn a_revoked_token_is_refused_here_at_once_however_fresh_verdicts_are(db: impl Backend) {
    let freshness = Freshness::Watched { max_lag: Duration::from_secs(60) };
    let gateway = Gateway::over(oauth_builder(&db).await.freshness(freshness).build().unwrap()).await;
    let hook = hook(&gateway, "alice").await;
    let token = hook.token(&gateway).await;
    for _ in 0..3 {
        assert!(gateway.admits(&token).await);
    }
    assert!(is_done(&revoke(&gateway, &hook, &token).await));
    assert!(!gateway.admits(&token).await);
}

async fn the_bridge_ends_its_session_and_what_hangs_on_it(db: impl Backend) {
    let gateway = gateway(&db).await;
    let persons = gateway.link("alice").await;
    let hook = hook_of(&gateway, &persons).await;
    let token = hook.token(&gateway).await;
    assert!(is_done(&revoke_as_bridge(&gateway, &persons).await));
    assert!(!gateway.admits(&persons).await && !gateway.admits(&token).await);
    assert!(hook.ask(&gateway, &[]).await.is_oauth_error(401, "invalid_client"));
}

async fn an_expired_token_ends_nothing(db: impl Backend) {
    let bridge = oauth_builder(&db).await.token_life(Duration::from_secs(1)).build().unwrap();
    let gateway = Gateway::over(bridge).await;
    let short = gateway.link("alice").await;
    let listed = gateway.bridge.admin();
    let is_live = async || !listed.sessions_of(&"alice".parse().unwrap()).await.unwrap().is_empty();
    while gateway.admits(&short).await {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(is_live().await);
    // RFC 7009 §2.2: an invalid token is no error, and there is nothing to do.
    assert!(is_done(&revoke_as_bridge(&gateway, &short).await));
    assert!(is_live().await);
}

#[tokio::test]
async fn row_122_what_nobody_was_given_is_as_good_as_revoked() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let hook = hook(&gateway, "alice").await;
    let token = hook.token(&gateway).await;
    let stranger = Gateway::start(&db).await.link("carol").await;
    let long = "a".repeat(9000);
    for garbage in
        ["garbage", "a.b.c", "\u{0}\u{e9}", &long, &token[..token.len() - 1], &stranger, &"A".repeat(43)]
    {
        let answer = revoke(&gateway, &hook, garbage).await;
        assert!(is_done(&answer), "{garbage:.20} {answer:?}");
    }
    assert!(gateway.admits(&token).await);
}

#[tokio::test]
async fn row_123_a_store_that_cannot_answer_is_503_and_the_token_may_live() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let token = gateway.link("alice").await;
    db.break_down();
    let down = revoke_as_bridge(&gateway, &token).await;
    assert!(down.is_oauth_error(503, "temporarily_unavailable"), "{down:?}");
    assert_eq!(down.header("retry-after"), "1");
}

#[tokio::test]
async fn row_124_a_wrong_hint_still_works() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let hook = hook(&gateway, "alice").await;
    for hint in ["access_token", "refresh_token", "x", ""] {
        let token = hook.token(&gateway).await;
        let fields = [("token", token.as_str()), ("token_type_hint", hint)];
        assert!(is_done(&hook.send(&gateway, "/revoke", &fields).await), "{hint}");
        assert!(!gateway.admits(&token).await, "{hint}");
    }
}

#[tokio::test]
async fn a_browser_may_not_be_made_to_revoke_with_a_token_in_the_query() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let hook = hook(&gateway, "alice").await;
    let token = hook.token(&gateway).await;
    let path = format!("/revoke?token={token}");
    let refused = send(post(&gateway, &path, &[("token", &token)]).header(AUTHORIZATION, hook.basic())).await;
    assert!(refused.is_oauth_error(400, "invalid_request"), "{refused:?}");
    assert!(gateway.admits(&token).await);
}
