//! The exchange over HTTP: one winner, refusals that cannot be told apart, declared ids, PKCE.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bridge_auth::id::{CodeVerifier, ExchangeCode};
use bridge_auth::store::{SessionLimit, WhenFull};
use futures_util::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::support::Backend;
use crate::support::bridge::{builder, builder_with, user};
use crate::support::gateway::{Answer, Gateway, send};

crate::store::promises![
    every_bad_code_is_answered_alike,
    a_bad_code_is_answered_alike_with_a_verifier_too,
    a_code_is_text_in_the_body_and_nowhere_else,
    beyond_eight_open_codes_the_oldest_dies,
    who_is_let_in_is_whose_code_it_is_whoever_brings_it,
    of_64_racers_on_two_gateways_one_wins,
    a_replay_revokes_what_the_first_use_opened,
    a_wrong_code_revokes_nothing,
    only_the_verifier_of_the_challenge_opens_the_code,
    a_challenge_is_s256_or_refused,
    a_declared_session_id_is_taken_renewed_or_refused,
    a_malformed_declared_id_is_refused_and_the_code_is_not_spent,
    where_declared_ids_are_off_the_header_is_not_looked_at,
    a_full_house_refuses_and_does_not_spend_the_code,
];

/// The refusal that every bad code gets: that of one that was never issued.
async fn refusal(gateway: &Gateway) -> Answer {
    let refusal = gateway.exchange(ExchangeCode::random().expose()).await;
    assert_eq!(refusal.status, StatusCode::BAD_REQUEST);
    assert_eq!(refusal.json()["error"], "invalid_grant");
    assert_eq!(refusal.header("cache-control"), "no-store");
    assert_eq!(refusal.header("pragma"), "no-cache");
    refusal
}

async fn exchange_as(gateway: &Gateway, code: &str, session: &str) -> Answer {
    send(gateway.post("/session", &json!({ "code": code })).header("x-session-id", session)).await
}

async fn every_bad_code_is_answered_alike(db: impl Backend) {
    let gateway = Gateway::start(&db).await;
    let unknown = refusal(&gateway).await;

    let spent = gateway.code("alice").await;
    assert_eq!(gateway.exchange(&spent).await.status, StatusCode::OK);
    assert_eq!(gateway.exchange(&spent).await, unknown, "spent");

    let disabled = gateway.code("bob").await;
    gateway.bridge.admin().disable_user(&user("bob")).await.unwrap();
    assert_eq!(gateway.exchange(&disabled).await, unknown, "user disabled");

    let expired = gateway.code("carol").await;
    db.pass_time(Duration::from_secs(121)).await;
    assert_eq!(gateway.exchange(&expired).await, unknown, "expired");

    let good = gateway.code("dave").await;
    let forms = [
        good.to_uppercase(),
        good[..63].to_owned(),
        format!("{good}0"),
        format!(" {good}"),
        format!("{good}\n"),
        format!("0x{}", &good[..62]),
        format!("{}\u{0}", &good[..63]),
        "\u{ff10}".repeat(64),
        "g".repeat(64),
        "' OR 1=1 --".to_owned(),
        "\u{202e}\u{1f980}".to_owned(),
        "a".repeat(10_000),
        String::new(),
    ];
    for form in forms {
        assert_eq!(gateway.exchange(&form).await, unknown, "{form:?}");
    }
    assert_eq!(gateway.exchange(&good).await.status, StatusCode::OK);
}

async fn a_bad_code_is_answered_alike_with_a_verifier_too(db: impl Backend) {
    let gateway = Gateway::start(&db).await;
    let unknown = refusal(&gateway).await;
    let code = gateway.code("alice").await;
    let random = CodeVerifier::random();
    for verifier in
        [random.expose(), "", "short", &"a".repeat(42), &"a".repeat(129), &"é".repeat(50), "\u{0}"]
    {
        let body = json!({ "code": code, "code_verifier": verifier });
        assert_eq!(send(gateway.post("/session", &body)).await, unknown, "{verifier:?}");
    }
    assert_eq!(gateway.exchange(&code).await.status, StatusCode::OK);
}

