//! Clients that do not prove who they are, and requests that an endpoint does not take.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, COOKIE, LOCATION};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{line_of, lines, told};
use crate::oauth::given::{Hook, SERVER, SERVER_SECRET, basic, hook, post, server};
use crate::sign_in::given::{CALLBACK, CHALLENGE, EDITOR, sign_in_builder};
use crate::support::gateway::{Answer, Gateway, PREFIX, send};
use crate::support::record::Record;
use crate::support::{Backend, SqliteBackend};

const CC: (&str, &str) = ("grant_type", "client_credentials");
const WRONG: &str = "d3Jvbmcgc2VjcmV0IG9mIDMyIHJhbmRvbSBieXRlcyE";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

async fn gateway(db: &impl Backend) -> Gateway {
    Gateway::over(told(sign_in_builder(db).await).build().unwrap()).await
}

/// Each has one line, which says where it came from, and the exact reason.
fn check(record: &Record, name: &str, answer: &Answer, reason: &str, detail: &str) -> Value {
    let line = line_of(record, answer);
    assert_eq!(line["reason"], reason, "{name}: {line}");
    assert!(line["detail"].as_str().unwrap().contains(detail), "{name}: {line}");
    assert_eq!(
        (&line["address"], &line["status"]),
        (&json!("127.0.0.1"), &json!(answer.status.as_u16())),
        "{name}"
    );
    assert_eq!(answer.json()["trace_id"], line["trace_id"], "{name}: {answer:?}");
    assert_eq!(answer.json()["error"], line["code"], "{name}: {answer:?}");
    line
}

#[tokio::test]
async fn each_failed_client_authentication_has_one_line_with_its_exact_reason_and_address() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let Hook { id, secret } = hook(&gateway, "alice").await;
    let record = Record::default();
    let _listening = record.listen();
    let refresh = [("grant_type", "refresh_token"), ("client_id", "sp_bridge"), ("refresh_token", WRONG)];
    let shown = ["", "x", "xx"].map(|more| format!("{id}:{secret}{more}"));
    let shown = shown.iter().find(|shown| shown.len() % 3 != 0).unwrap();
    let unpadded = format!("Basic {}", STANDARD.encode(shown).trim_end_matches('='));
    let assertion = |kind| [CC, ("client_assertion_type", kind), ("client_assertion", "a.b.c")];
    let with = |fields: &[(&str, &str)], header: &str| {
        let request = post(&gateway, "/token", fields);
        send(if header.is_empty() { request } else { request.header(AUTHORIZATION, header.to_owned()) })
    };
    let bearer = format!("Bearer {WRONG}");
    let cases: Vec<(&str, Answer, &str, &str, &str)> = vec![
        (
            "wrong",
            with(&[CC], &basic(format!("{id}:{WRONG}"))).await,
            "wrong_secret",
            "no live device",
            "address, client",
        ),
        (
            "short",
            with(&[CC], &basic(format!("{id}:short"))).await,
            "wrong_secret",
            "no live device",
            "address, client",
        ),
        ("bearer", with(&refresh, &bearer).await, "malformed_authorization", "scheme Bearer", "address"),
        ("probe", with(&refresh, &basic("sp_bridge:")).await, "refresh_refused", "unknown", "address"),
        ("padding", with(&[CC], &unpadded).await, "malformed_authorization", "base64", "address"),
        ("none", with(&[CC], "").await, "no_client", "names no client", "address"),
        ("type", with(&assertion("x"), "").await, "unknown_assertion_type", "'x'", "address"),
        ("malformed", with(&assertion(ASSERTION_TYPE), "").await, "invalid_assertion", "no JWT", "address"),
        (
            "server",
            with(&[CC], &basic(format!("{SERVER}:{WRONG}"))).await,
            "wrong_secret",
            "resource server",
            "address, client",
        ),
        (
            "stranger",
            with(&[CC], &basic(format!("nobody:{WRONG}"))).await,
            "unknown_client",
            "no client",
            "address, client",
        ),
    ];
    for (name, answer, reason, detail, charged) in &cases {
        let line = check(&record, name, answer, reason, detail);
        assert_eq!(
            (&line["route"], &line["method"]),
            (&json!(format!("{PREFIX}/token")), &json!("POST")),
            "{name}"
        );
        assert_eq!(line["charged"], *charged, "{name}: {line}");
        assert!(line.get("client_id").is_none(), "nothing is proved: {line}");
        let claims = ["wrong", "short"].contains(name).then_some(id.as_str());
        assert!(claims.is_none_or(|id| line["claimed_client_id"] == id), "{name}: {line}");
    }
    assert_eq!(lines(&record).len(), cases.len(), "one line for each");
    let text = record.text();
    for hidden in [WRONG, &secret, SERVER_SECRET, unpadded.trim_start_matches("Basic "), "nobody"] {
        assert!(!text.contains(hidden), "{hidden} was logged");
    }
}

