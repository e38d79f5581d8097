//! Instructions per request of the guard, beside what a good engineer writes by hand: the gate of CI.
//!
//! Each benchmark is one request through a service, from `call` to the answer. `floor` is the inner service alone;
//! `by_hand` is `jsonwebtoken::decode` as middleware, without any look at a session; `guard` is `BridgeAuthLayer`
//! with watched freshness. Every line of `guard` has a limit of its own, a tenth above what was measured.
//!
//! Counts are of valgrind's machine, the same on every run of one binary. It has no SHA or AES instructions, so what
//! hashes costs more here than on a real one.

// gungraun's macros make public items of their own.
#![allow(missing_docs, unreachable_pub, unused_qualifications, clippy::type_complexity, clippy::unwrap_used)]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bridge_auth::store::SqliteStore;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use bridge_auth::{AccessRequest, Bridge, BridgeAuth, Freshness, Scopes, SessionId, SignedIn, UserId};
use bytes::Bytes;
use futures_util::FutureExt;
use gungraun::prelude::*;
use gungraun::{Callgrind, EventKind, LibraryBenchmarkConfig};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use jsonwebtoken::{DecodingKey, Validation};
use serde::Deserialize;
use tower::{Layer, Service};

const SECRET: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// The session of every benchmark: the bridge declares it, and sends it with each request.
const SESSION: &str = "sess_0123456789abcdef0123456789abcdef";

/// The request's head as a bridge sends it, with the identity headers it was told to send.
fn request(token: Option<&str>) -> Request<Full<Bytes>> {
    let mut request = Request::post("/v1/messages")
        .header("host", "gateway.example")
        .header("content-type", "application/json")
        .header("user-agent", "bridge/1.0")
        .header("accept", "*/*")
        .header("x-user-id", "alice@example.com")
        .header("x-session-id", SESSION)
        .header("x-trace-id", "4bf92f3577b34da6a3ce929d0e0e4736")
        .header("x-client-id", "sp_bridge")
        .header("x-policy-version", "unversioned")
        .header("x-call-source", "bridge")
        .body(Full::default())
        .unwrap();
    // Servers leave something there: hyper its upgrade handle, axum the matched path.
    request.extensions_mut().insert("matched path");
    if let Some(token) = token {
        let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    request
}

/// The inner service: answers at once.
#[derive(Clone)]
struct Inner;

impl<B> Service<Request<B>> for Inner {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        black_box(request.headers());
        let mut response = Response::new(Full::default());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        ready(Ok(response))
    }
}

/// What is written by hand: the token is decoded, and the subject put into the extensions.
#[derive(Clone)]
struct ByHand {
    key: DecodingKey,
    validation: Validation,
    inner: Inner,
}

#[derive(Clone, Deserialize)]
#[allow(dead_code)]
struct HandClaims {
    sub: String,
    sid: String,
    exp: u64,
}

impl Service<Request<Full<Bytes>>> for ByHand {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Full<Bytes>>) -> Self::Future {
        let value = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let claims = value
            .and_then(|text| text.strip_prefix("Bearer "))
            .and_then(|token| jsonwebtoken::decode::<HandClaims>(token, &self.key, &self.validation).ok());
        match claims {
            Some(data) => {
                request.extensions_mut().insert(data.claims);
                self.inner.call(request)
            }
            None => {
                let mut response = Response::new(Full::default());
                *response.status_mut() = StatusCode::UNAUTHORIZED;
                ready(Ok(response))
            }
        }
    }
}

/// A token of each kind.
#[derive(Clone, Copy)]
enum Kind {
    EdDsa,
    Rs256,
    Es256,
    Hs256,
}

struct Gateway {
    runtime: tokio::runtime::Runtime,
    guarded: BridgeAuth<Inner>,
    by_hand: ByHand,
    token: String,
    expired: String,
    _folder: tempfile::TempDir,
}

