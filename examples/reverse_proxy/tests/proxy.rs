//! The proxy over real sockets, in front of a real upstream.

#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, Version, header};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use bridge_auth::store::SqliteStore;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use bridge_auth::{Bridge, Scopes, SignedIn, UserId};
use example_reverse_proxy::{Upstream, app};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

/// Longer than anything here takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

struct Proxy {
    bridge: Bridge,
    url: String,
    client: Client,
    _folder: TempDir,
}

impl Proxy {
    async fn to(upstream: &str, answers_within: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("bridges.db")).await.unwrap();
        let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
        let bridge = Bridge::builder("http://127.0.0.1", keys, store).build().unwrap();
        let url = serve(app(&bridge, Upstream::new(upstream, answers_within).unwrap()).unwrap()).await;
        Self { bridge, url, client: Client::builder().no_proxy().build().unwrap(), _folder: folder }
    }

    /// Links a bridge for alice as bridges do, and returns its token.
    async fn token(&self) -> String {
        let alice = SignedIn::new(UserId::parse("alice").unwrap(), Scopes::default());
        let issued = self.bridge.issuer().issue_code(&alice, Default::default()).await.unwrap();
        let exchange = json!({ "code": issued.code.expose() });
        let request = self.client.post(format!("{}/v1/auth/bridge/session", self.url)).json(&exchange);
        let access: Value = request.send().await.unwrap().json().await.unwrap();
        access["token"].as_str().unwrap().to_owned()
    }

    fn get(&self, path: &str, token: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url)).bearer_auth(token)
    }
}

async fn serve(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

/// Answers with what it received.
async fn received(request: Request) -> Json<Value> {
    let headers: Value = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), Value::from(value.to_str().unwrap())))
        .collect();
    Json(json!({ "method": request.method().as_str(), "uri": request.uri().to_string(), "headers": headers }))
}

async fn is_problem(answer: Response, status: StatusCode) -> bool {
    assert_eq!(answer.status(), status);
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/problem+json");
    let body: Value = answer.json().await.unwrap();
    body["status"] == status.as_u16() && body["detail"].as_str().unwrap().contains("the upstream ")
}

