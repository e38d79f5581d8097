//! A response that streams ends with its token where the layer says so, and with an error where the layer says so.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use axum::routing::{any, get};
use bridge_auth::layer::StreamEnded;
use bridge_auth::{Bridge, BridgeAuthLayer};
use bytes::Bytes;
use futures_util::stream::unfold;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::handshake;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::bridge::{access, builder};
use crate::support::gateway::Gateway;
use crate::support::wire::raw;
use crate::support::{Backend, SqliteBackend};

const LIFE: Duration = Duration::from_secs(3);
const WITHIN: Duration = Duration::from_secs(1);
/// What a busy machine adds.
const SLACK: Duration = Duration::from_secs(5);

/// Chunks without end.
fn ticks() -> Body {
    Body::from_stream(unfold(interval(Duration::from_millis(20)), |mut ticks| async {
        ticks.tick().await;
        Some((Ok::<_, Infallible>(Bytes::from("data: tick\n\n")), ticks))
    }))
}

async fn events() -> impl IntoResponse {
    ([("content-type", "text/event-stream")], ticks())
}

async fn call() -> impl IntoResponse {
    ([("content-type", "application/grpc")], ticks())
}

struct Streams {
    gateway: Gateway,
    token: String,
    /// Before the token was issued.
    begun: Instant,
    _db: SqliteBackend,
}

/// One route for each way to end.
async fn streams(life: Duration) -> Streams {
    let db = SqliteBackend::start().await;
    let bridge = builder(&db).await.token_life(life).build().unwrap();
    let begun = Instant::now();
    let token = access(&bridge, "alice", "").await.token.expose().to_owned();
    let layer = |bridge: &Bridge| bridge.layer("bridge").unwrap();
    let under = |path: &str, layer: BridgeAuthLayer| {
        let routes = Router::new().route("/events", get(events)).route("/call", any(call)).layer(layer);
        Router::new().nest(path, routes)
    };
    let routes = under("/token", layer(&bridge).end_streams_with_token())
        .merge(under("/token-error", layer(&bridge).end_streams_with_token().end_streams_with_error()))
        .merge(under("/session", layer(&bridge).end_streams_within(WITHIN)))
        .merge(under("/session-error", layer(&bridge).end_streams_within(WITHIN).end_streams_with_error()))
        .merge(under("/error-alone", layer(&bridge).end_streams_with_error()));
    Streams { gateway: Gateway::with_routes(bridge, routes).await, token, begun, _db: db }
}

/// How a stream ended for its client.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Clean,
    Error,
    GoesOn,
}

impl Streams {
    /// How the stream at `path` ends over HTTP/1.1, if it does in time.
    async fn end_of(&self, path: &str, time: Duration) -> Seen {
        let request = self.gateway.request(Method::GET, path).bearer_auth(&self.token);
        let mut stream = request.send().await.unwrap();
        assert_eq!(stream.status(), 200, "{path}");
        let until_the_end = async {
            loop {
                match stream.chunk().await {
                    Ok(Some(_tick)) => {}
                    Ok(None) => return Seen::Clean,
                    Err(_) => return Seen::Error,
                }
            }
        };
        timeout(time, until_the_end).await.unwrap_or(Seen::GoesOn)
    }