/// A gateway over a real store with one live session; nothing has been asked of it yet.
fn gateway(kind: Kind) -> Gateway {
    let key = match kind {
        Kind::EdDsa => SigningKey::generate(Algorithm::EdDsa).unwrap(),
        Kind::Rs256 => SigningKey::generate(Algorithm::Rs256).unwrap(),
        Kind::Es256 => SigningKey::generate(Algorithm::Es256).unwrap(),
        Kind::Hs256 => SigningKey::danger_hs256(SECRET).unwrap(),
    };
    let keys = KeyRing::new(key).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (guarded, token, expired) = runtime.block_on(async {
        let store = SqliteStore::open(folder.path().join("bench.db")).await.unwrap();
        let watched = Freshness::Watched { max_lag: Duration::from_secs(60) };
        let builder = Bridge::builder("https://gateway.example", keys.clone(), store).freshness(watched);
        let bridge = builder.build().unwrap();
        let user = UserId::parse("alice@example.com").unwrap();
        let scopes = Scopes::parse("hook:govern hook:track").unwrap();
        bridge.issuer().register_user(&SignedIn::new(user.clone(), scopes.clone())).await.unwrap();
        let session = SessionId::parse(SESSION).unwrap();
        let open = || AccessRequest::for_user(user.clone(), scopes.clone()).session_id(session.clone());
        let access = bridge.issuer().open_access(open()).await.unwrap();
        let brief = bridge.issuer().open_access(open().token_life(Duration::from_secs(1))).await.unwrap();
        let ends = brief.expires_at.duration_since(SystemTime::now()).unwrap_or_default();
        tokio::time::sleep(ends).await;
        let guarded = bridge.layer("bridge").unwrap().layer(Inner);
        // The watcher starts with a first request; its own token is another, so that ours is still unseen.
        let other = bridge.issuer().open_access(open()).await.unwrap();
        let answer = guarded.clone().call(request(Some(other.token.expose()))).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        while !bridge.watch_status().proven {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        (guarded, access.token.expose().to_owned(), brief.token.expose().to_owned())
    });
    let (key, algorithm) = hand_key(kind, &keys);
    let mut validation = Validation::new(algorithm);
    validation.set_audience(&["bridge"]);
    validation.set_issuer(&["https://gateway.example"]);
    let by_hand = ByHand { key, validation, inner: Inner };
    Gateway { runtime, guarded, by_hand, token, expired, _folder: folder }
}

fn hand_key(kind: Kind, keys: &KeyRing) -> (DecodingKey, jsonwebtoken::Algorithm) {
    let jwk = || {
        let set: jsonwebtoken::jwk::JwkSet = serde_json::from_str(&keys.jwks()).unwrap();
        DecodingKey::from_jwk(&set.keys[0]).unwrap()
    };
    match kind {
        Kind::EdDsa => (jwk(), jsonwebtoken::Algorithm::EdDSA),
        Kind::Rs256 => (jwk(), jsonwebtoken::Algorithm::RS256),
        Kind::Es256 => (jwk(), jsonwebtoken::Algorithm::ES256),
        Kind::Hs256 => (DecodingKey::from_secret(SECRET), jsonwebtoken::Algorithm::HS256),
    }
}

/// A service and the request to send through it.
struct Case<S> {
    service: S,
    request: Request<Full<Bytes>>,
    /// What keeps the watcher's store alive.
    _gateway: Option<Gateway>,
}

fn floor() -> Case<Inner> {
    Case { service: Inner, request: request(Some(&"x".repeat(566))), _gateway: None }
}

fn by_hand(kind: Kind) -> Case<ByHand> {
    let gateway = gateway(kind);
    let mut service = gateway.by_hand.clone();
    let warm = service.call(request(Some(&gateway.token))).now_or_never().unwrap().unwrap();
    assert_eq!(warm.status(), StatusCode::OK);
    Case { service, request: request(Some(&gateway.token)), _gateway: Some(gateway) }
}

/// The token was verified and its session looked up before.
fn hit(kind: Kind) -> Case<BridgeAuth<Inner>> {
    let mut gateway = gateway(kind);
    let mut service = gateway.guarded.clone();
    for _ in 0..2 {
        let answer = gateway.runtime.block_on(service.call(request(Some(&gateway.token)))).unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }
    gateway.guarded = service.clone();
    Case { service, request: request(Some(&gateway.token)), _gateway: Some(gateway) }
}

/// A token that will be refused before any look-up.
fn refused(token: fn(&Gateway) -> Option<String>) -> Case<BridgeAuth<Inner>> {
    let gateway = gateway(Kind::EdDsa);
    let mut service = gateway.guarded.clone();
    let bad = token(&gateway);
    let warm = service.call(request(bad.as_deref())).now_or_never().unwrap().unwrap();
    assert_eq!(warm.status(), StatusCode::UNAUTHORIZED);
    Case { service, request: request(bad.as_deref()), _gateway: Some(gateway) }
}

fn refused_by_hand(token: fn(&Gateway) -> Option<String>) -> Case<ByHand> {
    let gateway = gateway(Kind::EdDsa);
    let service = gateway.by_hand.clone();
    let request = request(token(&gateway).as_deref());
    Case { service, request, _gateway: Some(gateway) }
}

fn nothing(_: &Gateway) -> Option<String> {
    None
}

fn garbage(_: &Gateway) -> Option<String> {
    Some("x".repeat(566))
}

fn expired(gateway: &Gateway) -> Option<String> {
    Some(gateway.expired.clone())
}

/// Sends the request and hands everything back, so that nothing is dropped on the clock.
fn send<S>(mut case: Case<S>) -> (Case<S>, Option<Result<S::Response, S::Error>>)
where
    S: Service<Request<Full<Bytes>>>,
{
    let request = std::mem::replace(&mut case.request, Request::new(Full::default()));
    let answer = case.service.call(request).now_or_never();
    (case, answer)
}

fn at_most(instructions: u64) -> LibraryBenchmarkConfig {
    let mut callgrind = Callgrind::default();
    callgrind.hard_limits([(EventKind::Ir, instructions)]);
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(callgrind);
    config
}

#[library_benchmark]
#[bench::inner_service(floor())]
fn without_guard(case: Case<Inner>) -> (Case<Inner>, Option<Result<Response<Full<Bytes>>, Infallible>>) {
    black_box(send(case))
}

type Guarded = BridgeAuth<Inner>;
type Answered =
    (Case<Guarded>, Option<Result<<Guarded as Service<Request<Full<Bytes>>>>::Response, Infallible>>);

#[library_benchmark]
#[bench::eddsa(args = (hit(Kind::EdDsa)), config = at_most(10_900))]
#[bench::rs256(args = (hit(Kind::Rs256)), config = at_most(11_400))]
#[bench::es256(args = (hit(Kind::Es256)), config = at_most(11_000))]
#[bench::hs256(args = (hit(Kind::Hs256)), config = at_most(11_000))]
fn guard_token_seen_before(case: Case<Guarded>) -> Answered {
    black_box(send(case))
}

#[library_benchmark]
#[bench::no_token(args = (refused(nothing)), config = at_most(11_500))]
#[bench::garbage(args = (refused(garbage)), config = at_most(17_800))]
#[bench::expired(args = (refused(expired)), config = at_most(585_000))]
fn guard_refuses(case: Case<Guarded>) -> Answered {
    black_box(send(case))
}

#[library_benchmark]
#[bench::eddsa(by_hand(Kind::EdDsa))]
#[bench::rs256(by_hand(Kind::Rs256))]
#[bench::es256(by_hand(Kind::Es256))]
#[bench::hs256(by_hand(Kind::Hs256))]
#[bench::refuses_no_token(refused_by_hand(nothing))]
#[bench::refuses_garbage(refused_by_hand(garbage))]
#[bench::refuses_expired(refused_by_hand(expired))]
fn by_hand_decodes(case: Case<ByHand>) -> (Case<ByHand>, Option<Result<Response<Full<Bytes>>, Infallible>>) {
    black_box(send(case))
}

library_benchmark_group!(
    name = guard,
    benchmarks = [without_guard, guard_token_seen_before, guard_refuses, by_hand_decodes]
);

main!(library_benchmark_groups = guard);
