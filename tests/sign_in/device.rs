//! The device grant (RFC 8628), as programs see it.

use std::time::Duration;

use futures_util::future::join_all;
use http::{Method, StatusCode};
use serde_json::json;

use super::given::{
    Codes, EDITOR, MCP, SERVER, SERVER_SECRET, basic, decide, gateway, open, poll, post, start, submit,
    ticket,
};
use crate::oauth::given::claims;
use crate::support::Backend;
use crate::support::gateway::{Gateway, send};

crate::store::promises![
    row_l1_a_program_gets_codes_that_no_cache_keeps,
    row_l1_scope_and_resource_are_kept_to_the_token,
    row_l2_pending_then_denied,
    row_l2_a_poller_that_is_too_fast_gets_in_once_it_obeys,
    row_l2_a_code_that_nobody_decided_expires,
    row_l3_of_64_pollers_one_gets_the_tokens,
    row_l3_of_64_decisions_one_is_stored,
    an_allowed_code_that_nobody_collects_holds_no_live_session,
    what_an_operator_ended_is_not_collected,
    a_code_is_good_for_its_own_client_alone,
];

const AN_INTERVAL: Duration = Duration::from_secs(6);

async fn row_l1_a_program_gets_codes_that_no_cache_keeps(db: impl Backend) {
    let gateway = gateway(&db).await;
    for client in ["sp_bridge", EDITOR] {
        let answer = send(post(&gateway, "/device_authorization", &[("client_id", client)])).await;
        assert!(answer.status == 200 && answer.is_not_stored(), "{answer:?}");
        let user_code = answer.text("user_code");
        assert_eq!(answer.text("device_code").len(), 43);
        assert!(user_code.len() == 9 && user_code.as_bytes()[4] == b'-', "{user_code}");
        let uri = "https://gateway.example/v1/auth/bridge/device";
        assert_eq!(answer.text("verification_uri"), uri);
        assert_eq!(answer.text("verification_uri_complete"), format!("{uri}?user_code={user_code}"));
        assert_eq!((&answer.json()["expires_in"], &answer.json()["interval"]), (&json!(600), &json!(5)));
    }
    let secret = basic(format!("{SERVER}:{SERVER_SECRET}"));
    let confidential = post(&gateway, "/device_authorization", &[]).header("authorization", secret);
    assert_eq!(send(confidential).await.status, StatusCode::OK);
    for (fields, status, code) in [
        (&[][..], 401, "invalid_client"),
        (&[("client_id", "nobody")], 401, "invalid_client"),
        (&[("client_id", SERVER)], 401, "invalid_client"),
        (&[("client_id", EDITOR), ("scope", "a\"b")], 400, "invalid_scope"),
        (&[("client_id", EDITOR), ("resource", "https://other.example")], 400, "invalid_target"),
        (&[("client_id", EDITOR), ("client_id", EDITOR)], 400, "invalid_request"),
    ] {
        let refused = send(post(&gateway, "/device_authorization", fields)).await;
        assert!(refused.is_oauth_error(status, code), "{fields:?} {refused:?}");
    }
    let json = gateway.post("/device_authorization", &json!({ "client_id": EDITOR }));
    assert!(send(json).await.is_oauth_error(415, "invalid_request"));
    assert_eq!(open(&gateway, "alice", "/device_authorization").await.status, StatusCode::METHOD_NOT_ALLOWED);
}

