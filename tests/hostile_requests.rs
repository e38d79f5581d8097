//! What a hostile client can do with the form of a request, over sockets: nothing.

use std::convert::Infallible;
use std::net::Ipv4Addr;

use bytes::Bytes;
use futures_util::future::join_all;
use http::header::{AUTHORIZATION, CACHE_CONTROL, COOKIE, HOST, ORIGIN, VARY, WWW_AUTHENTICATE};
use http::{Method, StatusCode};
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::net::TcpListener;
use tower::{Layer, service_fn};

use crate::support::bridge::{access, builder};
use crate::support::gateway::{Answer, Gateway, PREFIX, send};
use crate::support::wire::{Http2, raw, raw_get};
use crate::support::{Backend, SqliteBackend};

async fn gateway() -> (SqliteBackend, Gateway, String) {
    let db = SqliteBackend::start().await;
    let gateway = Gateway::start(&db).await;
    let token = gateway.link("alice").await;
    (db, gateway, token)
}

/// Whether nobody was told anything but to bring a token.
fn is_challenge(answer: &Answer) -> bool {
    answer.status == StatusCode::UNAUTHORIZED
        && answer.header("www-authenticate") == "Bearer"
        && answer.header("cache-control") == "no-store"
}

#[tokio::test]
async fn two_credentials_are_refused_over_http_1_and_http_2_in_either_order() {
    let (_db, gateway, token) = gateway().await;
    let good = format!("Bearer {token}");
    let http2 = Http2::connect(gateway.address).await;
    let (other, basic) = ("Bearer a.b.c", "Basic YTpi");
    for pair in [[&good, other], [other, &good], [&good, &good], [basic, &good], [&good, basic]] {
        let lines: String = pair.iter().map(|value| format!("authorization: {value}\r\n")).collect();
        let (status, answer) = raw_get(gateway.address, "/v1/echo", &lines).await;
        assert_eq!(status, 400, "{answer}");
        assert!(answer.contains("error=\"invalid_request\""), "{answer}");
        let headers = pair.map(|value| (AUTHORIZATION.as_str(), value));
        assert_eq!(http2.send("GET", "/v1/echo", &headers).await.status, StatusCode::BAD_REQUEST);
        let joined = pair.join(", ");
        let (status, answer) =
            raw_get(gateway.address, "/v1/echo", &format!("authorization: {joined}\r\n")).await;
        assert!(matches!(status, 400 | 401), "{answer}");
        let joined = http2.send("GET", "/v1/echo", &[(AUTHORIZATION.as_str(), &joined)]).await;
        assert!([StatusCode::BAD_REQUEST, StatusCode::UNAUTHORIZED].contains(&joined.status), "{joined:?}");
    }
    let alone = http2.send("GET", "/v1/echo", &[(AUTHORIZATION.as_str(), &good)]).await;
    assert_eq!(alone.status, StatusCode::OK);
}

#[tokio::test]
async fn requests_that_share_an_http_2_connection_share_nothing_else() {
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

#[tokio::test]
async fn a_token_counts_in_the_authorization_header_alone() {
    let (_db, gateway, token) = gateway().await;
    let get = |path: &str| gateway.request(Method::GET, path);
    let bearer = format!("Bearer {token}");
    let elsewhere = [
        get(&format!("/v1/echo?access_token={token}")),
        get(&format!("/v1/echo?token={token}&authorization=Bearer%20{token}")),
        get("/v1/echo").header(COOKIE, format!("access_token={token}; authorization={token}")),
        get("/v1/echo").header("proxy-authorization", &bearer),
        get("/v1/echo").header("x-forwarded-authorization", &bearer),
        get("/v1/echo").header("x-authorization", &bearer),
        get("/v1/echo").header("x-access-token", &token),
        get("/v1/echo").header("sec-websocket-protocol", format!("bearer, {token}")),
        get("/v1/echo").header("authorization_", &bearer),
        gateway
            .request(Method::POST, "/v1/echo")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("access_token={token}")),
        get("/v1/echo").header(AUTHORIZATION, format!("DPoP {token}")),
    ];
    for request in elsewhere {
        let shown = format!("{request:?}");
        assert!(is_challenge(&send(request).await), "{shown}");
    }
}

#[tokio::test]
async fn no_connection_header_makes_a_proxy_behind_drop_who_calls() {
    let (_db, gateway, token) = gateway().await;
    for option in ["x-user-id", "X-USER-ID", "x_user_id", "x-user-id, x-session-id", ",, x-call-source ,"] {
        let lines = format!("connection: {option}\r\nauthorization: Bearer {token}\r\n");
        let (status, answer) = raw_get(gateway.address, "/v1/echo", &lines).await;
        assert_eq!(status, 200, "{answer}");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let seen: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(seen["headers"]["x-user-id"], "alice");
        assert_eq!(seen["headers"]["connection"], "close", "{option}");
    }
}

