//! Section 1.C, rows 47 to 51 and 57 to 62: how a bearer token is sent, and what the guard keeps to itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::routing::get;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use bridge_auth::{Bridge, Caller};
use http::header::{AUTHORIZATION, CACHE_CONTROL, VARY};
use http::{Method, StatusCode};
use serde_json::Value;

use super::{bearer, gateway, is_challenge, seen, still_serves};
use crate::support::bridge::{builder, builder_over};
use crate::support::counting::Counting;
use crate::support::gateway::{Gateway, PREFIX, echo, send};
use crate::support::record::{Record, hear};
use crate::support::wire::{raw, raw_get};
use crate::support::{Backend, SqliteBackend};

crate::store::promises![row_62_an_internal_error_lets_nobody_in];

#[tokio::test]
async fn row_47_the_scheme_is_read_in_any_case_and_spaces_may_follow() {
    let (_db, gateway, token) = gateway().await;
    for scheme in ["Bearer ", "bearer ", "BEARER ", "bEaReR ", "Bearer  ", "Bearer     "] {
        let lines = format!("authorization: {scheme}{token}\r\n");
        let (status, answer) = raw_get(gateway.address, "/v1/echo", lines).await;
        assert_eq!(status, 200, "{scheme:?} {answer}");
        assert_eq!(seen(&answer)["user_id"], "alice");
    }
}

#[tokio::test]
async fn row_48_a_token_in_the_query_is_as_if_absent() {
    let (_db, gateway, token) = gateway().await;
    let absent = send(gateway.request(Method::GET, "/v1/echo")).await;
    for query in [
        format!("access_token={token}"),
        format!("a=b&access%5Ftoken={token}"),
        format!("token={token}&authorization=Bearer%20{token}"),
    ] {
        let answer = send(gateway.request(Method::GET, &format!("/v1/echo?{query}"))).await;
        assert!(is_challenge(&answer), "{answer:?}");
        assert_eq!(answer, absent);
    }
}

#[tokio::test]
async fn row_49_a_token_in_a_form_is_ignored() {
    let (_db, gateway, token) = gateway().await;
    for path in ["/v1/echo", "/v1/auth/bridge/logout", "/v1/auth/bridge/oauth-client"] {
        let form = gateway
            .request(Method::POST, path)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("access_token={token}"));
        assert!(is_challenge(&send(form).await), "{path}");
    }
    assert!(gateway.admits(&token).await, "nobody was logged out");
}

/// The guard reads no body, so a token there is none (row 49), also beside a header.
#[tokio::test]
async fn row_50_a_token_in_the_header_and_another_in_the_query_are_a_bad_request() {
    let (_db, gateway, token) = gateway().await;
    for query in ["access_token=x", "access_token", "a=b&access_token=", "access%5ftoken=x"] {
        for path in ["/v1/echo", "/v1/auth/bridge/sessions"] {
            let answer = gateway.call(Method::GET, &format!("{path}?{query}"), &token).await;
            assert!(answer.is_problem(400, "invalid_request"), "{query} {answer:?}");
            assert_eq!(answer.header("www-authenticate"), "Bearer error=\"invalid_request\"");
        }
    }
    assert_eq!(gateway.call(Method::GET, "/v1/echo?q=access_token", &token).await.status, StatusCode::OK);
}

#[tokio::test]
async fn row_51_the_authorization_header_stands_alone() {
    let (_db, gateway, token) = gateway().await;
    for (first, last) in [(&*token, "a.b.c"), ("a.b.c", &*token), (&*token, &*token)] {
        for lines in [
            bearer(first) + &bearer(last),
            format!("authorization: Bearer {first}, Bearer {last}\r\n"),
            format!("authorization: Bearer {first},{last}\r\n"),
        ] {
            let (status, answer) = raw_get(gateway.address, "/v1/echo", &lines).await;
            assert_eq!(status, 400, "{lines} {answer}");
            assert!(answer.contains("error=\"invalid_request\""), "{answer}");
        }
    }
}

#[tokio::test]
async fn row_57_tokens_are_short_lived_and_issued_over_tls_alone() {
    let (_db, gateway, _) = gateway().await;
    let answer = gateway.exchange(&gateway.code("bob").await).await;
    let token = answer.text("token");
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 3600);
    assert_eq!(answer.json()["ttl"], 3600);

    let db = SqliteBackend::start().await;
    let keys = || KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
    let in_the_clear = Bridge::builder_with("http://gateway.example", keys(), db.open().await);
    assert!(in_the_clear.build().is_err());
}

#[tokio::test]
async fn row_58_no_shared_cache_may_keep_what_a_caller_saw() {
    let (_db, gateway, token) = gateway().await;
    for (answer, kept) in [
        (gateway.call(Method::GET, "/v1/echo", &token).await, "private"),
        (gateway.call(Method::HEAD, "/v1/echo", &token).await, "private"),
        (gateway.call(Method::PUT, "/v1/echo", &token).await, "private"),
        (gateway.call(Method::GET, &format!("{PREFIX}/sessions"), &token).await, "no-store"),
        (gateway.call(Method::GET, "/v1/echo", "a.b.c").await, "no-store"),
        (send(gateway.request(Method::GET, "/v1/echo")).await, "no-store"),
        (gateway.call(Method::GET, &format!("{PREFIX}/sessions"), "a.b.c").await, "no-store"),
    ] {
        assert_eq!(answer.headers[CACHE_CONTROL], kept, "{answer:?}");
        assert_eq!(answer.headers.get_all(VARY).iter().collect::<Vec<_>>(), ["authorization"], "{answer:?}");
    }
}