async fn row_l1_scope_and_resource_are_kept_to_the_token(db: impl Backend) {
    let gateway = gateway(&db).await;
    let asked = [("scope", "chat admin"), ("resource", MCP)];
    let codes = start(&gateway, EDITOR, &asked).await;
    assert_eq!(decide(&gateway, "alice", &codes, "allow").await.status, StatusCode::OK);
    let answer = poll(&gateway, EDITOR, &codes).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert!(answer.is_not_stored());
    // `admin` is not the person's to give.
    assert_eq!(answer.json()["scope"], "chat");
    let claims = claims(&answer.text("access_token"));
    assert_eq!((&claims["aud"], &claims["client_id"]), (&json!([MCP]), &json!(EDITOR)));
    let refresh = [
        ("grant_type", "refresh_token"),
        ("client_id", EDITOR),
        ("refresh_token", &answer.text("refresh_token")),
    ];
    let refreshed = send(post(&gateway, "/token", &refresh)).await;
    assert_eq!(crate::oauth::given::claims(&refreshed.text("access_token"))["aud"], json!([MCP]));
    let again = poll(&gateway, EDITOR, &codes).await;
    assert!(again.is_oauth_error(400, "invalid_grant"), "{again:?}");
}

async fn row_l2_pending_then_denied(db: impl Backend) {
    let gateway = gateway(&db).await;
    let codes = start(&gateway, EDITOR, &[]).await;
    let pending = poll(&gateway, EDITOR, &codes).await;
    assert!(pending.is_oauth_error(400, "authorization_pending"), "{pending:?}");
    assert_eq!(decide(&gateway, "alice", &codes, "deny").await.status, StatusCode::OK);
    for _ in 0..2 {
        let denied = poll(&gateway, EDITOR, &codes).await;
        assert!(denied.is_oauth_error(400, "access_denied"), "{denied:?}");
    }
    assert_eq!(db.count("sessions").await, 0);
}

async fn row_l2_a_poller_that_is_too_fast_gets_in_once_it_obeys(db: impl Backend) {
    let gateway = gateway(&db).await;
    let codes = start(&gateway, EDITOR, &[]).await;
    let is = async |code: &str| {
        let answer = poll(&gateway, EDITOR, &codes).await;
        assert!(answer.is_oauth_error(400, code), "{code} {answer:?}");
    };
    is("authorization_pending").await;
    is("slow_down").await;
    is("slow_down").await;
    // The interval is ten seconds now, from the first poll on. Polls that came too early do not move it.
    db.pass_time(AN_INTERVAL).await;
    is("slow_down").await;
    db.pass_time(AN_INTERVAL).await;
    is("authorization_pending").await;
    assert_eq!(decide(&gateway, "alice", &codes, "allow").await.status, StatusCode::OK);
    assert_eq!(poll(&gateway, EDITOR, &codes).await.status, StatusCode::OK);
}

async fn row_l2_a_code_that_nobody_decided_expires(db: impl Backend) {
    let gateway = gateway(&db).await;
    let (undecided, uncollected) = (start(&gateway, EDITOR, &[]).await, start(&gateway, EDITOR, &[]).await);
    assert_eq!(decide(&gateway, "alice", &uncollected, "allow").await.status, StatusCode::OK);
    db.pass_time(Duration::from_secs(601)).await;
    for codes in [&undecided, &uncollected] {
        let expired = poll(&gateway, EDITOR, codes).await;
        assert!(expired.is_oauth_error(400, "expired_token"), "{expired:?}");
    }
    let shown = open(&gateway, "alice", &format!("/device?user_code={}", undecided.user)).await;
    assert!(!super::given::html(&shown).contains("name=\"ticket\""));
}

async fn row_l3_of_64_pollers_one_gets_the_tokens(db: impl Backend) {
    let gateway = gateway(&db).await;
    let codes = start(&gateway, EDITOR, &[]).await;
    assert_eq!(decide(&gateway, "alice", &codes, "allow").await.status, StatusCode::OK);
    let answers = join_all((0..64).map(|_| poll(&gateway, EDITOR, &codes))).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(won.len(), 1);
    assert!(lost.iter().all(|answer| answer.is_oauth_error(400, "invalid_grant")), "{:?}", lost[0]);
    assert_eq!(db.count("sessions").await, 1);
    assert!(gateway.admits(&won[0].text("access_token")).await, "the losers end nothing");
}