#[tokio::test]
async fn only_who_has_a_token_reaches_the_upstream_and_no_credential_goes_along() {
    let upstream = serve(Router::new().fallback(received)).await;
    let proxy = Proxy::to(&upstream, PATIENCE).await;
    assert_eq!(proxy.client.get(&proxy.url).send().await.unwrap().status(), 401);

    // Every word of it as an attacker writes it.
    let address = proxy.url.strip_prefix("http://").unwrap();
    let head = format!(
        "DELETE /a%2Fb/../c?d=%20e HTTP/1.1\r\nhost: gateway.example\r\nauthorization: Bearer {}\r\n\
         connection: close, x-user-id, x-hop\r\nx-hop: 1\r\nx-user-id: mallory\r\nx_user_id: mallory\r\n\
         cookie: login=a\r\nx-api-key: key\r\nte: gzip\r\nx-kept: yes\r\n\r\n",
        proxy.token().await
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    let body: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!((&body["method"], &body["uri"]), (&json!("DELETE"), &json!("/a%2Fb/../c?d=%20e")));
    let headers = body["headers"].as_object().unwrap();
    let mut names: Vec<_> = headers.keys().map(String::as_str).collect();
    names.sort_unstable();
    let identity = [
        "x-call-source",
        "x-client-id",
        "x-kept",
        "x-policy-version",
        "x-session-id",
        "x-trace-id",
        "x-user-id",
    ];
    assert_eq!(names, [&["host"], &identity[..]].concat());
    assert_eq!((&headers["x-user-id"], &headers["x-kept"]), (&json!("alice"), &json!("yes")));
    assert_eq!(headers["host"], upstream.strip_prefix("http://").unwrap());
}

#[tokio::test]
async fn bodies_go_both_ways_as_they_come() {
    let echo = Router::new().route("/", post(async |body: Body| body));
    let proxy = Proxy::to(&serve(echo).await, PATIENCE).await;
    let (sender, receiver) = mpsc::channel::<Result<&'static str, Infallible>>(1);
    let body = reqwest::Body::wrap_stream(ReceiverStream::new(receiver));
    let request = proxy.client.post(&proxy.url).bearer_auth(proxy.token().await).body(body);
    sender.send(Ok("one")).await.unwrap();
    let mut answer = request.send().await.unwrap().bytes_stream();
    for (sent, next) in [("one", Some("two")), ("two", Some("three")), ("three", None)] {
        let heard = timeout(PATIENCE, answer.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(heard, sent);
        // Only now is there more to send.
        if let Some(next) = next {
            sender.send(Ok(next)).await.unwrap();
        }
    }
    drop(sender);
    assert!(timeout(PATIENCE, answer.next()).await.unwrap().is_none());

    // A body whose length is known is sent with its length.
    let answer =
        proxy.client.post(&proxy.url).bearer_auth(proxy.token().await).body("12345").send().await.unwrap();
    assert_eq!(
        (&answer.headers()["content-length"], answer.status()),
        (&"5".parse().unwrap(), StatusCode::OK)
    );
}

#[tokio::test]
async fn a_stream_of_events_ends_with_its_session_and_the_upstream_hears_of_it() {
    let (alive, dropped) = oneshot::channel::<()>();
    let alive = Arc::new(Mutex::new(Some(alive)));
    let events = async move || {
        // Lives as long as the first stream.
        let alive = alive.lock().unwrap().take();
        let ticks = tokio_stream::iter(0..).throttle(Duration::from_millis(50)).map(move |tick| {
            let _held = &alive;
            Ok::<_, Infallible>(format!("data: {tick}\n\n"))
        });
        ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(ticks))
    };
    let proxy = Proxy::to(&serve(Router::new().route("/events", get(events))).await, PATIENCE).await;
    let token = proxy.token().await;
    let answer = proxy.get("/events", &token).send().await.unwrap();
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/event-stream");
    let mut stream = answer.bytes_stream();
    let mut heard = String::new();
    while !heard.contains("data: 2\n\n") {
        heard.push_str(str::from_utf8(&stream.next().await.unwrap().unwrap()).unwrap());
    }
    assert!(heard.starts_with("data: 0\n\ndata: 1\n\n"), "{heard}");
    proxy.bridge.admin().revoke_user(&UserId::parse("alice").unwrap()).await.unwrap();
    let revoked = Instant::now();
    let ends = async { while let Some(Ok(_)) = stream.next().await {} };
    timeout(PATIENCE, ends).await.expect("the stream ends");
    assert!(
        revoked.elapsed() < Duration::from_secs(7),
        "5 s, and something for a busy machine: {:?}",
        revoked.elapsed()
    );
    assert_eq!(proxy.get("/events", &token).send().await.unwrap().status(), 401);
    assert!(timeout(PATIENCE, dropped).await.expect("the upstream's stream is dropped").is_err());
}

#[tokio::test]
async fn an_upstream_that_is_down_is_502_and_one_that_says_nothing_is_504() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let proxy = Proxy::to(&nobody, PATIENCE).await;
    let token = proxy.token().await;
    assert!(is_problem(proxy.get("/", &token).send().await.unwrap(), StatusCode::BAD_GATEWAY).await);

    let silent = Router::new().fallback(any(std::future::pending::<()>));
    let proxy = Proxy::to(&serve(silent).await, Duration::from_millis(200)).await;
    let token = proxy.token().await;
    assert!(is_problem(proxy.get("/", &token).send().await.unwrap(), StatusCode::GATEWAY_TIMEOUT).await);
}

#[tokio::test]
async fn nothing_of_the_upstreams_connection_is_in_the_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::to(&format!("http://{}", listener.local_addr().unwrap()), PATIENCE).await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        // The whole head: what is left unread would break the connection.
        assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.0 200 OK\r\nconnection: x-hop\r\nx-hop: 1\r\n\r\nold").await.unwrap();
    });
    let answer = proxy.get("/", &proxy.token().await).send().await.unwrap();
    assert_eq!((answer.status(), answer.version()), (StatusCode::OK, Version::HTTP_11));
    assert!(!answer.headers().contains_key("x-hop"), "{:?}", answer.headers());
    assert_eq!(answer.text().await.unwrap(), "old");
}

#[test]
fn an_upstream_is_a_server_and_no_path() {
    for base in ["", "127.0.0.1:9000", "/", "http://a/b", "http://a/?b"] {
        assert!(Upstream::new(base, PATIENCE).is_err(), "{base}");
    }
}