    /// How the stream at `path` ends over HTTP/2, and its trailers.
    async fn end_over_http_2(&self, path: &str) -> (Seen, HeaderMap) {
        let stream = TcpStream::connect(self.gateway.address).await.unwrap();
        let (mut sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::builder()
            .uri(format!("http://gateway{path}"))
            .header("authorization", format!("Bearer {}", self.token));
        let answer = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let mut body = answer.into_body();
        let mut trailers = HeaderMap::new();
        let until_the_end = async {
            while let Some(frame) = body.frame().await {
                match frame.map(http_body::Frame::into_trailers) {
                    Ok(Ok(last)) => trailers = last,
                    Ok(Err(_data)) => {}
                    Err(_) => return Seen::Error,
                }
            }
            Seen::Clean
        };
        let seen = timeout(LIFE + SLACK, until_the_end).await.unwrap_or(Seen::GoesOn);
        (seen, trailers)
    }
}

#[tokio::test]
async fn a_stream_ends_when_its_token_expires() {
    let streams = streams(LIFE).await;
    assert_eq!(streams.end_of("/token/events", LIFE + SLACK).await, Seen::Clean);
    assert!(streams.begun.elapsed() >= LIFE - Duration::from_secs(1), "a token is good to its last second");
    assert!(!streams.gateway.admits(&streams.token).await, "the token has expired by then");
}

#[tokio::test]
async fn a_stream_that_ends_with_its_token_can_end_with_an_error() {
    let streams = streams(LIFE).await;
    let (one, two) = tokio::join!(
        streams.end_of("/token-error/events", LIFE + SLACK),
        streams.end_over_http_2("/token-error/events"),
    );
    assert_eq!((one, two.0), (Seen::Error, Seen::Error));
}

#[tokio::test]
async fn a_token_that_expires_ends_no_stream_of_a_layer_that_does_not_say_so() {
    let streams = streams(LIFE).await;
    let (session, alone) = tokio::join!(
        streams.end_of("/session/events", 2 * LIFE),
        streams.end_of("/error-alone/events", 2 * LIFE),
    );
    assert_eq!((session, alone), (Seen::GoesOn, Seen::GoesOn));
}

#[tokio::test]
async fn a_grpc_stream_says_in_its_trailers_that_the_token_has_expired() {
    let streams = streams(LIFE).await;
    let (plain, with_error) =
        tokio::join!(streams.end_over_http_2("/token/call"), streams.end_over_http_2("/token-error/call"));
    for (seen, trailers) in [plain, with_error] {
        assert_eq!(seen, Seen::Clean);
        assert_eq!(trailers["grpc-status"], "16", "{trailers:?}");
        assert!(trailers["grpc-message"].to_str().unwrap().contains("has expired"), "{trailers:?}");
    }
}

#[tokio::test]
async fn attack_a44_a_revoked_stream_ends_with_an_error_where_the_layer_says_so() {
    let streams = streams(Duration::from_secs(600)).await;
    let revoke = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let revoked =
            streams.gateway.bridge.admin().revoke_user(&crate::support::bridge::user("alice")).await;
        assert_eq!(revoked.unwrap(), Some(1));
    };
    let (clean, one, two, grpc, ()) = tokio::join!(
        streams.end_of("/session/events", WITHIN + SLACK),
        streams.end_of("/session-error/events", WITHIN + SLACK),
        streams.end_over_http_2("/session-error/events"),
        streams.end_over_http_2("/session-error/call"),
        revoke,
    );
    assert_eq!((clean, one, two.0, grpc.0), (Seen::Clean, Seen::Error, Seen::Error, Seen::Clean));
    assert_eq!(grpc.1["grpc-status"], "14");
}

#[tokio::test]
async fn an_answer_that_was_cut_short_lacks_its_last_chunk() {
    let streams = streams(LIFE).await;
    let get = |path: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\nauthorization: Bearer {}\r\n\r\n",
            streams.token
        )
    };
    let (clean, cut) = (get("/token/events"), get("/token-error/events"));
    let (clean, cut) = tokio::join!(
        raw(streams.gateway.address, clean.as_bytes()),
        raw(streams.gateway.address, cut.as_bytes()),
    );
    assert!(clean.ends_with("\r\n0\r\n\r\n"), "{clean}");
    assert!(cut.ends_with("data: tick\n\n\r\n"), "{cut}");
}

#[tokio::test]
async fn the_error_of_the_body_says_why_it_ended() {
    let db = SqliteBackend::start().await;
    let bridge = builder(&db).await.token_life(Duration::from_secs(1)).build().unwrap();
    let access = access(&bridge, "alice", "").await;
    let layer = bridge.layer("bridge").unwrap().end_streams_with_token().end_streams_with_error();
    let service =
        layer.layer(service_fn(async |_: Request<Body>| Ok::<_, Infallible>(http::Response::new(ticks()))));
    let mut request = Request::new(Body::empty());
    request.headers_mut().insert("authorization", access.token.to_header_value());
    let mut body = service.oneshot(request).await.unwrap().into_body();
    let error = loop {
        if let Err(error) = body.frame().await.expect("it ends with an error") {
            break error;
        }
    };
    assert_eq!(error.downcast_ref(), Some(&StreamEnded::Token));
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn a_connection_learns_of_the_end_of_its_token() {
    let db = SqliteBackend::start().await;
    let bridge = builder(&db).await.token_life(LIFE).build().unwrap();
    let access = access(&bridge, "alice", "").await;
    let guard = bridge.authenticator("bridge").unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("authorization", access.token.to_header_value());
    let caller = guard.authenticate(&headers).await.unwrap();
    let mut end = guard.token_end(&caller);
    timeout(LIFE + SLACK, &mut end).await.expect("it expires");
    assert!(guard.authenticate(&headers).await.is_err());
    timeout(SLACK, &mut end).await.expect("once complete, it stays complete");
}
