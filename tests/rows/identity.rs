//! Section 2.2, A35 to A38, and A126: who calls is the guard's to say.

use axum::Router;
use axum::routing::get;
use bridge_auth::header::IDENTITY_HEADERS;
use futures_util::future::join_all;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde_json::{Value, json};

use super::{bearer, gateway, is_challenge, seen};
use crate::support::bridge::builder;
use crate::support::gateway::Gateway;
use crate::support::wire::{Http2, raw_get};
use crate::support::{Backend, SqliteBackend};

/// What the handler saw of the identity headers, with `lines` sent.
async fn headers_behind(gateway: &Gateway, path: &str, lines: &str) -> Value {
    let (status, answer) = raw_get(gateway.address, path, lines).await;
    assert_eq!(status, 200, "{lines:?} {answer}");
    seen(&answer)["headers"].clone()
}

/// Whether `headers` say that alice calls, once, and nothing that was sent in her name.
fn say_alice(headers: &Value, session: &str) -> bool {
    let expected = [
        ("x-user-id", "alice"),
        ("x-session-id", session),
        ("x-client-id", "sp_bridge"),
        ("x-policy-version", "unversioned"),
        ("x-call-source", "bridge"),
    ];
    let is_trace = |text: &str| text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let is_named = |name: &str| IDENTITY_HEADERS.iter().any(|ours| ours.as_str() == name.replace('_', "-"));
    expected.iter().all(|(name, value)| headers[name] == *value)
        && headers["x-trace-id"].as_str().is_some_and(is_trace)
        && headers.as_object().unwrap().keys().filter(|name| is_named(name)).count() == 6
        && !headers.to_string().contains("admin")
}

#[tokio::test]
async fn attack_a35_identity_headers_of_the_client_are_replaced() {
    let (_db, gateway, token) = gateway().await;
    let bob = gateway.link("bob").await;
    let session = seen(&raw_get(gateway.address, "/v1/echo", bearer(&token)).await.1)["session_id"].clone();
    let session = session.as_str().unwrap();
    for name in IDENTITY_HEADERS {
        for value in ["admin", "", "bob", "\"admin\""] {
            let line = format!("{name}: {value}\r\n");
            assert_eq!(raw_get(gateway.address, "/v1/echo", &line).await.0, 401, "{line}");
            if name == "x-session-id" {
                // The one that is read: it must be the token's own, or the request is not what it seems.
                assert_eq!(raw_get(gateway.address, "/v1/echo", line + &bearer(&token)).await.0, 401);
                continue;
            }
            let headers = headers_behind(&gateway, "/v1/echo", &(line.clone() + &bearer(&token))).await;
            assert!(say_alice(&headers, session), "{line} {headers}");
            let of_bob = headers_behind(&gateway, "/v1/echo", &(line + &bearer(&bob))).await;
            assert_eq!(of_bob["x-user-id"], "bob");
        }
    }
    let own = format!("x-session-id: {session}\r\n{}", bearer(&token));
    assert!(say_alice(&headers_behind(&gateway, "/v1/echo", &own).await, session));
    assert_eq!(raw_get(gateway.address, "/v1/echo", own.replace(&token, &bob)).await.0, 401);
}

#[tokio::test]
async fn attack_a36_no_spelling_of_an_identity_header_gets_through() {
    let (_db, gateway, token) = gateway().await;
    let session = seen(&raw_get(gateway.address, "/v1/echo", bearer(&token)).await.1)["session_id"].clone();
    let session = session.as_str().unwrap();
    for name in IDENTITY_HEADERS.iter().filter(|name| *name != "x-session-id") {
        for spelt in [
            name.to_string(),
            name.as_str().to_uppercase(),
            name.as_str().replace('-', "_"),
            name.as_str().replacen('-', "_", 1),
            name.as_str().to_uppercase().replace('-', "_"),
        ] {
            for lines in [
                format!("{spelt}: admin\r\n"),
                format!("{spelt}:admin\r\n{spelt}: admin\r\n"),
                format!("{spelt}: alice, admin\r\n{name}: admin\r\n"),
            ] {
                for lines in [bearer(&token) + &lines, lines.clone() + &bearer(&token)] {
                    let headers = headers_behind(&gateway, "/v1/echo", &lines).await;
                    assert!(say_alice(&headers, session), "{lines} {headers}");
                }
            }
        }
    }
    for spelt in ["X_SESSION_ID", "x-session_id", "x_session-id"] {
        let lines = format!("{spelt}: admin\r\n{}", bearer(&token));
        let headers = headers_behind(&gateway, "/v1/echo", &lines).await;
        assert!(say_alice(&headers, session), "{lines} {headers}");
    }
    for line in [
        "x-user-id : admin",
        "x-user-id\t: admin",
        "x-user-id\u{b}: admin",
        "x-other: a\r\n x-user-id: admin",
        "x-other: a\u{0}b",
        "x-user-id",
        ": admin",
        "x-user-id\u{2010}: admin",
    ] {
        let lines = format!("{}{line}\r\n", bearer(&token));
        let (status, answer) = raw_get(gateway.address, "/v1/echo", &lines).await;
        assert_eq!(status, 400, "{line:?} {answer}");
        assert!(!answer.contains("admin"), "{answer}");
    }
    assert!(gateway.admits(&token).await);
}

