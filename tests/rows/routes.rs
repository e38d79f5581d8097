//! Section 2.2, A39 to A41, A45 to A47 and A50: no way around the guard, and nothing of the caller's in what it says.

use axum::Router;
use axum::routing::get;
use bridge_auth::Caller;
use http::header::{HOST, ORIGIN};
use http::{Method, StatusCode};

use super::{gateway, is_challenge, is_invalid, still_serves};
use crate::support::bridge::builder;
use crate::support::gateway::{Gateway, PREFIX, send};
use crate::support::wire::{Http2, raw, raw_get};
use crate::support::{Backend, SqliteBackend};

#[tokio::test]
async fn attack_a39_no_spelling_of_a_path_leads_around_the_guard() {
    let (_db, gateway, _) = gateway().await;
    for target in [
        "/v1/echo",
        "//v1/echo",
        "/./v1/echo",
        "/x/../v1/echo",
        "/v1/%65cho",
        "/v1%2fecho",
        "/%2e/v1/echo",
        "/%2e%2e/v1/echo",
        "/v1/echo/",
        "/v1/echo;x",
        "/v1/echo?x",
        "/v1/echo%23",
        "/v1/echo%00",
        "/V1/ECHO",
        "/.well-known/../v1/echo",
        "/.well-known/%2e%2e/v1/echo",
        "/v1/auth/bridge/capabilities/../../../echo",
        "http://evil.example/v1/echo",
        "http://evil.example/.well-known/jwks.json/../../v1/echo",
    ] {
        let (status, answer) = raw_get(gateway.address, target, "").await;
        assert!(matches!(status, 400 | 401 | 404), "{target} {answer}");
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
async fn attack_a39_a_route_that_was_mounted_around_the_layer_lets_nobody_be_somebody() {
    let db = SqliteBackend::start().await;
    let bridge = builder(&db).await.build().unwrap();
    let layer = || bridge.layer("bridge").unwrap();
    let who = || get(async |caller: Caller| caller.user_id().to_string());
    let routes = Router::new()
        .route("/inside", who())
        .nest("/nested", Router::new().route("/inside", who()))
        .layer(layer())
        .merge(Router::new().route("/merged", who()))
        .nest("/beside", Router::new().route("/late", who()))
        .nest("/own", Router::new().route("/first", who()).route_layer(layer()).route("/late", who()));
    let gateway = Gateway::with_routes(bridge.clone(), routes).await;
    let token = gateway.link("alice").await;
    for (path, with_a_token, without) in [
        ("/inside", 200, 401),
        ("/nested/inside", 200, 401),
        ("/own/first", 200, 401),
        ("/merged", 500, 500),
        ("/beside/late", 500, 500),
        ("/own/late", 500, 500),
    ] {
        let lines = "x-user-id: admin\r\n".to_owned();
        assert_eq!(raw_get(gateway.address, path, &lines).await.0, without, "{path}");
        let (status, answer) = raw_get(gateway.address, path, lines + &super::bearer(&token)).await;
        assert_eq!(status, with_a_token, "{path} {answer}");
        assert!(answer.ends_with("alice") == (status == 200) && !answer.contains("admin"), "{answer}");
    }
}

#[tokio::test]
async fn attack_a40_every_method_is_guarded_and_none_overridden() {
    let (_db, gateway, token) = gateway().await;
    for name in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get"] {
        let method: Method = name.parse().unwrap();
        let stranger = send(gateway.request(method.clone(), "/v1/echo")).await;
        let bare =
            stranger.status == StatusCode::UNAUTHORIZED && stranger.header("www-authenticate") == "Bearer";
        assert!(if method == Method::HEAD { bare } else { is_challenge(&stranger) }, "{name} {stranger:?}");
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
}

#[tokio::test]
async fn attack_a41_the_guard_grants_no_other_origin_anything() {
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
        let endpoint = gateway.request(Method::OPTIONS, &format!("{PREFIX}/code")).header(ORIGIN, origin);
        let endpoint = send(endpoint.header("access-control-request-method", "POST")).await;
        assert_eq!(endpoint.status, StatusCode::METHOD_NOT_ALLOWED);
        for answer in [preflight, asked, endpoint] {
            assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control")));
        }
    }
}

#[tokio::test]
async fn attack_a45_what_is_said_of_the_gateway_comes_from_its_settings_and_from_no_header() {
    let db = SqliteBackend::start().await;
    let metadata = "https://gateway.example/.well-known/oauth-protected-resource";
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

/// Web-cache deception: a path that a cache takes for a file's.
#[tokio::test]
async fn attack_a46_no_path_makes_an_answer_one_that_a_shared_cache_may_keep() {
    let (_db, gateway, token) = gateway().await;
    for suffix in ["", "/x.css", "/..%2fx.css", ";x.css", "%3fx.css", "?x.css", ".css", "%0ax.css", "%23x.js"]
    {
        let path = format!("/v1/echo{suffix}");
        for line in [String::new(), super::bearer(&token)] {
            let (status, answer) = raw_get(gateway.address, &path, &line).await;
            if status == 404 {
                assert!(!answer.contains("alice"), "{path} {answer}");
                continue;
            }
            assert!(matches!(status, 200 | 401), "{path} {answer}");
            let kept = if status == 200 { "private" } else { "no-store" };
            assert!(answer.contains(&format!("cache-control: {kept}\r\n")), "{path} {answer}");
            assert!(answer.contains("vary: authorization\r\n"), "{path} {answer}");
        }
    }
    for (answer, kept) in [
        (gateway.call(Method::GET, &format!("{PREFIX}/sessions?x.css"), &token).await, "no-store"),
        (gateway.call(Method::OPTIONS, "/v1/echo?x.css", &token).await, "private"),
    ] {
        assert_eq!((answer.header("cache-control"), answer.header("vary")), (kept, "authorization"));
    }
}

#[tokio::test]
async fn attack_a47_nothing_that_was_sent_comes_back_in_a_refusal() {
    let (_db, gateway, token) = gateway().await;
    let http2 = Http2::connect(gateway.address).await;
    let evil = "https://evil.example";
    let queries = [
        "error_description=%0d%0aset-cookie:%20x=y",
        "realm=%22,%20error=%22x",
        "scope=%22%0d%0alocation:%20//evil.example",
        "redirect_uri=https://evil.example&next=//evil.example",
    ];
    for query in queries {
        let path = format!("/v1/echo?{query}");
        let refused = [
            send(gateway.request(Method::GET, &path).header("referer", evil)).await,
            http2.send("GET", &path, &[("referer", evil)]).await,
        ];
        let bad = gateway.call(Method::GET, &path, "evil.evil.evil").await;
        assert!(refused.iter().all(is_challenge) && is_invalid(&bad), "{refused:?} {bad:?}");
        let listed = gateway.call(Method::GET, &format!("{PREFIX}/sessions/evil?{query}"), &token).await;
        for answer in refused.iter().chain([&bad, &listed]) {
            assert!(!format!("{answer:?}").contains("evil"), "{answer:?}");
            assert!(!answer.headers.contains_key("location") && !answer.headers.contains_key("set-cookie"));
        }
    }
}

#[tokio::test]
async fn attack_a50_a_handler_that_panics_takes_nobody_along() {
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
    still_serves(&gateway, &token).await;
}
