//! The refresh token at the endpoints: RFC 6749 §6, RFC 9700 §4.14.2; CHECKLIST rows 3, 18, 20, A73, A127.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use super::given::{
    Fields, MCP, TOOLS, claims, code_grant, gateway, hook, hook_of, oauth_builder, pkce_code, post, server,
};
use crate::support::bridge::user;
use crate::support::gateway::{Answer, Gateway, send};
use crate::support::{Backend, SqliteBackend};

crate::store::promises![
    a_bridge_goes_on_with_its_refresh_token,
    attack_a127_of_many_racers_none_loses_the_session,
    attack_a127_a_used_token_that_comes_back_late_ends_the_session,
    attack_a127_a_refresh_after_a_revocation_is_refused,
    row_20_a_refresh_narrows_and_never_widens,
    row_125_126_a_refresh_may_name_a_resource,
    row_121_a_refresh_token_is_revoked_by_its_client_alone,
    row_119_a_refresh_token_is_introspected_as_it_is_now,
    session_gives_a_refresh_token_where_it_is_told_to,
];

async fn renewing(db: &impl Backend) -> Gateway {
    Gateway::over(oauth_builder(db).await.refresh_tokens(true).build().unwrap()).await
}

/// What a bridge of `person` gets for its code.
async fn link(gateway: &Gateway, person: &str) -> Answer {
    let linked = send(post(gateway, "/token", &code_grant(&pkce_code(gateway, person).await))).await;
    assert_eq!(linked.status, StatusCode::OK, "{linked:?}");
    linked
}

async fn refresh_with(gateway: &Gateway, token: &str, more: Fields<'_>) -> Answer {
    let grant = [("grant_type", "refresh_token"), ("client_id", "sp_bridge"), ("refresh_token", token)];
    send(post(gateway, "/token", &[&grant, more].concat())).await
}

async fn refresh(gateway: &Gateway, token: &str) -> Answer {
    refresh_with(gateway, token, &[]).await
}

async fn revoke(gateway: &Gateway, token: &str) -> Answer {
    send(post(gateway, "/revoke", &[("client_id", "sp_bridge"), ("token", token)])).await
}

async fn a_bridge_goes_on_with_its_refresh_token(db: impl Backend) {
    let gateway = renewing(&db).await;
    let mut last = link(&gateway, "alice").await;
    let session = claims(&last.text("access_token"))["sid"].clone();
    for _ in 0..3 {
        let token = last.text("refresh_token");
        assert!(token.len() == 43 && last.is_not_stored(), "{last:?}");
        let next = refresh(&gateway, &token).await;
        assert_eq!(next.status, StatusCode::OK, "{next:?}");
        let expected = json!({
            "access_token": next.text("access_token"),
            "refresh_token": next.text("refresh_token"),
            "token_type": "Bearer",
            "expires_in": 3600,
            "scope": "chat tools",
        });
        assert_eq!(next.json(), expected);
        assert_ne!(next.text("refresh_token"), token);
        assert_eq!(claims(&next.text("access_token"))["sid"], session);
        for access in [last.text("access_token"), next.text("access_token")] {
            assert!(gateway.admits(&access).await);
        }
        last = next;
    }
    assert_eq!(db.count("sessions").await, 1);
}

async fn attack_a127_of_many_racers_none_loses_the_session(db: impl Backend) {
    let gateway = renewing(&db).await;
    let token = link(&gateway, "alice").await.text("refresh_token");
    let racers = (0..16).map(|_| refresh(&gateway, &token));
    let answers = futures_util::future::join_all(racers).await;
    for answer in &answers {
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        assert!(gateway.admits(&answer.text("access_token")).await);
    }
    assert_eq!(refresh(&gateway, &answers[7].text("refresh_token")).await.status, StatusCode::OK);
}

async fn attack_a127_a_used_token_that_comes_back_late_ends_the_session(db: impl Backend) {
    let gateway = renewing(&db).await;
    let stolen = link(&gateway, "alice").await.text("refresh_token");
    let first = refresh(&gateway, &stolen).await;
    let next = refresh(&gateway, &first.text("refresh_token")).await;
    let unknown = refresh(&gateway, &"A".repeat(43)).await;
    assert!(unknown.is_oauth_error(400, "invalid_grant"), "{unknown:?}");
    assert!(gateway.admits(&next.text("access_token")).await);
    db.pass_time(Duration::from_secs(31)).await;
    assert_eq!(refresh(&gateway, &stolen).await, unknown);
    assert!(!gateway.admits(&next.text("access_token")).await);
    assert_eq!(refresh(&gateway, &next.text("refresh_token")).await, unknown);
}