#[tokio::test]
async fn attack_a37_no_connection_header_makes_a_proxy_behind_drop_who_calls() {
    let (_db, gateway, token) = gateway().await;
    for option in ["x-user-id", "X-USER-ID", "x_user_id", "x-user-id, x-session-id", ",, x-call-source ,"] {
        let lines = format!("connection: {option}\r\n{}", bearer(&token));
        let headers = headers_behind(&gateway, "/v1/echo", &lines).await;
        assert_eq!(headers["x-user-id"], "alice");
        assert_eq!(headers["connection"], "close", "{option}");
    }
}

/// Names of headers as a handler without a guard's caller sees them.
async fn names(headers: HeaderMap) -> axum::Json<Value> {
    let headers: Value = headers.keys().map(|name| (name.to_string(), json!("sent"))).collect();
    axum::Json(json!({ "headers": headers }))
}

#[tokio::test]
async fn attack_a38_routes_that_need_no_credential_see_no_identity_header_either() {
    let db = SqliteBackend::start().await;
    let bridge = builder(&db).await.build().unwrap();
    let open = bridge.layer("bridge").unwrap().optional();
    let routes = Router::new().route("/healthz", get(names)).route("/public", get(names)).layer(open);
    let gateway = Gateway::with_routes(bridge, routes).await;
    let spoofed: String = IDENTITY_HEADERS
        .iter()
        .flat_map(|name| [name.to_string(), name.as_str().replace('-', "_")])
        .map(|name| format!("{name}: admin\r\n"))
        .collect();
    for path in ["/healthz", "/public"] {
        let headers = headers_behind(&gateway, path, &spoofed).await;
        let identity: Vec<_> =
            headers.as_object().unwrap().keys().filter(|name| name.starts_with('x')).collect();
        assert_eq!(identity, ["x-trace-id"], "{headers}");
    }
    // Where no layer runs, there is no caller to be had from any header.
    for path in ["/v1/auth/bridge/capabilities", "/.well-known/jwks.json"] {
        let plain = raw_get(gateway.address, path, "").await;
        let without_date = |answer: String| answer.split("\r\ndate:").next().unwrap().to_owned();
        let spoofed = raw_get(gateway.address, path, &spoofed).await;
        assert_eq!((spoofed.0, without_date(spoofed.1)), (plain.0, without_date(plain.1)));
    }
}

#[tokio::test]
async fn attack_a126_requests_that_share_an_http_2_connection_share_nothing_else() {
    let (_db, gateway, _) = gateway().await;
    let people = ["ann", "bob", "cy", "dee"];
    let tokens = join_all(people.map(|person| gateway.link(person))).await;
    let http2 = Http2::connect(gateway.address).await;
    let asked = (0..120).map(|n| {
        let (http2, person) = (http2.clone(), people.get(n % 5));
        let value = tokens.get(n % 5).map(|token| format!("Bearer {token}"));
        async move {
            let headers: Vec<_> = value.iter().map(|value| (AUTHORIZATION.as_str(), &**value)).collect();
            (person, http2.send("GET", "/v1/echo", &headers).await)
        }
    });
    for (person, answer) in join_all(asked).await {
        match person {
            Some(person) => {
                let seen = answer.json();
                assert_eq!(
                    (&seen["user_id"], &seen["headers"]["x-user-id"]),
                    (&json!(person), &json!(person))
                );
            }
            None => assert!(is_challenge(&answer), "{answer:?}"),
        }
    }
}
