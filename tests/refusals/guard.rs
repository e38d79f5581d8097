//! Requests that a layer or an extractor refuses.

use axum::Router;
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bridge_auth::issue::AccessRequest;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use bridge_auth::{Bridge, Caller, Granted, Scopes, required_scopes};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{line_of, lines, told};
use crate::support::bridge::{access, builder, builder_with, user};
use crate::support::gateway::{Answer, Gateway, send};
use crate::support::record::Record;
use crate::support::{Backend, SqliteBackend};

required_scopes! {
    struct Chat = ["chat:write"];
}

async fn gateway(db: &impl Backend) -> Gateway {
    let bridge = told(builder(db).await).build().unwrap();
    let routes = Router::new()
        .route("/people/{id}", get(|_: Caller| async {}))
        .route("/chat", post(|_: Granted<Chat>| async {}))
        .route_layer(bridge.layer("bridge").unwrap());
    Gateway::with_routes(bridge, routes).await
}

fn token(bridge: &Bridge, name: &str) -> impl Future<Output = String> {
    let bridge = bridge.clone();
    let name = name.to_owned();
    async move { access(&bridge, &name, "chat").await.token.expose().to_owned() }
}

fn check(record: &Record, answer: &Answer, reason: &str, detail: &str) -> Value {
    let line = line_of(record, answer);
    assert_eq!(line["reason"], reason, "{line}");
    assert!(line["detail"].as_str().unwrap().contains(detail), "{detail}: {line}");
    assert_eq!((&line["route"], &line["address"]), (&json!("/people/{id}"), &json!("127.0.0.1")), "{line}");
    assert_eq!(answer.json()["trace_id"], line["trace_id"], "{answer:?}");
    line
}

#[tokio::test]
async fn a_refused_token_has_a_line_with_the_claim_at_fault_and_who_it_is_for() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let keys = gateway.bridge.keys().clone();
    let good = token(&gateway.bridge, "alice").await;
    let ended = access(&gateway.bridge, "alice", "chat").await;
    gateway.bridge.admin().revoke_session(&ended.session).await.unwrap();
    let elsewhere = AccessRequest::for_user(user("alice"), Scopes::parse("chat").unwrap());
    let mcp_alone = builder_with(&db, keys.clone()).await.audiences(["mcp"]).build().unwrap();
    let elsewhere = mcp_alone.issuer().open_access(elsewhere);
    let elsewhere = elsewhere.await.unwrap().token.expose().to_owned();
    let own_keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
    let stranger = builder_with(&db, own_keys).await.build().unwrap();
    let stranger = token(&stranger, "alice").await;
    let issuer = Bridge::builder_with("https://other.example", keys, db.open().await).build().unwrap();
    let issuer = token(&issuer, "alice").await;
    let forged =
        format!("{}{}", &good[..good.len() - 4], if good.ends_with("AAAA") { "BBBB" } else { "AAAA" });
    let record = Record::default();
    let _listening = record.listen();
    for (token, reason, detail, is_known) in [
        (ended.token.expose(), "session_revoked", "session revoked", true),
        (elsewhere.as_str(), "wrong_audience", "aud is 'mcp', expected 'bridge'", true),
        (
            issuer.as_str(),
            "issuer",
            "iss is 'https://other.example', trusted is 'https://gateway.example'",
            true,
        ),
        (stranger.as_str(), "unknown_key", "its issuer is 'https://gateway.example'", false),
        (forged.as_str(), "signature", "the signature does not match the key", false),
        ("a.b.c", "malformed", "bytes", false),
    ] {
        let answer = gateway.call(Method::GET, "/people/7?secret=query", token).await;
        let line = check(&record, &answer, reason, detail);
        let known = if is_known { json!("alice") } else { Value::Null };
        assert_eq!(line.get("user_id").unwrap_or(&Value::Null), &known, "{line}");
        assert_eq!(line.get("session_id").is_some(), is_known, "{line}");
        assert_eq!(line.get("client_id").is_some(), is_known, "{line}");
        assert!(!record.text().contains(token) || token == "a.b.c", "the token was logged");
    }
    let declared =
        gateway.request(Method::GET, "/people/7").bearer_auth(&good).header("x-session-id", "sess_other");
    let line = check(&record, &send(declared).await, "session_id_mismatch", "'sess_other'");
    assert_eq!(line["user_id"], "alice");
    let secret = gateway
        .request(Method::GET, "/people/7")
        .bearer_auth(&good)
        .header("x-session-id", "a-secret-by-mistake");
    check(&record, &send(secret).await, "session_id_mismatch", "another text");
    let nothing = send(gateway.request(Method::GET, "/people/7")).await;
    check(&record, &nothing, "no_credential", "there is no Authorization header");
    let basic = send(gateway.request(Method::GET, "/people/7").basic_auth("alice", Some("hunter2"))).await;
    check(&record, &basic, "no_credential", "the scheme Basic");
    for hidden in ["secret=query", "a-secret-by-mistake", "hunter2"] {
        assert!(!record.text().contains(hidden), "{hidden} was logged");
    }
    assert_eq!(lines(&record).len(), 10);
}

