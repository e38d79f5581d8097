//! Section 1.C, rows 52 to 56: what a refusal says, and what it does not.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use bridge_auth::caller::CallerKind;
use bridge_auth::clock::{Clock, SystemClock};
use bridge_auth::id::{Audience, TraceId};
use bridge_auth::issue::AccessRequest;
use bridge_auth::store::Origin;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use bridge_auth::{Bridge, Caller, Scopes};
use bytes::Bytes;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::{Layer, service_fn};

use super::{gateway, is_challenge, is_invalid};
use crate::support::bridge::{access, builder, builder_with, user};
use crate::support::gateway::{Answer, Gateway, PREFIX, send};
use crate::support::wire::Http2;
use crate::support::{Backend, SqliteBackend};

const METADATA: &str = "https://gateway.example/.well-known/oauth-protected-resource";

/// The scheme and the parameters of a challenge, read strictly (RFC 9110 §11.6.1; RFC 6750 §3 for the characters).
fn parameters(challenge: &str) -> Vec<(String, String)> {
    let is_token = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let Some(listed) = challenge.strip_prefix("Bearer ") else {
        assert_eq!(challenge, "Bearer");
        return Vec::new();
    };
    let parameters: Vec<_> = listed
        .split(", ")
        .map(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap();
            let value = value.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
            assert!(!name.is_empty() && is_token(name), "{challenge}");
            let is_allowed = |b: u8| matches!(b, b' '..=b'!' | b'#'..=b'[' | b']'..=b'~');
            assert!(value.bytes().all(is_allowed), "{challenge}");
            (name.to_owned(), value.to_owned())
        })
        .collect();
    for (name, _) in &parameters {
        assert_eq!(parameters.iter().filter(|(other, _)| other == name).count(), 1, "{challenge}");
    }
    parameters
}

fn challenge_of(answer: &Answer) -> Vec<(String, String)> {
    assert_eq!(answer.headers.get_all(WWW_AUTHENTICATE).iter().count(), 1, "{answer:?}");
    parameters(answer.header("www-authenticate"))
}

#[tokio::test]
async fn row_52_every_401_carries_a_challenge() {
    let db = SqliteBackend::start().await;
    let bridge = builder(&db).await.build().unwrap();
    let layer = bridge.layer("bridge").unwrap();
    let nested = Router::new()
        .route("/open/strict", get(|| async {}).layer(layer.clone()))
        .route("/open/extractor", get(|_: Caller| async {}))
        .layer(layer.optional());
    let gateway = Gateway::with_routes(bridge, nested).await;
    let http2 = Http2::connect(gateway.address).await;
    let endpoints = ["/code", "/sessions", "/logout", "/oauth-client"].map(|path| format!("{PREFIX}{path}"));
    let others = ["/v1/echo", "/open/strict", "/open/extractor", "/admin/users/alice/sessions"];
    let mut refused = 0;
    for path in endpoints.iter().map(|path| &**path).chain(others) {
        for method in ["GET", "HEAD", "POST", "OPTIONS", "DELETE"] {
            let over_2 = http2.send(method, path, &[]).await;
            let over_1 = send(gateway.request(method.parse().unwrap(), path)).await;
            assert_eq!(over_1.status, over_2.status, "{method} {path}");
            for answer in [over_1, over_2] {
                let is_401 = answer.status == StatusCode::UNAUTHORIZED;
                assert!(
                    is_401 || answer.status == StatusCode::METHOD_NOT_ALLOWED,
                    "{method} {path} {answer:?}"
                );
                assert_eq!(
                    answer.headers.contains_key(WWW_AUTHENTICATE),
                    is_401,
                    "{method} {path} {answer:?}"
                );
                refused += usize::from(is_401);
            }
        }
    }
    assert!(refused >= 40, "{refused}");
}

