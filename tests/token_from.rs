//! Where else than in `Authorization` a token may stand, when the host says so.

use axum::Router;
use axum::routing::get;
use bridge_auth::authenticate::{Authenticator, TokenSource};
use bridge_auth::rejection::MalformedCredential;
use bridge_auth::{Bridge, BridgeAuthLayer, Rejection};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;

use crate::support::bridge::{ISSUER, access, builder};
use crate::support::gateway::{Answer, Gateway, head, send};
use crate::support::{Backend, SqliteBackend};

const APP: &str = "https://app.example";

fn api_key() -> TokenSource {
    TokenSource::Header(HeaderName::from_static("x-api-key"))
}

fn cookie() -> TokenSource {
    TokenSource::Cookie("token".to_owned())
}

fn routes(bridge: &Bridge) -> Router {
    let layer = || bridge.layer("bridge").unwrap();
    let all = |layer: BridgeAuthLayer| {
        layer.token_from(api_key()).token_from(cookie()).token_from(TokenSource::WebSocketProtocol)
    };
    let route = |path, layer: BridgeAuthLayer| Router::new().route(path, get(head).post(head)).layer(layer);
    [
        route("/default", layer()),
        route("/all", all(layer())),
        route("/optional", all(layer().optional())),
        route("/forward", all(layer()).insecure_forward_authorization()),
        route("/nested", all(layer())).layer(all(layer().optional())),
        route("/inner", all(layer())).layer(layer().optional()),
        route("/outer", layer()).layer(all(layer().optional())),
    ]
    .into_iter()
    .reduce(Router::merge)
    .unwrap()
}

struct Setting {
    gateway: Gateway,
    token: String,
    _db: SqliteBackend,
}

impl Setting {
    async fn start() -> Self {
        let db = SqliteBackend::start().await;
        let bridge = builder(&db).await.trusted_origins([APP]).build().unwrap();
        let token = access(&bridge, "alice", "").await.token.expose().to_owned();
        let routes = routes(&bridge);
        Self { gateway: Gateway::with_routes(bridge, routes).await, token, _db: db }
    }

    /// The answer at `path` to these headers, `{T}` the token.
    async fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let request = self.gateway.request(Method::GET, path);
        let request = headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, value.replace("{T}", &self.token)));
        send(request).await
    }

    async fn status(&self, path: &str, headers: &[(&str, &str)]) -> u16 {
        self.ask(path, headers).await.status.as_u16()
    }

    /// What is left of the header `name` for the handler, which must know the caller and nothing of the token.
    async fn left(&self, path: &str, headers: &[(&str, &str)], name: &str) -> Vec<String> {
        let answer = self.ask(path, headers).await;
        assert_eq!(answer.status, 200, "{path} {headers:?} {answer:?}");
        let seen = answer.json();
        assert_eq!(seen["user_id"], "alice", "{path} {headers:?}");
        assert!(!seen.to_string().contains(&self.token), "{path} {headers:?} {seen}");
        let found: Vec<(String, String)> = serde_json::from_value(seen["headers"].clone()).unwrap();
        found.into_iter().filter(|(found, _)| found == name).map(|(_, value)| value).collect()
    }
}

#[tokio::test]
async fn each_place_lets_the_caller_in_and_holds_no_token_for_the_handler() {
    let setting = Setting::start().await;
    let none: [&str; 0] = [];
    for path in ["/all", "/optional", "/nested", "/outer"] {
        for value in ["{T}", "Bearer {T}", "bearer  {T}"] {
            assert_eq!(
                setting.left(path, &[("x-api-key", value)], "x-api-key").await,
                none,
                "{path} {value}"
            );
        }
        let cookies = [("cookie", "a=b; token={T}; c=d")];
        assert_eq!(setting.left(path, &cookies, "cookie").await, ["a=b; c=d"], "{path}");
        let protocols = [("sec-websocket-protocol", "bearer, {T}, chat")];
        assert_eq!(setting.left(path, &protocols, "sec-websocket-protocol").await, ["chat"], "{path}");
        let alone = [("sec-websocket-protocol", "bearer, {T}")];
        assert_eq!(setting.left(path, &alone, "sec-websocket-protocol").await, none, "{path}");
        assert_eq!(setting.left(path, &[("authorization", "Bearer {T}")], "authorization").await, none);
        // Another scheme is no credential here, and none for the handler either.
        let other = [("authorization", "Basic YTpi"), ("x-api-key", "{T}")];
        assert_eq!(setting.left(path, &other, "authorization").await, none, "{path}");
    }
    let forwarded = [("authorization", "Basic YTpi"), ("x-api-key", "{T}")];
    assert_eq!(setting.left("/forward", &forwarded, "authorization").await, ["Basic YTpi"]);
}