#[tokio::test]
async fn an_extractor_names_the_caller_that_lacks_a_scope() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let alice = token(&gateway.bridge, "alice").await;
    let record = Record::default();
    let _listening = record.listen();
    let answer = gateway.call(Method::POST, "/chat", &alice).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let line = line_of(&record, &answer);
    assert_eq!(
        (&line["reason"], &line["user_id"]),
        (&json!("insufficient_scope"), &json!("alice")),
        "{line}"
    );
    assert_eq!((&line["route"], &line["address"]), (&json!("/chat"), &json!("127.0.0.1")), "{line}");
    assert!(line["detail"].as_str().unwrap().contains("chat:write"), "{line}");
}

#[tokio::test]
async fn the_trace_of_the_client_is_continued_in_the_refusal_and_no_other_text_of_it_is() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let ask = |name: &'static str, value: String| {
        send(gateway.request(Method::GET, "/people/7").header(name, value))
    };
    for (name, value) in
        [("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01")), ("x-trace-id", TRACE.to_owned())]
    {
        let answer = ask(name, value).await;
        assert_eq!((answer.header("x-trace-id"), answer.text("trace_id").as_str()), (TRACE, TRACE), "{name}");
    }
    let forged = ask("x-trace-id", "\"><script>".to_owned()).await;
    assert!(forged.header("x-trace-id").bytes().all(|byte| byte.is_ascii_hexdigit()), "{forged:?}");
    let again = ask("x-trace-id", "no-trace".to_owned()).await;
    assert_ne!(forged.header("x-trace-id"), again.header("x-trace-id"), "each request has its own");
    let good = token(&gateway.bridge, "alice").await;
    let let_in = gateway.call(Method::GET, "/people/7", &good).await;
    assert!(let_in.status == StatusCode::OK && !let_in.headers.contains_key("x-trace-id"), "{let_in:?}");
}

#[tokio::test]
async fn attack_a114_no_field_of_a_token_or_request_forges_a_line() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let encode = |part: Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let evil = "x\n{\"level\":\"INFO\",\"event\":\"forged\"}\u{1b}[2J\u{202e}";
    let record = Record::default();
    let text = Record::default();
    for header in [
        json!({ "alg": evil, "kid": "k", "typ": "at+jwt" }),
        json!({ "alg": "EdDSA", "kid": "k", "typ": evil }),
        json!({ "alg": "EdDSA", "kid": "k", "typ": "at+jwt", "crit": evil, evil: 1 }),
        json!({ "alg": "EdDSA", "kid": "unknown", "typ": "at+jwt" }),
    ] {
        let token = format!("{}.{}.AAAA", encode(header), encode(json!({ "iss": evil, "sub": evil })));
        for (record, is_json) in [(&record, true), (&text, false)] {
            let _listening = if is_json { record.listen() } else { record.listen_to_text() };
            let answer = gateway.call(Method::GET, "/people/7", &token).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        }
    }
    assert_eq!(lines(&record).len(), 4, "each line is whole");
    let text = text.text();
    assert!(text.lines().all(|line| line.contains("bridge_auth")), "{text}");
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
    assert!(text.lines().all(|line| line.len() < 2000), "{text}");
}