async fn row_l3_of_64_decisions_one_is_stored(db: impl Backend) {
    let gateway = gateway(&db).await;
    let codes = start(&gateway, EDITOR, &[]).await;
    let page = format!("/device?user_code={}", codes.user);
    let shown = open(&gateway, "alice", &page).await;
    let ticket = ticket(&shown);
    let decisions = (0..64).map(async |number| {
        let decision = if number % 2 == 0 { "allow" } else { "deny" };
        let answer =
            submit(&gateway, "alice", "/device", &[("ticket", &ticket), ("decision", decision)]).await;
        (decision, answer.status)
    });
    let answers = join_all(decisions).await;
    let stored: Vec<_> = answers.iter().filter(|(_, status)| *status == 200).collect();
    assert_eq!(stored.len(), 1, "{answers:?}");
    assert!(answers.iter().all(|(_, status)| [200, 400].contains(&status.as_u16())), "{answers:?}");
    let polled = poll(&gateway, EDITOR, &codes).await;
    assert_eq!(polled.status == 200, stored[0].0 == "allow", "{polled:?}");
}

async fn an_allowed_code_that_nobody_collects_holds_no_live_session(db: impl Backend) {
    let gateway = gateway(&db).await;
    let codes = start(&gateway, EDITOR, &[]).await;
    assert_eq!(decide(&gateway, "alice", &codes, "allow").await.status, StatusCode::OK);
    assert_eq!(db.count("sessions").await, 0);
    let devices = open(&gateway, "alice", "/devices").await;
    assert!(!super::given::html(&devices).contains("The Editor"));
}

async fn what_an_operator_ended_is_not_collected(db: impl Backend) {
    let gateway = gateway(&db).await;
    let (ended, disabled) = (start(&gateway, EDITOR, &[]).await, start(&gateway, EDITOR, &[]).await);
    assert_eq!(decide(&gateway, "alice", &ended, "allow").await.status, StatusCode::OK);
    assert_eq!(decide(&gateway, "bob", &disabled, "allow").await.status, StatusCode::OK);
    assert_eq!(gateway.operate(Method::DELETE, "/users/alice/sessions").await.status, StatusCode::OK);
    assert_eq!(gateway.operate(Method::POST, "/users/bob/disable").await.status, StatusCode::NO_CONTENT);
    for codes in [&ended, &disabled] {
        let refused = poll(&gateway, EDITOR, codes).await;
        assert!(refused.is_oauth_error(400, "invalid_grant"), "{refused:?}");
    }
    let codes = start(&gateway, EDITOR, &[]).await;
    assert_eq!(decide(&gateway, "bob", &codes, "allow").await.status, StatusCode::FORBIDDEN);
    assert_eq!(db.count("sessions").await, 0);
}

async fn a_code_is_good_for_its_own_client_alone(db: impl Backend) {
    let gateway = gateway(&db).await;
    let codes = start(&gateway, EDITOR, &[]).await;
    assert_eq!(decide(&gateway, "alice", &codes, "allow").await.status, StatusCode::OK);
    let foreign = poll(&gateway, "sp_bridge", &codes).await;
    assert!(foreign.is_oauth_error(400, "invalid_grant"), "{foreign:?}");
    let malformed = Codes { device: "x".repeat(4000), user: String::new() };
    assert_eq!(poll(&gateway, EDITOR, &malformed).await, foreign);
    assert_eq!(poll(&gateway, EDITOR, &codes).await.status, StatusCode::OK);
}

/// A host that turns the grant off has no such grant, whoever asks.
#[tokio::test]
async fn row_l16_without_the_endpoint_there_is_no_device_grant() {
    let db = crate::support::SqliteBackend::start().await;
    let bridge = crate::oauth::given::oauth_builder(&db).await.build().unwrap();
    let gateway = Gateway::over(bridge).await;
    let codes = Codes { device: "a".repeat(43), user: String::new() };
    let refused = poll(&gateway, "sp_bridge", &codes).await;
    assert!(refused.is_oauth_error(400, "unsupported_grant_type"), "{refused:?}");
}
