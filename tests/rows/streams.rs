//! Section 2.2, A43 and A44: what goes on after a request was let in.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use bridge_auth::authenticate::Authenticator;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use bridge_auth::{Bridge, Caller, Freshness};
use bytes::Bytes;
use futures_util::stream::unfold;
use http::header::{CONNECTION, UPGRADE};
use http::{Method, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{interval, sleep, timeout};

use super::{bearer, gateway};
use crate::support::Backend;
use crate::support::bridge::{access, builder_over};
use crate::support::counting::Counting;
use crate::support::gateway::Gateway;
use crate::support::wire::raw_get;

crate::store::promises![
    attack_a44_a_stream_ends_within_its_bound_once_its_session_is_revoked,
    attack_a44_a_stream_goes_on_while_its_session_is_live_whatever_the_store_does_for_a_moment,
    attack_a43_an_upgraded_connection_ends_within_its_bound,
];

/// How long a stream may outlive its session (half of it is what a look-up may take), and what a busy machine adds.
const WITHIN: Duration = Duration::from_millis(1500);
const SLACK: Duration = Duration::from_millis(1500);

/// A gateway with a stream of events without end, and one whose connections are upgraded and echo.
struct Streaming {
    gateway: Gateway,
    store: Arc<Counting>,
    /// Told when a stream's handler is dropped.
    dropped: mpsc::UnboundedReceiver<()>,
}

/// Tells that whoever held it is gone.
struct Held(mpsc::UnboundedSender<()>);

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

async fn events(Extension(dropped): Extension<mpsc::UnboundedSender<()>>) -> impl IntoResponse {
    let state = (interval(Duration::from_millis(20)), Held(dropped));
    let events = unfold(state, |(mut ticks, held)| async {
        ticks.tick().await;
        Some((Ok::<_, Infallible>(Bytes::from("data: tick\n\n")), (ticks, held)))
    });
    ([("content-type", "text/event-stream")], Body::from_stream(events))
}

async fn upgrade(State(guard): State<Authenticator>, caller: Caller, mut request: Request) -> Response {
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgraded.await.unwrap());
        let mut ended = guard.session_end(&caller, WITHIN);
        let mut byte = [0];
        loop {
            tokio::select! {
                () = &mut ended => break,
                read = stream.read_exact(&mut byte) => match read {
                    Ok(_) => stream.write_all(&byte).await.unwrap(),
                    Err(_) => break,
                },
            }
        }
    });
    (StatusCode::SWITCHING_PROTOCOLS, [(CONNECTION, "upgrade"), (UPGRADE, "echo")]).into_response()
}

impl Streaming {
    async fn start(db: &impl Backend, freshness: Freshness) -> Self {
        let store = Arc::new(Counting::new(db.open().await));
        let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
        let bridge = builder_over(store.clone(), keys).freshness(freshness).build().unwrap();
        let layer = bridge.layer("bridge").unwrap().end_streams_within(WITHIN);
        let (tell, dropped) = mpsc::unbounded_channel();
        let routes = Router::new()
            .route("/events", get(events))
            .route("/short", get(|| async { "short" }))
            .route("/upgrade", get(upgrade))
            .with_state(bridge.authenticator("bridge").unwrap())
            .layer(Extension(tell))
            .layer(layer);
        Self { gateway: Gateway::with_routes(bridge, routes).await, store, dropped }
    }

    fn bridge(&self) -> &Bridge {
        &self.gateway.bridge
    }
}