/// A proxy that asks by `GET` whether to let a request through, and sends its headers along, lets it through on a 200.
#[tokio::test]
async fn row_52_a_request_that_can_be_no_call_of_grpc_is_never_refused_with_a_200() {
    let (_db, gateway, _token) = gateway().await;
    let http2 = Http2::connect(gateway.address).await;
    for media_type in ["application/grpc", "application/grpc+proto", "application/grpc-web"] {
        for method in ["GET", "HEAD", "OPTIONS", "PUT"] {
            let answer = http2.send(method, "/v1/echo", &[("content-type", media_type)]).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {media_type} {answer:?}");
            assert!(challenge_of(&answer).iter().all(|(name, _)| name != "error"));
            assert!(!answer.headers.contains_key("grpc-status"));
        }
    }
}

/// hyper cuts the body of an answer to `HEAD` off over HTTP/1 alone.
#[tokio::test]
async fn row_52_a_refused_head_has_its_challenge_and_no_body_in_a_server_made_with_hyper_alone() {
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

#[tokio::test]
async fn row_53_no_credential_is_challenged_without_an_error() {
    let db = SqliteBackend::start().await;
    let builder = builder(&db).await.realm("bridges").resource_metadata(METADATA);
    let gateway = Gateway::over(builder.build().unwrap()).await;
    for path in ["/v1/echo", "/v1/auth/bridge/sessions", "/v1/auth/bridge/code"] {
        let method = if path.ends_with("code") { Method::POST } else { Method::GET };
        let answer = send(gateway.request(method, path)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        let said = challenge_of(&answer);
        let expected = [("realm", "bridges"), ("resource_metadata", METADATA)];
        assert_eq!(said, expected.map(|(name, value)| (name.to_owned(), value.to_owned())), "{path}");
    }
}

/// A clock that the test sets on.
#[derive(Debug, Clone, Default)]
struct Later(Arc<AtomicU64>);

impl Clock for Later {
    fn now(&self) -> Duration {
        SystemClock.now() + Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

#[tokio::test]
async fn row_54_whatever_is_wrong_with_a_token_or_its_session_is_answered_alike() {
    let db = SqliteBackend::start().await;
    let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
    let clock = Later::default();
    let builder = builder_with(&db, keys.clone()).await.clock(clock.clone()).other_audiences(["mcp"]);
    let gateway = Gateway::over(builder.build().unwrap()).await;
    let bridge = &gateway.bridge;
    let token = async |bridge: &Bridge, name| access(bridge, name, "chat").await.token.expose().to_owned();

    let good = token(bridge, "alice").await;
    let other_key = self::builder(&db).await.build().unwrap();
    let other_issuer = Bridge::builder_with("https://other.example", keys.clone(), db.open().await);
    let other_db = SqliteBackend::start().await;
    let other_store = builder_with(&other_db, keys).await.build().unwrap();
    let request = AccessRequest::for_user(user("alice"), Scopes::default());
    let for_mcp = request.audiences([Audience::parse("mcp").unwrap()]);
    let [revoked, disabled] = [access(bridge, "bob", "").await, access(bridge, "dee", "").await];
    bridge.admin().revoke_session(&revoked.session).await.unwrap();
    bridge.admin().disable_user(&user("dee")).await.unwrap();
    let bad = [
        "a.b.c".to_owned(),
        good[..good.len() - 2].to_owned(),
        token(&other_key, "alice").await,
        token(&other_issuer.build().unwrap(), "alice").await,
        token(&other_store, "alice").await,
        bridge.issuer().open_access(for_mcp).await.unwrap().token.expose().to_owned(),
        revoked.token.expose().to_owned(),
        disabled.token.expose().to_owned(),
    ];
    let mut answers = Vec::new();
    for token in &bad {
        answers.push(gateway.call(Method::GET, "/v1/echo", token).await);
    }
    let declared = gateway.request(Method::GET, "/v1/echo").header("x-session-id", "sess_of_another");
    answers.push(send(declared.bearer_auth(&good)).await);
    assert!(gateway.admits(&good).await);
    clock.0.store(3601, Ordering::SeqCst);
    answers.push(gateway.call(Method::GET, "/v1/echo", &good).await);
    for answer in &answers {
        assert!(is_invalid(answer), "{answer:?}");
        assert_eq!(answer, &answers[0]);
    }
}

#[tokio::test]
async fn row_55_a_lacking_scope_is_403_and_names_all_that_are_needed() {
    let db = SqliteBackend::start().await;
    let bridge = builder(&db).await.resource_metadata(METADATA).build().unwrap();
    let hooks_too = || bridge.layer("bridge").unwrap().admit_hook_clients();
    let layer = |scopes| hooks_too().require_scopes(Scopes::parse(scopes).unwrap());
    let hooks_only = bridge.layer("bridge").unwrap().require_kind(CallerKind::HookClient);
    let routes = Router::new()
        .route("/govern", get(|| async {}).layer(layer("hook:govern")))
        .route("/track", get(|| async {}).layer(layer("hook:track")))
        .route("/both", get(|| async {}).layer(layer("hook:track hook:govern")))
        .route("/hooks", get(|| async {}).layer(hooks_only));
    let gateway = Gateway::with_routes(bridge, routes).await;

    let person = access(&gateway.bridge, "alice", "chat").await.token;
    let headers = HeaderMap::from_iter([(AUTHORIZATION, person.to_header_value())]);
    let caller = gateway.bridge.authenticator("bridge").unwrap().authenticate(&headers).await.unwrap();
    let issuer = gateway.bridge.issuer();
    let client = issuer.provision_client(&caller).await.unwrap();
    let tracks = Some(Scopes::parse("hook:track").unwrap());
    let hook =
        issuer.client_access(&client.id, &client.secret, tracks, Origin::unknown()).await.unwrap().token;

    assert_eq!(gateway.call(Method::GET, "/track", hook.expose()).await.status, StatusCode::OK);
    assert_eq!(gateway.call(Method::GET, "/hooks", hook.expose()).await.status, StatusCode::OK);
    for (path, needed) in
        [("/govern", Some("hook:govern")), ("/both", Some("hook:govern hook:track")), ("/hooks", None)]
    {
        let token = if path == "/hooks" { person.expose() } else { hook.expose() };
        let answer = gateway.call(Method::GET, path, token).await;
        assert!(answer.is_problem(403, "insufficient_scope"), "{answer:?}");
        let mut expected = vec![("resource_metadata", METADATA), ("error", "insufficient_scope")];
        expected.extend(needed.map(|scopes| ("scope", scopes)));
        let expected: Vec<_> =
            expected.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        assert_eq!(challenge_of(&answer), expected, "{path}");
    }
}

#[tokio::test]
async fn row_56_a_challenge_is_well_formed_whatever_the_realm_and_the_request() {
    let db = SqliteBackend::start().await;
    for realm in ["a\"b", "a\\", "a\r\nset-cookie: x=y", "a\u{e9}", "a\0", "a\tb"] {
        assert!(builder(&db).await.realm(realm).build().is_err(), "{realm:?}");
    }
    let realm = "all the bridges = of 'us'; really";
    let bridge = builder(&db).await.realm(realm).resource_metadata(METADATA).build().unwrap();
    let scopes = Scopes::parse("hook:govern !weird#scope[~]").unwrap();
    let routes = Router::new().route(
        "/scoped",
        get(|_: TraceId| async {}).layer(bridge.layer("bridge").unwrap().require_scopes(scopes)),
    );
    let gateway = Gateway::with_routes(bridge, routes).await;
    let token = gateway.link("alice").await;
    let call = async |path: &str, token: &str| gateway.call(Method::GET, path, token).await;
    for (answer, names) in [
        (send(gateway.request(Method::GET, "/v1/echo?realm=%22%0d%0aerror=x")).await, vec![]),
        (call("/v1/echo", "a.b.c").await, vec!["error"]),
        (call("/v1/echo", "a\", error=\"b").await, vec!["error"]),
        (call("/v1/echo?access_token=%22x", &token).await, vec!["error"]),
        (call("/scoped", &token).await, vec!["error", "scope"]),
    ] {
        let said = challenge_of(&answer);
        let found: Vec<_> = said.iter().map(|(name, _)| &**name).collect();
        assert_eq!(found, [vec!["realm", "resource_metadata"], names].concat(), "{answer:?}");
        assert_eq!(said[0].1, realm);
    }
    let (_db, plain, _) = self::gateway().await;
    assert!(is_challenge(&send(plain.request(Method::GET, "/v1/echo")).await));
}