#[tokio::test]
async fn a_client_that_proved_itself_is_named_when_its_request_is_refused() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let alice = hook(&gateway, "alice").await;
    let record = Record::default();
    let _listening = record.listen();
    let scope = alice.ask(&gateway, &[("scope", "no:such")]).await;
    let line = check(&record, "scope", &scope, "invalid_scope", "scope");
    assert_eq!((&line["client_id"], &line["user_id"]), (&json!(alice.id), &json!("alice")));
    assert!(line.get("claimed_client_id").is_none() && line.get("charged").is_none(), "{line}");
    let refused = server().send(&gateway, "/token", &[CC]).await;
    assert_eq!(check(&record, "server", &refused, "unauthorized_client", "grant")["client_id"], SERVER);
}

#[tokio::test]
async fn a_bad_code_has_one_answer_and_each_reason_has_its_own_line() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let code = gateway.code("alice").await;
    assert_eq!(gateway.exchange(&code).await.status, StatusCode::OK);
    let record = Record::default();
    let _listening = record.listen();
    let answers = [
        (gateway.exchange(&"0".repeat(64)).await, "code_refused", "unknown"),
        (gateway.exchange("short").await, "code_malformed", "64 characters"),
        (gateway.exchange(&code).await, "code_replayed", "spent before"),
    ];
    for (answer, reason, detail) in &answers {
        let line = check(&record, reason, answer, reason, detail);
        assert_eq!((&line["code"], &line["charged"]), (&json!("invalid_grant"), &json!("address")), "{line}");
        assert_eq!(*answer, answers[0].0, "the caller cannot tell them apart");
        let knows = *reason == "code_replayed";
        assert_eq!(line.get("user_id").is_some_and(|user| user == "alice"), knows, "{line}");
    }
    assert!(!record.text().contains(&code));
}

#[tokio::test]
async fn what_an_endpoint_does_not_take_has_a_line_and_a_trace_too() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let record = Record::default();
    let _listening = record.listen();
    for (method, path, reason, route) in [
        (Method::GET, "/token", "method_not_allowed", format!("{PREFIX}/token")),
        (Method::POST, "/code", "sign_in_required", format!("{PREFIX}/code")),
        (Method::GET, "/sessions", "no_credential", format!("{PREFIX}/sessions")),
        (Method::DELETE, "/sessions/sess_0", "no_credential", format!("{PREFIX}/sessions/{{id}}")),
        (Method::GET, "/nothing", "not_found", "/nothing".to_owned()),
    ] {
        let answer = send(gateway.request(method, &format!("{PREFIX}{path}"))).await;
        let line = line_of(&record, &answer);
        assert_eq!((&line["reason"], &line["route"]), (&json!(reason), &json!(route)), "{line}");
        assert_eq!(answer.json()["trace_id"], line["trace_id"], "{answer:?}");
    }
    let answer = gateway.operate(Method::GET, "/users/nobody").await;
    let line = line_of(&record, &answer);
    assert_eq!((&line["reason"], &line["route"]), (&json!("not_found"), &json!("/users/{id}")), "{line}");
    assert!(line["operator"].is_string(), "{line}");
}

#[tokio::test]
async fn a_page_that_refuses_has_a_line_with_the_person_and_a_trace() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let record = Record::default();
    let _listening = record.listen();
    let visit = |query: &str| {
        let path = format!("{PREFIX}/authorize?{query}");
        send(gateway.request(Method::GET, &path).header(COOKIE, "login=alice"))
    };
    let stranger = visit("client_id=nobody").await;
    let line = line_of(&record, &stranger);
    assert_eq!((&line["reason"], &line["user_id"]), (&json!("unknown_client"), &json!("alice")), "{line}");
    let told = visit(&format!(
        "client_id={EDITOR}&redirect_uri={CALLBACK}&response_type=token&code_challenge={CHALLENGE}"
    ));
    let told = told.await;
    assert_eq!(told.status, StatusCode::SEE_OTHER);
    let line = line_of(&record, &told);
    assert_eq!(line["reason"], "unsupported_response_type", "{line}");
    assert_eq!(line["claimed_client_id"], EDITOR, "{line}");
    // Somebody who must sign in is not refused.
    let login = send(gateway.request(Method::GET, &format!("{PREFIX}/devices"))).await;
    assert!(
        login.header(LOCATION.as_str()).starts_with("/login") && !login.headers.contains_key("x-trace-id")
    );
    assert_eq!(lines(&record).len(), 2);
}