async fn attack_a44_a_stream_ends_within_its_bound_once_its_session_is_revoked(db: impl Backend) {
    for freshness in [Freshness::Strict, Freshness::Watched { max_lag: WITHIN }] {
        let lag = if freshness == Freshness::Strict { Duration::ZERO } else { WITHIN };
        let mut streaming = Streaming::start(&db, freshness).await;
        let alice = access(streaming.bridge(), "alice", "").await;
        let bob = access(streaming.bridge(), "bob", "").await;
        let open = async |token| {
            let request = streaming.gateway.request(Method::GET, "/events").bearer_auth(token);
            request.send().await.unwrap()
        };
        let (mut revoked, mut other) = (open(alice.token.expose()).await, open(bob.token.expose()).await);
        assert_eq!((revoked.status(), other.status()), (StatusCode::OK, StatusCode::OK));
        assert!(revoked.chunk().await.unwrap().is_some());
        // Through another node, so that this one has to find out.
        db.open().await.revoke(&bridge_auth::store::Revoke::Session(alice.session)).await.unwrap();
        let acknowledged = Instant::now();
        while let Some(_tick) = revoked.chunk().await.unwrap() {
            assert!(acknowledged.elapsed() < WITHIN + lag + SLACK, "it goes on");
        }
        timeout(SLACK, streaming.dropped.recv()).await.expect("the handler's stream is dropped");
        for _ in 0..10 {
            assert!(other.chunk().await.unwrap().is_some(), "another's goes on");
        }
    }
}

async fn attack_a44_a_stream_goes_on_while_its_session_is_live_whatever_the_store_does_for_a_moment(
    db: impl Backend,
) {
    let streaming = Streaming::start(&db, Freshness::Strict).await;
    let alice = access(streaming.bridge(), "alice", "").await;
    let token = alice.token.expose();
    let short = streaming.gateway.call(Method::GET, "/short", token).await;
    assert_eq!((&short.body[..], short.header("content-length")), (&b"short"[..], "5"));
    let mut stream =
        streaming.gateway.request(Method::GET, "/events").bearer_auth(token).send().await.unwrap();
    let opened = Instant::now();
    while opened.elapsed() < 2 * WITHIN {
        assert!(stream.chunk().await.unwrap().is_some());
    }
    // Nobody reads for a while: that ends nothing.
    sleep(2 * WITHIN).await;
    assert!(stream.chunk().await.unwrap().is_some());
    // A store that cannot answer ends it, but only once nothing has proven the session live for so long.
    streaming.store.break_look_ups();
    let broken = Instant::now();
    while let Some(_tick) = stream.chunk().await.unwrap() {
        assert!(broken.elapsed() < WITHIN + SLACK, "it goes on");
    }
    assert!(broken.elapsed() >= WITHIN / 2, "{:?}", broken.elapsed());
    streaming.store.mend();
}

async fn attack_a43_an_upgraded_connection_ends_within_its_bound(db: impl Backend) {
    let streaming = Streaming::start(&db, Freshness::Strict).await;
    let alice = access(streaming.bridge(), "alice", "").await;
    let mut stream = TcpStream::connect(streaming.gateway.address).await.unwrap();
    let request = format!(
        "GET /upgrade HTTP/1.1\r\nhost: gateway\r\nconnection: upgrade\r\nupgrade: echo\r\n{}\r\n",
        bearer(alice.token.expose())
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    let until = Instant::now() + 2 * WITHIN;
    while Instant::now() < until {
        stream.write_u8(b'x').await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'x');
        sleep(Duration::from_millis(20)).await;
    }
    streaming.bridge().admin().revoke_session(&alice.session).await.unwrap();
    let closed = timeout(WITHIN + SLACK, stream.read_u8()).await.expect("it is closed");
    assert!(closed.is_err());
}

#[tokio::test]
async fn attack_a43_who_would_upgrade_is_judged_before() {
    let (_db, gateway, token) = gateway().await;
    for upgrade in
        ["upgrade: websocket\r\nsec-websocket-version: 13", "upgrade: h2c\r\nhttp2-settings: AAMAAABk"]
    {
        let lines = format!("connection: upgrade\r\n{upgrade}\r\n");
        assert_eq!(raw_get(gateway.address, "/v1/echo", &lines).await.0, 401, "{upgrade}");
        let (status, answer) = raw_get(gateway.address, "/v1/echo", lines + &bearer(&token)).await;
        assert_eq!(status, 200, "nothing is upgraded that no handler upgrades: {answer}");
    }
}