async fn attack_a127_a_refresh_after_a_revocation_is_refused(db: impl Backend) {
    let gateway = renewing(&db).await;
    for end in 0..3 {
        let person = format!("person{end}");
        let linked = link(&gateway, &person).await;
        match end {
            0 => drop(revoke(&gateway, &linked.text("access_token")).await),
            1 => drop(gateway.bridge.admin().disable_user(&user(&person)).await.unwrap()),
            _ => db.pass_time(Duration::from_secs(14 * 24 * 3600 + 1)).await,
        }
        let refused = refresh(&gateway, &linked.text("refresh_token")).await;
        assert!(refused.is_oauth_error(400, "invalid_grant"), "{end} {refused:?}");
    }
}

async fn row_20_a_refresh_narrows_and_never_widens(db: impl Backend) {
    let gateway = renewing(&db).await;
    let mut token = link(&gateway, "alice").await.text("refresh_token");
    for (asked, granted) in [("chat", "chat"), ("tools chat", "chat tools"), ("", "chat tools")] {
        let answer = refresh_with(&gateway, &token, &[("scope", asked)]).await;
        assert_eq!(answer.text("scope"), granted);
        assert_eq!(claims(&answer.text("access_token"))["scope"], granted);
        token = answer.text("refresh_token");
    }
    for scope in ["admin", "chat admin", "hook:govern", "chat chat", "chat  tools", "\"chat\""] {
        let refused = refresh_with(&gateway, &token, &[("scope", scope)]).await;
        assert!(refused.is_oauth_error(400, "invalid_scope"), "{scope} {refused:?}");
    }
    assert_eq!(refresh(&gateway, &token).await.status, StatusCode::OK);
}

async fn row_125_126_a_refresh_may_name_a_resource(db: impl Backend) {
    let gateway = renewing(&db).await;
    let code = pkce_code(&gateway, "alice").await;
    let grant = code_grant(&code);
    let for_evil = [&grant[..], &[("resource", "https://evil.example")]].concat();
    let refused = send(post(&gateway, "/token", &for_evil)).await;
    assert!(refused.is_oauth_error(400, "invalid_target"), "{refused:?}");
    let linked = send(post(&gateway, "/token", &[&grant[..], &[("resource", MCP)]].concat())).await;
    assert_eq!(claims(&linked.text("access_token"))["aud"], json!([MCP]));
    let token = linked.text("refresh_token");
    let refused = refresh_with(&gateway, &token, &[("resource", "mcp")]).await;
    assert!(refused.is_oauth_error(400, "invalid_target"), "{refused:?}");
    let other = refresh_with(&gateway, &token, &[("resource", "https://api.example/")]).await;
    assert_eq!(claims(&other.text("access_token"))["aud"], json!(["https://api.example"]));
    let described = refresh_with(&gateway, &other.text("refresh_token"), &[("resource", TOOLS)]).await;
    assert_eq!(claims(&described.text("access_token"))["aud"], json!([TOOLS]));
    let usual = refresh(&gateway, &described.text("refresh_token")).await;
    assert_eq!(claims(&usual.text("access_token"))["aud"], json!(["bridge", "mcp"]));
}

async fn row_121_a_refresh_token_is_revoked_by_its_client_alone(db: impl Backend) {
    let gateway = renewing(&db).await;
    let linked = link(&gateway, "alice").await;
    let (access, token) = (linked.text("access_token"), linked.text("refresh_token"));
    let hook = hook_of(&gateway, &access).await;
    let hooks_token = hook.token(&gateway).await;
    let refused = hook.send(&gateway, "/revoke", &[("token", &token)]).await;
    assert!(refused.is_oauth_error(400, "invalid_grant"), "{refused:?}");
    let token = refresh(&gateway, &token).await.text("refresh_token");
    for hint in ["access_token", "refresh_token"] {
        let fields = [("client_id", "sp_bridge"), ("token", token.as_str()), ("token_type_hint", hint)];
        let revoked = send(post(&gateway, "/revoke", &fields)).await;
        assert!(revoked.status == StatusCode::OK && revoked.json() == json!({}), "{revoked:?}");
    }
    assert!(!gateway.admits(&access).await && !gateway.admits(&hooks_token).await);
    assert!(refresh(&gateway, &token).await.is_oauth_error(400, "invalid_grant"));
}

