//! A way to a gateway that a test can watch and hold up. All that it hands on is the gateway's own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::header::{HOST, RETRY_AFTER};
use axum::http::{Response, StatusCode};
use reqwest::{Body, Client};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::Gateway;

/// What becomes of a request to the token endpoint.
#[derive(Clone, Copy, PartialEq)]
pub enum Tokens {
    /// It is answered.
    Answered,
    /// The gateway answers, and nobody hears of it.
    AnswerLost,
    /// It never gets there: 503.
    Busy,
}

/// A gateway whose own URL is the relay's.
pub struct Relayed {
    pub gateway: Gateway,
    relay: Arc<Relay>,
}

struct Relay {
    client: Client,
    target: Mutex<String>,
    tokens: watch::Sender<Tokens>,
    answered: AtomicUsize,
}

impl Relayed {
    /// Starts an example gateway behind a relay.
    pub async fn start(arguments: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut gateway = Gateway::start(&[&["--issuer", &url], arguments].concat()).await;
        let relay = Arc::new(Relay {
            client: Client::builder().no_proxy().build().unwrap(),
            target: Mutex::new(std::mem::replace(&mut gateway.running.url, url)),
            tokens: watch::Sender::new(Tokens::Answered),
            answered: AtomicUsize::new(0),
        });
        let app = Router::new().fallback(relay_on).with_state(relay.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { gateway, relay }
    }

    pub fn tokens(&self, tokens: Tokens) {
        self.relay.tokens.send_replace(tokens);
    }

    /// How many requests for a token the gateway has answered with one.
    pub fn token_answers(&self) -> usize {
        self.relay.answered.load(Ordering::SeqCst)
    }
}

async fn relay_on(State(relay): State<Arc<Relay>>, request: Request) -> Response<Body> {
    let is_for_token = request.uri().path().ends_with("/token");
    let mut tokens = relay.tokens.subscribe();
    if is_for_token && *tokens.borrow() == Tokens::Busy {
        return busy();
    }
    let url = format!("{}{}", relay.target.lock().unwrap(), request.uri());
    let (mut parts, body) = request.into_parts();
    parts.headers.remove(HOST);
    let body: Bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let sent = relay.client.request(parts.method, url).headers(parts.headers).body(body).send();
    let Ok(answer) = sent.await else { return busy() };
    if is_for_token && answer.status() == StatusCode::OK {
        relay.answered.fetch_add(1, Ordering::SeqCst);
        tokens.wait_for(|tokens| *tokens != Tokens::AnswerLost).await.unwrap();
    }
    answer.into()
}

fn busy() -> Response<Body> {
    let answer = Response::builder().status(StatusCode::SERVICE_UNAVAILABLE).header(RETRY_AFTER, "60");
    answer.body(Body::default()).unwrap()
}