#[tokio::test]
async fn row_59_who_calls_is_derived_anew_and_upstream_is_not_called_for_a_stranger() {
    let db = SqliteBackend::start().await;
    let bridge = builder(&db).await.build().unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let upstream = get(move |peer, caller: Caller, headers| {
        counted.fetch_add(1, Ordering::SeqCst);
        echo(peer, caller, headers)
    });
    let routes = Router::new().route("/v1/upstream", upstream).layer(bridge.layer("bridge").unwrap());
    let gateway = Gateway::with_routes(bridge, routes).await;
    let token = gateway.link("alice").await;
    let ask = |lines: String| raw_get(gateway.address, "/v1/upstream", lines);

    let spoofed = "X-User-Id: admin\r\nx-client-id: root\r\nx-call-source: root\r\n";
    assert_eq!(ask(spoofed.to_owned()).await.0, 401);
    assert_eq!(ask(spoofed.to_owned() + &bearer("a.b.c")).await.0, 401);
    assert_eq!(calls.load(Ordering::SeqCst), 0);

    let (status, answer) = ask(spoofed.to_owned() + &bearer(&token)).await;
    assert_eq!((status, calls.load(Ordering::SeqCst)), (200, 1));
    let headers = &seen(&answer)["headers"];
    assert_eq!(
        (&headers["x-user-id"], &headers["x-client-id"], &headers["x-call-source"]),
        (&"alice".into(), &"sp_bridge".into(), &"bridge".into())
    );
}

#[tokio::test]
async fn row_60_no_handler_and_no_log_sees_the_token() {
    let record = Record::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(record.clone())
        .finish();
    // The test has one thread, so the gateway's tasks log here too.
    let _guard = hear(subscriber);
    let (_db, gateway, token) = gateway().await;
    let forged = format!("{}AAAA", &token[..token.len() - 4]);
    let admitted = gateway.call(Method::GET, "/v1/echo", &token).await;
    assert_eq!(admitted.status, StatusCode::OK);
    assert!(!admitted.json()["headers"].as_object().unwrap().contains_key(AUTHORIZATION.as_str()));
    let answers = [
        admitted,
        gateway.call(Method::GET, "/v1/echo", &forged).await,
        gateway.call(Method::GET, &format!("/v1/echo?access_token={token}"), &token).await,
        gateway.call(Method::GET, "/nowhere", &token).await,
        gateway.call(Method::POST, &format!("{PREFIX}/logout"), &token).await,
        gateway.call(Method::GET, "/v1/echo", &token).await,
    ];
    let log = record.text();
    // What the test's own client and hyper write at TRACE is not the crate's.
    let own: Vec<_> = log.lines().filter(|line| line.contains("bridge_auth")).collect();
    assert!(own.iter().any(|line| line.contains("session_revoked")), "the record is whole: {own:#?}");
    for secret in [&token, &forged, token.rsplit('.').next().unwrap()] {
        assert!(own.iter().all(|line| !line.contains(secret)), "{own:#?}");
        assert!(answers.iter().all(|answer| !format!("{answer:?}").contains(secret)), "{answers:?}");
    }
}

#[tokio::test]
async fn row_61_trace_is_off_and_echoes_nothing() {
    let (_db, gateway, token) = gateway().await;
    for path in
        ["/", "/v1/echo", "/v1/auth/bridge/session", "/v1/auth/bridge/capabilities", "/.well-known/jwks.json"]
    {
        let request = format!(
            "TRACE {path} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\nx-canary: canary\r\n{}\r\n",
            bearer(&token)
        );
        let answer = raw(gateway.address, request.as_bytes()).await;
        assert!(["HTTP/1.1 404", "HTTP/1.1 405"].contains(&&answer[..12]), "{path} {answer}");
        assert!(!answer.contains(&token) && !answer.contains("canary"), "{path} {answer}");
    }
}

async fn row_62_an_internal_error_lets_nobody_in(db: impl Backend) {
    let store = Arc::new(Counting::new(db.open().await));
    let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
    let gateway = Gateway::over(builder_over(store.clone(), keys).build().unwrap()).await;
    let token = gateway.link("alice").await;

    store.break_look_ups();
    for path in ["/v1/echo", "/v1/auth/bridge/sessions"] {
        let answer = gateway.call(Method::GET, path, &token).await;
        assert!(answer.is_problem(503, "temporarily_unavailable"), "{answer:?}");
        assert_eq!((answer.header("retry-after"), answer.header("www-authenticate")), ("1", ""));
    }
    store.mend();
    still_serves(&gateway, &token).await;

    store.panic_at_look_ups();
    for _ in 0..3 {
        let lone = gateway.request(Method::GET, "/v1/echo").bearer_auth(&token).send().await;
        assert!(lone.is_err() || lone.unwrap().status().is_server_error());
        let crowd = (0..20).map(|_| gateway.request(Method::GET, "/v1/echo").bearer_auth(&token).send());
        for answer in futures_util::future::join_all(crowd).await {
            assert!(answer.is_err() || answer.unwrap().status().is_server_error());
        }
    }
    store.mend();
    still_serves(&gateway, &token).await;
}
