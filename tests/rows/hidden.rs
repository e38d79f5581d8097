//! Section 2.7, N9: behind the guard the token is nowhere, wherever it was sent.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bridge_auth::{Bridge, Freshness};
use http::Method;
use serde_json::{Value, json};

use super::{bearer, seen};
use crate::support::bridge::{access, builder};
use crate::support::gateway::{Gateway, head, send};
use crate::support::wire::{Http2, raw_get};
use crate::support::{Backend, SqliteBackend};

/// Lines beside `Authorization`, `{T}` the token, and what the handler may see of them.
const SIBLINGS: [(&str, &[(&str, &str)]); 13] = [
    ("x-api-key: {T}", &[]),
    ("X-API-KEY: key-{T}", &[]),
    ("proxy-authorization: Bearer {T}", &[]),
    ("x-forwarded-authorization: Bearer {T}", &[]),
    ("authorization_: Bearer {T}", &[]),
    ("sec-websocket-protocol: bearer, {T}", &[("sec-websocket-protocol", "bearer")]),
    ("sec-websocket-protocol: chat, {T},v2", &[("sec-websocket-protocol", "chat,v2")]),
    ("cookie: token={T}", &[]),
    ("cookie: a=b; token={T}; c=d", &[("cookie", "a=b; c=d")]),
    ("cookie: token=\"{T}\"; c=d", &[("cookie", "c=d")]),
    ("x-list: one\r\nx-list: [{T}]\r\nx-list: two", &[("x-list", "one"), ("x-list", "two")]),
    ("x-api-key: another-key\r\nx-other: {T}, {T}", &[("x-api-key", "another-key")]),
    ("tracestate: a={T}\r\ncookie: c=d", &[("cookie", "c=d")]),
];

fn routes(bridge: &Bridge) -> Router {
    let layer = || bridge.layer("bridge").unwrap();
    let route = |path| Router::new().route(path, get(head));
    route("/required")
        .layer(layer())
        .merge(route("/optional").layer(layer().optional()))
        .merge(route("/silent").layer(layer().identity_headers(false)))
        .merge(route("/forward").layer(layer().optional().insecure_forward_authorization()))
        .merge(route("/nested").layer(layer()).layer(layer().optional()))
}

async fn gateway(freshness: Freshness) -> (SqliteBackend, Gateway, String) {
    let db = SqliteBackend::start().await;
    let bridge = builder(&db).await.freshness(freshness).build().unwrap();
    let token = access(&bridge, "alice", "").await.token.expose().to_owned();
    let routes = routes(&bridge);
    (db, Gateway::with_routes(bridge, routes).await, token)
}

/// Who calls, and what else than the guard's own and the client's usual headers a handler sees.
async fn behind(gateway: &Gateway, path: &str, lines: &str) -> (Value, Vec<(String, String)>) {
    let (status, answer) = raw_get(gateway.address, path, format!("{lines}\r\n")).await;
    assert_eq!(status, 200, "{path} {lines} {answer}");
    let mut seen = seen(&answer);
    let mut headers: Vec<(String, String)> = serde_json::from_value(seen["headers"].take()).unwrap();
    let usual = ["host", "connection", "x-user-id", "x-session-id", "x-trace-id", "x-client-id"];
    let usual = [&usual[..], &["x-policy-version", "x-call-source"]].concat();
    headers.retain(|(name, _)| !usual.contains(&name.as_str()));
    (seen["user_id"].take(), headers)
}

