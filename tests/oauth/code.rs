//! The exchange code at `POST /token`, by the rules of `POST /session`: CHECKLIST 1.B.

use std::collections::HashSet;
use std::time::Duration;

use bridge_auth::id::ExchangeCode;
use http::StatusCode;

use super::given::{claims, code_grant, gateway, pkce_code, post};
use crate::support::bridge::user;
use crate::support::gateway::send;
use crate::support::{Backend, SqliteBackend};

crate::store::promises![
    row_31_and_32_a_code_is_spent_once_and_its_replay_revokes,
    row_33_of_many_racers_one_gets_the_token,
    row_35_to_37_a_code_needs_its_own_verifier_and_client,
    row_43_attack_a60_a_disabled_person_gets_nothing,
];

#[test]
fn row_24_ten_thousand_codes_do_not_repeat_and_every_digit_is_as_likely() {
    let codes: HashSet<_> = (0..10_000).map(|_| ExchangeCode::random().expose().to_owned()).collect();
    assert_eq!(codes.len(), 10_000);
    let mut seen = [0_i32; 16];
    for digit in codes.iter().flat_map(|code| code.chars()) {
        seen[digit.to_digit(16).unwrap() as usize] += 1;
    }
    // Of 640 000 digits each is 40 000, give or take ten times the standard deviation of 194.
    assert!(seen.iter().all(|count| (count - 40_000).abs() < 1940), "{seen:?}");
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
    for verifier in ["a", VERIFIER_OF_ANOTHER, &long, &VERIFIER_OF_ANOTHER[..42], "\u{e9}"] {
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
    let code = pkce_code(&gateway, "alice").await;
    gateway.bridge.admin().disable_user(&user("alice")).await.unwrap();
    let refused = send(post(&gateway, "/token", &code_grant(&code))).await;
    assert!(refused.is_oauth_error(400, "invalid_grant"), "{refused:?}");
}

#[tokio::test]
async fn row_39_a_code_in_the_query_is_refused_and_not_spent() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let code = pkce_code(&gateway, "alice").await;
    let refused = send(post(&gateway, &format!("/token?code={code}"), &code_grant(&code))).await;
    assert!(refused.is_oauth_error(400, "invalid_request"), "{refused:?}");
    assert_eq!(send(post(&gateway, "/token", &code_grant(&code))).await.status, StatusCode::OK);
}

#[tokio::test]
async fn attack_a58_a_declared_session_id_is_taken_as_at_session() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let ask = async |code: &str, session: &str| {
        send(post(&gateway, "/token", &code_grant(code)).header("x-session-id", session)).await
    };
    let opened = ask(&pkce_code(&gateway, "alice").await, "my-laptop").await;
    assert_eq!(claims(&opened.text("access_token"))["sid"], "my-laptop");
    let code = pkce_code(&gateway, "bob").await;
    let taken = ask(&code, "my-laptop").await;
    assert!(taken.is_oauth_error(409, "session_id_taken"), "{taken:?}");
    assert!(ask(&code, "no id").await.is_oauth_error(400, "invalid_request"));
    assert_eq!(ask(&code, "bobs").await.status, StatusCode::OK);
}

#[tokio::test]
async fn row_41_attack_a54_bad_codes_are_all_alike() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let spent = pkce_code(&gateway, "alice").await;
    assert_eq!(send(post(&gateway, "/token", &code_grant(&spent))).await.status, StatusCode::OK);
    let expired = pkce_code(&gateway, "alice").await;
    db.pass_time(Duration::from_secs(121)).await;
    let expected = send(post(&gateway, "/token", &code_grant(&"0".repeat(64)))).await;
    assert!(expected.is_oauth_error(400, "invalid_grant"), "{expected:?}");
    let upper = spent.to_uppercase();
    for code in [
        spent.as_str(),
        &expired,
        &upper,
        "0x",
        "\u{0}",
        "\u{661}",
        " ",
        &"a".repeat(63),
        &"a".repeat(10_000),
    ] {
        assert_eq!(send(post(&gateway, "/token", &code_grant(code))).await, expected, "{code:.20}");
    }
}
