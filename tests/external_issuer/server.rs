//! Another authorization server: it publishes keys on a real socket, and signs.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bridge_auth::clock::Clock;
use futures_util::stream;
use http::StatusCode;
use http::header::LOCATION;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use url::Url;

use super::{Ahead, HERE};

pub(super) struct AuthorizationServer {
    pub(super) key: Key,
    clock: Ahead,
    address: SocketAddr,
    published: Arc<Published>,
    serving: JoinHandle<()>,
}

/// A key that signs.
pub(crate) struct Key {
    pair: Ed25519KeyPair,
    pub(crate) id: String,
}

/// How the server answers who asks for its keys.
pub(super) enum Answering {
    Keys(Vec<Value>),
    Status(StatusCode),
    Redirect,
    Nothing,
    /// These keys, but only once it is told to.
    Late(Vec<Value>, Arc<Notify>),
    /// A good set with so many bytes of white space behind it; whether it says so beforehand.
    Padded(Vec<Value>, usize, bool),
}

struct Published {
    answering: Mutex<Arc<Answering>>,
    fetches: AtomicUsize,
    redirected: AtomicUsize,
}

impl AuthorizationServer {
    pub(super) async fn start(clock: Ahead) -> Self {
        let key = Key::new("first");
        let published = Arc::new(Published {
            answering: Mutex::new(Arc::new(Answering::Keys(vec![key.jwk()]))),
            fetches: AtomicUsize::new(0),
            redirected: AtomicUsize::new(0),
        });
        let app = Router::new()
            .route("/jwks.json", get(jwks))
            .route("/elsewhere", get(elsewhere))
            .with_state(published.clone());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { key, clock, address, published, serving }
    }

    pub(super) fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn jwks_url(&self) -> Url {
        format!("{}/jwks.json", self.issuer()).parse().unwrap()
    }

    pub(super) fn answer(&self, answering: Answering) {
        *self.published.answering.lock().unwrap() = Arc::new(answering);
    }

    pub(super) fn publish(&self, keys: &[&Key]) {
        self.answer(Answering::Keys(keys.iter().map(|key| key.jwk()).collect()));
    }

    /// How often its keys were asked for.
    pub(super) fn fetches(&self) -> usize {
        self.published.fetches.load(Ordering::SeqCst)
    }

    /// How often a redirect was followed.
    pub(super) fn redirected(&self) -> usize {
        self.published.redirected.load(Ordering::SeqCst)
    }

    /// The claims of a good token.
    pub(super) fn claims(&self) -> Value {
        let now = self.clock.now().as_secs();
        json!({
            "iss": self.issuer(), "sub": "them|7", "aud": [HERE, "https://other.example"], "iat": now, "exp": now + 600,
            "jti": "1", "client_id": "their-app", "scope": "read mail",
        })
    }

    pub(super) fn token(&self) -> String {
        self.key.sign(&self.claims())
    }

    /// A good token but for these claims.
    pub(super) fn token_with(&self, claims: &Value) -> String {
        let mut all = self.claims();
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        self.key.sign(&all)
    }
}

impl Drop for AuthorizationServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Key {
    pub(crate) fn new(id: &str) -> Self {
        Self { pair: Ed25519KeyPair::generate().unwrap(), id: id.to_owned() }
    }

    pub(crate) fn jwk(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key());
        json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": self.id, "use": "sig", "alg": "EdDSA" })
    }

    pub(super) fn pem(&self) -> String {
        pem::encode(&pem::Pem::new("PRIVATE KEY", self.pair.to_pkcs8v1().unwrap().as_ref()))
    }

    pub(super) fn header(&self) -> Value {
        json!({ "alg": "EdDSA", "kid": self.id, "typ": "at+jwt" })
    }

    pub(super) fn sign(&self, claims: &Value) -> String {
        self.sign_under(&self.header(), claims)
    }

    pub(crate) fn sign_under(&self, header: &Value, claims: &impl ToString) -> String {
        let [header, claims] =
            [header.to_string(), claims.to_string()].map(|part| URL_SAFE_NO_PAD.encode(part));
        let signed = format!("{header}.{claims}");
        let signature = URL_SAFE_NO_PAD.encode(self.pair.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

async fn jwks(State(published): State<Arc<Published>>) -> Response {
    published.fetches.fetch_add(1, Ordering::SeqCst);
    let answering = published.answering.lock().unwrap().clone();
    match &*answering {
        Answering::Keys(keys) => json!({ "keys": keys }).to_string().into_response(),
        Answering::Status(status) => status.into_response(),
        Answering::Redirect => (StatusCode::FOUND, [(LOCATION, "/elsewhere")]).into_response(),
        Answering::Nothing => std::future::pending().await,
        Answering::Late(keys, told) => {
            told.notified().await;
            json!({ "keys": keys }).to_string().into_response()
        }
        Answering::Padded(keys, padding, says_so) => {
            let set = json!({ "keys": keys }).to_string() + &" ".repeat(*padding);
            if *says_so {
                return set.into_response();
            }
            let chunks: Vec<_> = set.into_bytes().chunks(10_000).map(Bytes::copy_from_slice).collect();
            Body::from_stream(stream::iter(chunks.into_iter().map(Ok::<_, std::io::Error>))).into_response()
        }
    }
}

async fn elsewhere(State(published): State<Arc<Published>>) -> StatusCode {
    published.redirected.fetch_add(1, Ordering::SeqCst);
    StatusCode::OK
}
