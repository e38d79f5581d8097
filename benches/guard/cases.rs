//! What each contestant gets: a warm service, and the request to send through it.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use bridge_auth::layer::BridgeAuth;
use bytes::Bytes;
use futures_util::FutureExt;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, Service};

use crate::by_hand::{self, ByHand, ByHandLayer};
use crate::gateway::{Gateway, SESSION, USER};
use crate::scenes::{Host, Scene, Token};
use crate::support::app::{anybody, app, callers};
use crate::support::head::{Credential, Head};
#[cfg(peers)]
use crate::support::{app::sign_in, mint::Mint, peers};

/// How many requests are counted together.
pub const REQUESTS: i64 = 16;

/// A service and the head of the requests to send through it.
pub struct Case<S> {
    service: S,
    head: Head,
    _neighbour: Vec<u8>,
    /// Keeps the watcher's store alive.
    _gateway: Option<Gateway>,
}

/// The bare tower service: answers at once.
#[derive(Clone)]
pub struct Inner;

impl Service<Request<Body>> for Inner {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        black_box(request.headers());
        let mut response = Response::new(Full::default());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        ready(Ok(response))
    }
}

/// Runs some requests, one after the other. Each runs from when its head is parsed until the request, its answer and
/// its body are dropped. A request takes the memory that the one before it freed, as in a running server.
pub fn send<S: Service<Request<Body>>>(mut case: Case<S>) -> Case<S> {
    for _ in 0..REQUESTS {
        let answer = case.service.call(case.head.post()).now_or_never();
        drop(black_box(answer.expect("nothing in this service waits")));
    }
    case
}

pub fn floor(scene: &Scene) -> Case<Router> {
    warm(app(anybody), scene, &any_credential(scene), None)
}

pub fn guard(scene: &Scene) -> Case<Router> {
    let gateway = Gateway::open(scene.token);
    let credential = gateway.credential(scene.token);
    let application = if scene.asks { app(callers) } else { app(anybody) };
    let router = application.layer(gateway.layer(scene));
    gateway.prepare(router.clone());
    warm(router, scene, &credential, Some(gateway))
}

pub fn by_hand(scene: &Scene) -> Case<Router> {
    let gateway = Gateway::open(scene.token);
    let router = app(by_hand::handler).layer(ByHandLayer(gateway.checks()));
    let credential = gateway.credential(scene.token);
    warm(router, scene, &credential, Some(gateway))
}

#[cfg(peers)]
pub fn jwt_authorizer(scene: &Scene) -> Case<Router> {
    let mint = Mint::new();
    let router = peers::jwt_authorizer(&mint).now_or_never().expect("it fetches no keys");
    warm(router, scene, &minted(&mint), None)
}

#[cfg(peers)]
pub fn axum_jwt_auth(scene: &Scene) -> Case<Router> {
    let mint = Mint::new();
    warm(peers::axum_jwt_auth(&mint), scene, &minted(&mint), None)
}

#[cfg(peers)]
pub fn axum_login(scene: &Scene) -> Case<Router> {
    let router = peers::axum_login();
    let cookies = sign_in(&router, 1).now_or_never().expect("the store is in memory");
    warm(router, scene, &Credential::Cookie(cookies[0].clone()), None)
}

pub fn tower_floor(scene: &Scene) -> Case<Inner> {
    warm(Inner, scene, &any_credential(scene), None)
}

pub fn tower_guard(scene: &Scene) -> Case<BridgeAuth<Inner>> {
    let gateway = Gateway::open(scene.token);
    let credential = gateway.credential(scene.token);
    let service = gateway.layer(scene).layer(Inner);
    gateway.prepare(service.clone());
    warm(service, scene, &credential, Some(gateway))
}

pub fn tower_by_hand(scene: &Scene) -> Case<ByHand<Inner>> {
    let gateway = Gateway::open(scene.token);
    let credential = gateway.credential(scene.token);
    warm(ByHandLayer(gateway.checks()).layer(Inner), scene, &credential, Some(gateway))
}

/// A text that is as long as a token, for services that do not read it.
fn any_credential(scene: &Scene) -> Credential {
    match scene.token {
        Token::Missing => Credential::None,
        _ => Credential::Bearer("x".repeat(566)),
    }
}

/// The token of a session, as `bridge-auth` writes it.
#[cfg(peers)]
fn minted(mint: &Mint) -> Credential {
    Credential::Bearer(mint.token_for(1, &["bridge", "mcp"]))
}

/// Sends the request a hundred times, so that the measured host has been running.
fn warm<S, R>(mut service: S, scene: &Scene, credential: &Credential, gateway: Option<Gateway>) -> Case<S>
where
    S: Service<Request<Body>, Response = Response<R>, Error = Infallible>,
{
    let expected = match scene.token {
        Token::EdDsa | Token::Hs256 => StatusCode::OK,
        // The floor lets every request in.
        _ if gateway.is_none() => StatusCode::OK,
        _ => StatusCode::UNAUTHORIZED,
    };
    let (neighbour, head) = (settled_heap(), head(scene, credential));
    for _ in 0..100 {
        let answer = service.call(head.post());
        let answer = match &gateway {
            // A look-up may make the request wait.
            Some(gateway) => gateway.block_on(answer),
            None => answer.now_or_never().expect("nothing in this service waits"),
        };
        assert_eq!(answer.unwrap_or_else(|never| match never {}).status(), expected, "{}", scene.name);
    }
    Case { service, head, _neighbour: neighbour, _gateway: gateway }
}

/// Makes the heap like the heap of a running server, where the memory that a request frees lies between things that
/// stay. At the end of the heap, glibc may merge the freed memory with other free memory, or it may not. That is a
/// random difference of some hundred instructions.
///
/// Returns the memory that stays. Below it is space for the request, too small for glibc to give back to the system.
fn settled_heap() -> Vec<u8> {
    let room = Vec::<u8>::with_capacity(16 << 10);
    let neighbour = Vec::with_capacity(32 << 10);
    black_box(&room);
    neighbour
}

fn head(scene: &Scene, credential: &Credential) -> Head {
    let mut head = match scene.headers {
        20 => Head::of_20(credential),
        _ => Head::of_5(credential),
    };
    if scene.identity {
        head = head.with_identity(USER, SESSION);
    }
    if scene.trace {
        head = head.with_traceparent();
    }
    match scene.host {
        Host::Axum => head,
        Host::Tower => head.with_peer(),
    }
}