async fn a_code_is_text_in_the_body_and_nowhere_else(db: impl Backend) {
    let gateway = Gateway::start(&db).await;
    let code = gateway.code("alice").await;
    let invalid = send(gateway.post("/session", &json!({}))).await;
    assert_eq!(
        (invalid.status, invalid.text("error").as_str()),
        (StatusCode::BAD_REQUEST, "invalid_request")
    );
    let forms = [
        json!({ "code": [code] }),
        json!({ "code": { "code": code } }),
        json!({ "code": null }),
        json!({ "code": true }),
        json!({ "code": 1 }),
        json!({ "code": 1e300 }),
        json!({ "CODE": code }),
        json!({ "code": code, "code_verifier": 1 }),
        json!([code]),
        json!(code),
        json!(null),
    ];
    for form in forms {
        assert_eq!(send(gateway.post("/session", &form)).await, invalid, "{form}");
    }
    let twice = gateway.post("/session", &json!({})).body(format!(r#"{{"code":"{code}","code":"{code}"}}"#));
    assert_eq!(send(twice).await, invalid);
    let in_the_query = gateway.post(&format!("/session?code={code}"), &json!({}));
    assert_eq!(send(in_the_query).await, invalid);
    assert_eq!(gateway.exchange(&code).await.status, StatusCode::OK);
}

async fn beyond_eight_open_codes_the_oldest_dies(db: impl Backend) {
    let gateway = Gateway::start(&db).await;
    let mut codes = Vec::new();
    for _ in 0..9 {
        codes.push(gateway.code("alice").await);
    }
    assert_eq!(db.count("codes").await, 8);
    assert_eq!(gateway.exchange(&codes[0]).await, refusal(&gateway).await);
    let mut sessions = HashSet::new();
    for code in &codes[1..] {
        let opened = gateway.exchange(code).await;
        assert!(
            sessions.insert(opened.json()["headers"]["x-session-id"].to_string()),
            "a session of its own"
        );
    }
}

async fn who_is_let_in_is_whose_code_it_is_whoever_brings_it(db: impl Backend) {
    let gateway = Gateway::start(&db).await;
    let (code, bobs) = (gateway.code("alice").await, gateway.link("bob").await);
    let brought = gateway
        .post("/session", &json!({ "code": code, "user_id": "bob", "session_id": "sess_0" }))
        .bearer_auth(bobs)
        .header("cookie", "login=bob")
        .header("x-user-id", "bob")
        .header("x-client-id", "bridge:bob");
    let opened = send(brought).await;
    assert_eq!(opened.json()["headers"]["x-user-id"], "alice");
    assert_eq!(opened.json()["headers"]["x-client-id"], "sp_bridge");
    assert_ne!(opened.json()["headers"]["x-session-id"], "sess_0");
    let seen = gateway.call(http::Method::GET, "/v1/echo", &opened.text("token")).await;
    assert_eq!(seen.text("user_id"), "alice");
}

async fn of_64_racers_on_two_gateways_one_wins(db: impl Backend) {
    let first = Gateway::start(&db).await;
    let keys = first.bridge.keys().clone();
    let second = Gateway::over(builder_with(&db, keys).await.build().unwrap()).await;
    let unknown = refusal(&first).await;
    let code = first.code("alice").await;
    let start = Arc::new(Barrier::new(64));
    let racers = (0..64).map(|racer| {
        let (gateway, start, code) = (if racer % 2 == 0 { &first } else { &second }, start.clone(), &code);
        async move {
            start.wait().await;
            gateway.exchange(code).await
        }
    });
    let answers = join_all(racers).await;
    let (winners, losers): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == StatusCode::OK);
    assert_eq!(winners.len(), 1);
    assert!(losers.iter().all(|loser| *loser == unknown), "{losers:?}");
    assert_eq!(db.count("sessions").await, 1);
    // Who presents a spent code is as good as a thief, and the losers were.
    assert!(!first.admits(&winners[0].text("token")).await);
}

async fn a_replay_revokes_what_the_first_use_opened(db: impl Backend) {
    let gateway = Gateway::start(&db).await;
    let code = gateway.code("alice").await;
    let token = gateway.exchange(&code).await.text("token");
    let other = gateway.link("alice").await;
    assert!(gateway.admits(&token).await);
    assert_eq!(gateway.exchange(&code).await, refusal(&gateway).await);
    assert!(!gateway.admits(&token).await);
    assert!(gateway.admits(&other).await, "the person's other bridge is not concerned");
}

async fn a_wrong_code_revokes_nothing(db: impl Backend) {
    let gateway = Gateway::start(&db).await;
    let code = gateway.code("alice").await;
    let token = gateway.exchange(&code).await.text("token");
    for wrong in [code.to_uppercase(), code[..63].to_owned(), ExchangeCode::random().expose().to_owned()] {
        gateway.exchange(&wrong).await;
    }
    assert!(gateway.admits(&token).await);
}

async fn only_the_verifier_of_the_challenge_opens_the_code(db: impl Backend) {
    let gateway = Gateway::start(&db).await;
    let unknown = refusal(&gateway).await;
    let verifier = CodeVerifier::random();
    let challenge = verifier.challenge();
    let asked =
        json!({ "code_challenge": challenge.as_str(), "code_challenge_method": "S256", "unknown": 1 });
    let code = gateway.code_with("alice", &asked).await;
    let present = |verifier: Value| {
        let body = match verifier {
            Value::Null => json!({ "code": code }),
            verifier => json!({ "code": code, "code_verifier": verifier }),
        };
        send(gateway.post("/session", &body))
    };
    let another = CodeVerifier::random();
    for wrong in [
        Value::Null,
        json!(another.expose()),
        json!(challenge.as_str()),
        json!(verifier.expose().to_uppercase()),
        json!("short"),
        json!(""),
        json!("a".repeat(129)),
    ] {
        assert_eq!(present(wrong.clone()).await, unknown, "{wrong}");
    }
    let malformed = present(json!(1)).await;
    assert_eq!(
        (malformed.status, malformed.text("error").as_str()),
        (StatusCode::BAD_REQUEST, "invalid_request")
    );
    assert_eq!(present(json!(verifier.expose())).await.status, StatusCode::OK);
}

async fn a_challenge_is_s256_or_refused(db: impl Backend) {
    let gateway = Gateway::start(&db).await;
    let challenge = CodeVerifier::random().challenge().as_str().to_owned();
    for body in [
        json!({ "code_challenge": challenge, "code_challenge_method": "plain" }),
        json!({ "code_challenge": challenge, "code_challenge_method": "s256" }),
        json!({ "code_challenge": challenge }),
        json!({ "code_challenge_method": "S256" }),
        json!({ "code_challenge": "", "code_challenge_method": "S256" }),
        json!({ "code_challenge": challenge[..42], "code_challenge_method": "S256" }),
        json!({ "code_challenge": format!("{challenge}="), "code_challenge_method": "S256" }),
        json!({ "code_challenge": "+".repeat(43), "code_challenge_method": "S256" }),
        json!({ "code_challenge": 1, "code_challenge_method": "S256" }),
    ] {
        let refused = send(gateway.post("/code", &body).header("cookie", "login=alice")).await;
        assert_eq!(
            (refused.status, refused.text("code").as_str()),
            (StatusCode::BAD_REQUEST, "invalid_request"),
            "{body}"
        );
    }
    assert_eq!(db.count("codes").await, 0);
}

async fn a_declared_session_id_is_taken_renewed_or_refused(db: impl Backend) {
    let gateway = Gateway::start(&db).await;
    let opened = exchange_as(&gateway, &gateway.code("alice").await, "my-editor").await;
    assert_eq!(opened.json()["headers"]["x-session-id"], "my-editor");
    let renewed = exchange_as(&gateway, &gateway.code("alice").await, "my-editor").await;
    assert_eq!(renewed.status, StatusCode::OK, "{renewed:?}");
    assert!(gateway.admits(&opened.text("token")).await && gateway.admits(&renewed.text("token")).await);
    assert_eq!(db.count("sessions").await, 1);

    let is_taken =
        |answer: &Answer| answer.status == StatusCode::CONFLICT && answer.text("error") == "session_id_taken";
    let bobs = gateway.code("bob").await;
    let taken = exchange_as(&gateway, &bobs, "my-editor").await;
    assert!(is_taken(&taken), "another's: {taken:?}");
    assert_eq!(gateway.exchange(&bobs).await.status, StatusCode::OK, "the code was not spent");

    gateway.operate(http::Method::DELETE, "/sessions/my-editor").await;
    let alices = gateway.code("alice").await;
    assert_eq!(exchange_as(&gateway, &alices, "my-editor").await, taken, "revoked");
    assert_eq!(exchange_as(&gateway, &alices, "short-lived").await.status, StatusCode::OK);
    db.pass_time(Duration::from_secs(24 * 3600 + 1)).await;
    assert_eq!(exchange_as(&gateway, &gateway.code("alice").await, "short-lived").await, taken, "expired");
}

async fn a_malformed_declared_id_is_refused_and_the_code_is_not_spent(db: impl Backend) {
    let gateway = Gateway::start(&db).await;
    let code = gateway.code("alice").await;
    for malformed in ["", "a b", "a.b", "a/b", &"a".repeat(129), "a,b"] {
        let refused = exchange_as(&gateway, &code, malformed).await;
        let seen = (refused.status, refused.text("error"));
        assert_eq!(seen, (StatusCode::BAD_REQUEST, "invalid_request".to_owned()), "{malformed:?}");
    }
    let body = json!({ "code": code });
    let twice = gateway.post("/session", &body).header("x-session-id", "a").header("x-session-id", "a");
    assert_eq!(send(twice).await.text("error"), "invalid_request");
    assert_eq!(gateway.exchange(&code).await.status, StatusCode::OK);
}

async fn where_declared_ids_are_off_the_header_is_not_looked_at(db: impl Backend) {
    let gateway = Gateway::over(builder(&db).await.declared_session_ids(false).build().unwrap()).await;
    for declared in ["my-editor", "no id"] {
        let opened = exchange_as(&gateway, &gateway.code("alice").await, declared).await;
        let session = opened.json()["headers"]["x-session-id"].as_str().unwrap().to_owned();
        assert!(session.starts_with("sess_"), "{session}");
    }
}

async fn a_full_house_refuses_and_does_not_spend_the_code(db: impl Backend) {
    let limit = SessionLimit::new(2, WhenFull::Refuse);
    let gateway = Gateway::over(builder(&db).await.session_limit(limit).build().unwrap()).await;
    let tokens: HashSet<_> = [gateway.link("alice").await, gateway.link("alice").await].into();
    let code = gateway.code("alice").await;
    let refused = gateway.exchange(&code).await;
    assert_eq!((refused.status, refused.text("error").as_str()), (StatusCode::CONFLICT, "too_many_sessions"));
    let one = tokens.iter().next().unwrap();
    gateway.call(http::Method::POST, "/v1/auth/bridge/logout", one).await;
    assert_eq!(gateway.exchange(&code).await.status, StatusCode::OK);
}