#[tokio::test]
async fn a_layer_that_was_told_of_no_place_reads_the_header_alone() {
    let setting = Setting::start().await;
    for (name, value) in
        [("x-api-key", "{T}"), ("cookie", "token={T}"), ("sec-websocket-protocol", "bearer, {T}")]
    {
        assert_eq!(setting.status("/default", &[(name, value)]).await, 401, "{name}");
        // An outer layer takes away what it does not read.
        assert_eq!(setting.status("/inner", &[(name, value)]).await, 401, "{name}");
        // Beside the header it is as if it were not there.
        let both = [("authorization", "Bearer {T}"), (name, value)];
        assert_eq!(setting.status("/default", &both).await, 200, "{name}");
        assert_eq!(setting.status("/inner", &both).await, 200, "{name}");
    }
}

#[tokio::test]
async fn a_token_in_two_places_is_a_bad_request_though_it_is_the_same() {
    let setting = Setting::start().await;
    let places = [
        ("authorization", "Bearer {T}"),
        ("x-api-key", "{T}"),
        ("cookie", "token={T}"),
        ("sec-websocket-protocol", "bearer, {T}"),
    ];
    for path in ["/all", "/optional", "/nested"] {
        for (n, first) in places.iter().enumerate() {
            for second in &places[n + 1..] {
                let answer = setting.ask(path, &[*first, *second]).await;
                assert!(answer.is_problem(400, "invalid_request"), "{path} {first:?} {second:?} {answer:?}");
            }
            let query = format!("{path}?access_token=x");
            assert_eq!(setting.status(&query, &[*first]).await, 400, "{query} {first:?}");
        }
    }
    // The outer layer lets the caller in on one, the inner one is shown another.
    let both = [("authorization", "Bearer {T}"), ("x-api-key", "x.y.z")];
    assert_eq!(setting.status("/inner", &both).await, 400);
    // One of this issuer is shown to nobody that the outer layer does not read it for.
    let other = access(&setting.gateway.bridge, "bob", "").await.token.expose().to_owned();
    let both = [("authorization", "Bearer {T}"), ("x-api-key", other.as_str())];
    let none: [&str; 0] = [];
    assert_eq!(setting.left("/inner", &both, "x-api-key").await, none);
}

#[tokio::test]
async fn what_is_repeated_malformed_too_large_or_bad_is_refused_as_in_the_header() {
    let setting = Setting::start().await;
    let huge = "a".repeat(9000);
    let cases: [(&[(&str, &str)], u16); 13] = [
        (&[("x-api-key", "{T}"), ("x-api-key", "{T}")], 400),
        (&[("cookie", "token={T}; token={T}")], 400),
        (&[("cookie", "token={T}"), ("cookie", "token=x")], 400),
        (&[("sec-websocket-protocol", "bearer, {T}, bearer, {T}")], 400),
        (&[("sec-websocket-protocol", "chat, bearer")], 401),
        (&[("x-api-key", "")], 400),
        (&[("x-api-key", "Basic {T}")], 400),
        (&[("x-api-key", "not-one")], 401),
        (&[("cookie", "token={T}x")], 401),
        (&[("cookie", "token=")], 401),
        (&[("x-api-key", &huge)], 431),
        (&[("cookie", &format!("token={huge}"))], 431),
        (&[("sec-websocket-protocol", &format!("bearer, {huge}"))], 431),
    ];
    for (headers, status) in cases {
        assert_eq!(setting.status("/all", headers).await, status, "{headers:?}");
    }
    assert_eq!(setting.ask("/optional", &[("cookie", "token=; a=b")]).await.json()["user_id"], Value::Null);
    assert_eq!(setting.status("/optional", &[("x-api-key", "not-one")]).await, 401);
}