async fn row_119_a_refresh_token_is_introspected_as_it_is_now(db: impl Backend) {
    let gateway = renewing(&db).await;
    let linked = link(&gateway, "alice").await;
    let old = linked.text("refresh_token");
    let ask = async |token: &str| server().send(&gateway, "/introspect", &[("token", token)]).await.json();
    let known = ask(&old).await;
    let expected = json!({
        "active": true,
        "scope": "chat tools",
        "client_id": "sp_bridge",
        "username": "alice",
        "sub": "alice",
        "iss": "https://gateway.example",
        "sid": claims(&linked.text("access_token"))["sid"],
        "iat": known["iat"],
    });
    assert_eq!(known, expected);
    let inactive = json!({ "active": false });
    let hook = hook(&gateway, "alice").await;
    assert_eq!(hook.send(&gateway, "/introspect", &[("token", &old)]).await.json(), inactive);
    let new = refresh(&gateway, &old).await.text("refresh_token");
    assert_eq!(ask(&old).await, inactive);
    assert_eq!(ask(&new).await["active"], true);
    revoke(&gateway, &new).await;
    assert_eq!(ask(&new).await, inactive);
}

async fn session_gives_a_refresh_token_where_it_is_told_to(db: impl Backend) {
    let gateway = Gateway::over(oauth_builder(&db).await.session_refresh_tokens(true).build().unwrap()).await;
    let linked = gateway.exchange(&gateway.code("alice").await).await;
    let next = refresh(&gateway, &linked.text("refresh_token")).await;
    assert!(gateway.admits(&next.text("access_token")).await);
    let without = renewing(&db).await;
    let linked = without.exchange(&without.code("alice").await).await;
    assert!(linked.json().get("refresh_token").is_none());
}

#[tokio::test]
async fn row_3_attack_a73_who_may_not_refresh_is_told_so() {
    let db = SqliteBackend::start().await;
    let with = renewing(&db).await;
    let token = link(&with, "alice").await.text("refresh_token");
    let hook = hook(&with, "alice").await;
    let fields = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
    assert!(hook.send(&with, "/token", &fields).await.is_oauth_error(400, "unauthorized_client"));
    assert!(server().send(&with, "/token", &fields).await.is_oauth_error(400, "unauthorized_client"));
    assert!(send(post(&with, "/token", &fields)).await.is_oauth_error(401, "invalid_client"));
    assert!(refresh(&with, "").await.is_oauth_error(400, "invalid_request"));
    let unknown = refresh(&with, &"A".repeat(43)).await;
    let long = "a".repeat(10_000);
    for garbage in ["x", "\u{0}", "\u{e9}", "a.b.c", &long, &token[..42], &hook.secret] {
        assert_eq!(refresh(&with, garbage).await, unknown, "{garbage:.20}");
    }
    assert_eq!(refresh(&with, &token).await.status, StatusCode::OK);

    let without = gateway(&db).await;
    assert!(refresh(&without, &token).await.is_oauth_error(400, "unsupported_grant_type"));
    assert!(link(&without, "alice").await.json().get("refresh_token").is_none());
}

#[tokio::test]
async fn row_30_a_store_that_cannot_answer_uses_up_no_token() {
    let db = SqliteBackend::start().await;
    let gateway = renewing(&db).await;
    let token = link(&gateway, "alice").await.text("refresh_token");
    db.break_down();
    for down in [refresh(&gateway, &token).await, revoke(&gateway, &token).await] {
        assert!(down.is_oauth_error(503, "temporarily_unavailable"), "{down:?}");
        assert_eq!(down.header("retry-after"), "1");
    }
}

#[tokio::test]
async fn what_can_be_done_is_told_by_the_capabilities() {
    let db = SqliteBackend::start().await;
    let path = format!("{}/capabilities", crate::support::gateway::PREFIX);
    let modes = async |gateway: Gateway| {
        send(gateway.request(http::Method::GET, &path)).await.json()["modes"].clone()
    };
    let all = json!(["session", "oauth-client", "refresh", "introspection", "revocation"]);
    assert_eq!(modes(renewing(&db).await).await, all);
    let some = json!(["session", "oauth-client", "introspection", "revocation"]);
    assert_eq!(modes(gateway(&db).await).await, some);
    assert_eq!(modes(Gateway::start(&db).await).await, json!(["session", "oauth-client"]));
}