#[tokio::test]
async fn malformed_header_lines_never_reach_a_handler() {
    let (_db, gateway, token) = gateway().await;
    for line in [
        "x-user-id : admin",
        "x-user-id\u{b}: admin",
        "x-other: a\r\n x-user-id: admin",
        "x-other: a\u{0}b",
        "x-user-id",
        ": admin",
    ] {
        let lines = format!("authorization: Bearer {token}\r\n{line}\r\n");
        let (status, answer) = raw_get(gateway.address, "/v1/echo", &lines).await;
        assert_eq!(status, 400, "{line:?} {answer}");
        assert!(!answer.contains("admin"), "{answer}");
    }
    assert!(gateway.admits(&token).await);
}

#[tokio::test]
async fn no_spelling_of_a_path_leads_around_the_guard() {
    let (_db, gateway, _) = gateway().await;
    for target in [
        "/v1/echo",
        "//v1/echo",
        "/./v1/echo",
        "/x/../v1/echo",
        "/v1/%65cho",
        "/v1%2fecho",
        "/%2e/v1/echo",
        "/v1/echo/",
        "/v1/echo;x",
        "/v1/echo?x",
        "/v1/echo%23",
        "/V1/ECHO",
        "/.well-known/../v1/echo",
        "http://evil.example/v1/echo",
        "http://evil.example/.well-known/jwks.json/../../v1/echo",
    ] {
        let (status, answer) = raw_get(gateway.address, target, "").await;
        assert!(matches!(status, 400 | 401 | 404), "{target} {answer}");
    }
    for upgrade in
        ["upgrade: websocket\r\nsec-websocket-version: 13", "upgrade: h2c\r\nhttp2-settings: AAMAAABk"]
    {
        let lines = format!("connection: upgrade\r\n{upgrade}\r\n");
        assert_eq!(raw_get(gateway.address, "/v1/echo", &lines).await.0, 401, "{upgrade}");
    }
    let plain = send(gateway.request(Method::GET, "/v1/echo")).await;
    assert!(is_challenge(&plain));
    for (name, value) in [
        ("x-original-url", "/.well-known/jwks.json"),
        ("x-rewrite-url", "/.well-known/jwks.json"),
        ("x-forwarded-uri", "/healthz"),
        ("x-forwarded-prefix", "/.well-known"),
        ("x-forwarded-for", "127.0.0.1"),
        ("user-agent", "kube-probe/1.30"),
        ("user-agent", "GoogleHC/1.0"),
        ("x-http-method-override", "OPTIONS"),
    ] {
        let tricked = send(gateway.request(Method::GET, "/v1/echo").header(name, value)).await;
        assert_eq!(tricked, plain, "{name}: {value}");
    }
}

#[tokio::test]
async fn every_method_is_guarded_and_trace_echoes_nothing() {
    let (_db, gateway, token) = gateway().await;
    for name in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get"] {
        let method: Method = name.parse().unwrap();
        let stranger = send(gateway.request(method.clone(), "/v1/echo")).await;
        assert!(is_challenge(&stranger), "{name} {stranger:?}");
        let request = gateway.request(method, "/v1/echo").header("x-http-method-override", "GET");
        let known = send(request.bearer_auth(&token)).await;
        let is_offered = matches!(name, "GET" | "HEAD");
        assert_eq!(known.status == StatusCode::OK, is_offered, "{name} {known:?}");
        assert!(is_offered || known.status == StatusCode::METHOD_NOT_ALLOWED, "{name} {known:?}");
        assert!(!String::from_utf8_lossy(&known.body).contains(&token), "{name}");
    }
    let tunnel =
        raw(gateway.address, b"CONNECT internal:443 HTTP/1.1\r\nhost: internal\r\nconnection: close\r\n\r\n")
            .await;
    assert!(tunnel.starts_with("HTTP/1.1 4"), "{tunnel}");
    for path in ["/", "/session", "/capabilities"] {
        let url = format!("{PREFIX}{path}");
        let traced = send(gateway.request(Method::TRACE, &url).bearer_auth(&token)).await;
        assert!(
            [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED].contains(&traced.status),
            "{traced:?}"
        );
        assert!(!String::from_utf8_lossy(&traced.body).contains(&token));
    }
}

#[tokio::test]
async fn the_guard_grants_no_other_origin_anything() {
    let (_db, gateway, token) = gateway().await;
    for origin in ["https://evil.example", "null"] {
        let preflight = gateway
            .request(Method::OPTIONS, "/v1/echo")
            .header(ORIGIN, origin)
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "authorization");
        let preflight = send(preflight).await;
        assert!(is_challenge(&preflight), "{preflight:?}");
        let asked =
            send(gateway.request(Method::GET, "/v1/echo").header(ORIGIN, origin).bearer_auth(&token)).await;
        assert_eq!(asked.status, StatusCode::OK);
        for answer in [preflight, asked] {
            assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control")));
        }
    }
}