#[tokio::test]
async fn a_cookie_counts_for_the_own_pages_alone() {
    let setting = Setting::start().await;
    let with = async |path: &str, headers: &[(&str, &str)]| {
        setting.ask(path, &[&[("cookie", "token={T}")], headers].concat()).await
    };
    for headers in [
        &[][..],
        &[("origin", ISSUER)],
        &[("origin", ISSUER), ("sec-fetch-site", "same-origin")],
        &[("sec-fetch-site", "none")],
        &[("origin", APP), ("sec-fetch-site", "cross-site")],
    ] {
        assert_eq!(with("/all", headers).await.status, 200, "{headers:?}");
    }
    for headers in [
        &[("origin", "https://evil.example")][..],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
        &[("origin", ISSUER), ("sec-fetch-site", "same-site")],
        &[
            ("origin", "http://rebound.example"),
            ("host", "rebound.example"),
            ("sec-fetch-site", "same-origin"),
        ],
    ] {
        for path in ["/all", "/optional", "/nested"] {
            let refused = with(path, headers).await;
            assert!(refused.is_problem(403, "cross_site"), "{path} {headers:?} {refused:?}");
            assert_eq!(refused.header("www-authenticate"), "");
        }
        // What a page must set itself is its sender's own wish.
        let own_wish = [&[("x-api-key", "{T}")], headers].concat();
        assert_eq!(setting.status("/all", &own_wish).await, 200, "{headers:?}");
        assert_eq!(setting.status("/optional", headers).await, 200, "{headers:?}");
    }
    let call = setting.gateway.request(Method::POST, "/all").header("content-type", "application/grpc");
    let call = call.header("cookie", format!("token={}", setting.token)).header("origin", "null");
    let answer = send(call).await;
    assert_eq!((answer.status.as_u16(), answer.header("grpc-status")), (200, "7"));
}

#[tokio::test]
async fn a_cache_is_told_what_the_answer_hangs_on() {
    let setting = Setting::start().await;
    let vary = async |path: &str| {
        let answer = setting.ask(path, &[("authorization", "Bearer {T}")]).await;
        let values = answer.headers.get_all("vary").iter();
        values.map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(vary("/default").await, ["authorization"]);
    assert_eq!(vary("/all").await, ["authorization", "x-api-key, cookie, sec-websocket-protocol"]);
}

#[tokio::test]
async fn an_authenticator_reads_the_places_that_it_was_told_of() {
    let db = SqliteBackend::start().await;
    let bridge = builder(&db).await.build().unwrap();
    let token = access(&bridge, "alice", "").await.token.expose().to_owned();
    let verdict = async |authenticator: &Authenticator, headers: &[(&'static str, &str)]| {
        let mut sent = HeaderMap::new();
        for (name, value) in headers {
            let value = HeaderValue::from_str(&value.replace("{T}", &token)).unwrap();
            sent.append(HeaderName::from_static(name), value);
        }
        authenticator.authenticate(&sent).await.map(|caller| caller.user_id().to_string())
    };
    let plain = bridge.authenticator("bridge").unwrap();
    let told = plain.clone().token_from(cookie()).token_from(cookie()).token_from(api_key());
    let alice = Ok("alice".to_owned());
    assert_eq!(verdict(&plain, &[("cookie", "token={T}")]).await, Err(Rejection::NoCredential));
    assert_eq!(verdict(&told, &[("cookie", "token={T}")]).await, alice);
    assert_eq!(verdict(&told, &[("x-api-key", "{T}")]).await, alice);
    assert_eq!(verdict(&told, &[("authorization", "Bearer {T}")]).await, alice);
    let cross = [("cookie", "token={T}"), ("sec-fetch-site", "cross-site")];
    assert_eq!(verdict(&told, &cross).await, Err(Rejection::CrossSite));
    let two_ways = Err(Rejection::InvalidRequest(MalformedCredential::TwoCredentials));
    assert_eq!(verdict(&told, &[("cookie", "token={T}"), ("x-api-key", "{T}")]).await, two_ways);
    let always = plain.token_from(TokenSource::Header(http::header::AUTHORIZATION));
    assert_eq!(verdict(&always, &[("authorization", "Bearer {T}")]).await, alice);
}

#[tokio::test]
async fn a_post_to_an_endpoint_of_the_bridge_reads_the_header_alone() {
    let setting = Setting::start().await;
    let log_out = setting.gateway.request(Method::POST, "/v1/auth/bridge/logout");
    let answer = send(log_out.header("cookie", format!("token={}", setting.token))).await;
    assert_eq!(answer.status, 401);
}