fn owned(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn attack_n9_the_token_of_an_admitted_caller_is_nowhere_else_either() {
    for freshness in [Freshness::Strict, Freshness::Watched { max_lag: Duration::from_secs(60) }] {
        let (_db, gateway, token) = gateway(freshness).await;
        assert_eq!(behind(&gateway, "/required", bearer(&token).trim_end()).await.0, "alice");
        while freshness != Freshness::Strict && !gateway.bridge.watch_status().proven {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for (sibling, kept) in SIBLINGS {
            let lines = sibling.replace("{T}", &token);
            for path in ["/required", "/silent", "/optional", "/nested", "/forward"] {
                let (user, headers) = behind(&gateway, path, &(bearer(&token) + &lines)).await;
                let mut expected = owned(kept);
                if path == "/forward" {
                    expected.push(("authorization".to_owned(), format!("Bearer {token}")));
                }
                let mut headers = headers;
                headers.sort();
                expected.sort();
                assert_eq!((user, headers), (json!("alice"), expected), "{path} {sibling}");
            }
        }
    }
}

#[tokio::test]
async fn attack_n9_the_crumbs_of_a_cookie_over_http_2_are_judged_each() {
    let (_db, gateway, token) = gateway(Freshness::Strict).await;
    let http2 = Http2::connect(gateway.address).await;
    let (authorization, crumb) = (format!("Bearer {token}"), format!("token={token}"));
    let sent = [("authorization", &*authorization), ("cookie", "a=b"), ("cookie", &crumb), ("cookie", "c=d")];
    let answer = http2.send("GET", "/required", &sent).await;
    let text = String::from_utf8_lossy(&answer.body);
    assert!(text.contains("a=b") && text.contains("c=d") && !text.contains(&token), "{text}");
}

#[tokio::test]
async fn attack_n9_at_an_optional_layer_a_credential_in_another_form_comes_not_in() {
    let (_db, gateway, token) = gateway(Freshness::Strict).await;
    for path in ["/optional", "/nested", "/forward"] {
        let target = if path == "/nested" { "/optional" } else { path };
        for value in ["{T}", "x.y.z"] {
            let line = format!("authorization: {}\r\n", value.replace("{T}", &token));
            let (status, answer) = raw_get(gateway.address, target, line).await;
            assert_eq!(status, 400, "{value} {answer}");
            assert!(answer.contains("error=\"invalid_request\""), "{answer}");
        }
        for query in ["access_token={T}", "a=b&access%5Ftoken=x", "access_token"] {
            let query = query.replace("{T}", &token);
            let answer = send(gateway.request(Method::GET, &format!("{target}?{query}"))).await;
            assert!(answer.is_problem(400, "invalid_request"), "{query} {answer:?}");
        }
    }
    for value in ["DPoP {T}", "Token {T}", "Basic YTpi", "{T} {T}", "word"] {
        let line = format!("authorization: {}", value.replace("{T}", &token));
        assert_eq!(behind(&gateway, "/optional", &line).await, (Value::Null, vec![]), "{value}");
        let forwarded = vec![("authorization".to_owned(), value.replace("{T}", &token))];
        assert_eq!(behind(&gateway, "/forward", &line).await, (Value::Null, forwarded), "{value}");
    }
    assert_eq!(raw_get(gateway.address, "/required", format!("authorization: {token}\r\n")).await.0, 401);
    let query = send(gateway.request(Method::GET, &format!("/required?access_token={token}"))).await;
    assert!(super::is_challenge(&query), "{query:?}");
}

#[tokio::test]
async fn attack_n9_nobody_brings_a_token_of_ours_to_the_handler() {
    let (_db, gateway, token) = gateway(Freshness::Strict).await;
    for round in ["live", "revoked"] {
        for (sibling, kept) in SIBLINGS {
            let lines = sibling.replace("{T}", &token);
            for path in ["/optional", "/forward"] {
                let found = behind(&gateway, path, &lines).await;
                assert_eq!(found, (Value::Null, owned(kept)), "{round} {path} {sibling}");
            }
        }
        let embedded = format!("x-api-key: v1.{token}\r\nx-other: {token}.more\r\nx-third: a={token}&b");
        assert_eq!(behind(&gateway, "/optional", &embedded).await, (Value::Null, vec![]), "{round}");
        gateway.bridge.admin().revoke_user(&crate::support::bridge::user("alice")).await.unwrap();
    }
}

/// A client that keeps its token in two places renews one before the other.
#[tokio::test]
async fn attack_n9_another_token_of_ours_does_not_come_in_beside_the_callers() {
    for freshness in [Freshness::Strict, Freshness::Watched { max_lag: Duration::from_secs(60) }] {
        let (_db, gateway, token) = gateway(freshness).await;
        let other = access(&gateway.bridge, "alice", "").await.token.expose().to_owned();
        let longer =
            access(&gateway.bridge, "bob-with-a-longer-name", "chat").await.token.expose().to_owned();
        for other in [other, longer] {
            for (sibling, kept) in SIBLINGS {
                let lines = sibling.replace("{T}", &other);
                for path in ["/required", "/optional", "/nested"] {
                    let (user, headers) = behind(&gateway, path, &(bearer(&token) + &lines)).await;
                    let (mut headers, mut expected) = (headers, owned(kept));
                    headers.sort();
                    expected.sort();
                    assert_eq!((user, headers), (json!("alice"), expected), "{path} {sibling}");
                }
            }
        }
        let theirs =
            format!("{}x-api-key: sk-{}\r\ncookie: a={}", bearer(&token), "k".repeat(200), "c".repeat(3000));
        let (_, headers) = behind(&gateway, "/required", &theirs).await;
        assert_eq!(headers.len(), 2, "what is no token of ours stays");
    }
}

/// The token with other bytes where its signature stands.
fn forged(token: &str, number: u8) -> String {
    let (signed, _) = token.rsplit_once('.').unwrap();
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode([number; 64]))
}

#[tokio::test]
async fn attack_n9_what_is_not_ours_stays_and_few_signatures_are_checked() {
    let (_db, gateway, token) = gateway(Freshness::Strict).await;
    let header = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","typ":"JWT","kid":"theirs"}"#);
    let theirs = format!("{header}.{}.{}", "a".repeat(200), "b".repeat(86));
    let many: Vec<_> = (0..40).map(|n| format!("session{n}={theirs}")).collect();
    let (_, headers) = behind(&gateway, "/optional", &format!("cookie: {}", many.join("; "))).await;
    assert_eq!(headers, [("cookie".to_owned(), many.join("; "))]);

    let lines: Vec<_> = (0..8).map(|n| format!("x-forged-{n}: {}", forged(&token, n))).collect();
    let (_, headers) = behind(&gateway, "/optional", &lines.join("\r\n")).await;
    let names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["x-forged-0", "x-forged-1", "x-forged-2", "x-forged-3"]);
    // However many there are, ours is not among what is kept.
    let last = format!("{}\r\nx-api-key: {token}", lines.join("\r\n"));
    let (_, headers) = behind(&gateway, "/optional", &last).await;
    assert_eq!(headers.len(), 4);
}