#[tokio::test]
async fn what_is_said_of_the_gateway_comes_from_its_settings_and_from_no_header() {
    let db = SqliteBackend::start().await;
    let metadata = "https://gateway.example/.well-known/oauth-protected-resource".parse().unwrap();
    let builder = builder(&db).await.realm("bridges").resource_metadata(metadata);
    let gateway = Gateway::over(builder.build().unwrap()).await;
    let token = gateway.link("alice").await;
    let ask = async |method: &Method, path: &str, token: Option<&str>, poisoned: bool| {
        let request = gateway.request(method.clone(), path);
        let request = token.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth);
        let hosts = [HOST.as_str(), "x-forwarded-host", "forwarded", "x-forwarded-proto", "x-original-host"];
        let hosts = hosts.iter().filter(|_| poisoned);
        send(hosts.fold(request, |request, name| request.header(*name, "evil.example"))).await
    };
    for (method, path, token) in [
        (Method::GET, "/v1/echo", None),
        (Method::GET, "/v1/echo", Some("a.b.c")),
        (Method::GET, "/v1/auth/bridge/capabilities", None),
        (Method::GET, "/.well-known/jwks.json", None),
        (Method::POST, "/v1/auth/bridge/logout", None),
    ] {
        let plain = ask(&method, path, token, false).await;
        assert_eq!(ask(&method, path, token, true).await, plain, "{path}");
    }
    let provisioned = ask(&Method::POST, "/v1/auth/bridge/oauth-client", Some(&token), true).await;
    assert_eq!(provisioned.text("token_endpoint"), "https://gateway.example/token");
}

#[tokio::test]
async fn no_shared_cache_may_keep_what_a_caller_saw() {
    let (_db, gateway, token) = gateway().await;
    for (answer, kept) in [
        (gateway.call(Method::GET, "/v1/echo", &token).await, "private"),
        (gateway.call(Method::HEAD, "/v1/echo", &token).await, "private"),
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
async fn headers_without_measure_are_refused_and_the_gateway_goes_on() {
    let (_db, gateway, token) = gateway().await;
    let dots = ".".repeat(10_000);
    for credential in ["a".repeat(9000), "a".repeat(60_000), dots] {
        let lines = format!("authorization: Bearer {credential}\r\n");
        let (status, answer) = raw_get(gateway.address, "/v1/echo", &lines).await;
        assert_eq!(status, 431, "{:.200}", answer);
        assert!(answer.contains("credential_too_large"), "{answer:.400}");
    }
    // More than the server reads at all: it says so itself, or hangs up.
    let many: String = (0..10_000).map(|n| format!("x-{n}: y\r\n")).collect();
    let huge = format!("authorization: Bearer {}\r\n", "a".repeat(1 << 20));
    for lines in [many, huge] {
        let request = format!("GET /v1/echo HTTP/1.1\r\nhost: gateway\r\n{lines}\r\n");
        let answer = raw(gateway.address, request.as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer:.200}");
    }
    assert!(gateway.admits(&token).await);
}

#[tokio::test]
async fn a_handler_that_panics_takes_nobody_along() {
    let (_db, gateway, token) = gateway().await;
    for _ in 0..20 {
        let (answer, other) = tokio::join!(
            gateway.request(Method::GET, "/v1/panic").bearer_auth(&token).send(),
            gateway.call(Method::GET, "/v1/echo", &token),
        );
        assert!(answer.is_err() || !answer.unwrap().status().is_success());
        assert_eq!(other.status, StatusCode::OK);
    }
    let stranger = send(gateway.request(Method::GET, "/v1/panic")).await;
    assert!(is_challenge(&stranger), "a stranger never gets as far: {stranger:?}");
    gateway.link("bob").await;
}

/// hyper cuts the body of an answer to `HEAD` off over HTTP/1 alone.
#[tokio::test]
async fn a_refused_head_has_no_body_in_a_server_made_with_hyper_alone() {
    let db = SqliteBackend::start().await;
    let bridge = builder(&db).await.build().unwrap();
    let access = access(&bridge, "alice", "").await;
    let inner = service_fn(|_| async { Ok::<_, Infallible>(http::Response::new(Full::<Bytes>::default())) });
    let service = TowerToHyperService::new(bridge.layer("bridge").unwrap().layer(inner));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service.clone();
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    let http2 = Http2::connect(address).await;
    let refused = http2.send("HEAD", "/", &[]).await;
    assert_eq!((refused.status, refused.body.len()), (StatusCode::UNAUTHORIZED, 0));
    assert!(refused.headers.contains_key(WWW_AUTHENTICATE));
    let value = format!("Bearer {}", access.token.expose());
    assert_eq!(http2.send("HEAD", "/", &[(AUTHORIZATION.as_str(), &value)]).await.status, StatusCode::OK);
}
