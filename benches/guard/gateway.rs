//! A gateway over a real store with one live session.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::Body;
use bridge_auth::issue::AccessRequest;
use bridge_auth::store::SqliteStore;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use bridge_auth::{Bridge, BridgeAuthLayer, Freshness, Scopes, SessionId, SignedIn, UserId};
use http::{Request, Response, StatusCode};
use jsonwebtoken::{DecodingKey, Validation};
use tokio::runtime::Runtime;
use tower::Service;

use crate::by_hand::Checks;
use crate::scenes::{Scene, Token};
use crate::support::head::{Credential, Head};

/// The session of every scene. The bridge declares it, and sends it with each request where the scene says so.
pub const SESSION: &str = "sess_0123456789abcdef0123456789abcdef";
pub const USER: &str = "alice@example.com";

const SECRET: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

pub struct Gateway {
    runtime: Runtime,
    bridge: Bridge,
    keys: KeyRing,
    algorithm: jsonwebtoken::Algorithm,
    token: String,
    _folder: tempfile::TempDir,
}

impl Gateway {
    /// Creates a gateway that has received no request yet.
    pub fn open(token: Token) -> Self {
        let (key, algorithm) = match token {
            Token::Hs256 => (SigningKey::danger_hs256(SECRET), jsonwebtoken::Algorithm::HS256),
            _ => (SigningKey::generate(Algorithm::EdDsa), jsonwebtoken::Algorithm::EdDSA),
        };
        let keys = KeyRing::new(key.unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (bridge, token) = runtime.block_on(async {
            let store = SqliteStore::open(folder.path().join("bench.db")).await.unwrap();
            let watched = Freshness::Watched { max_lag: Duration::from_secs(60) };
            let builder = Bridge::builder("https://gateway.example", keys.clone(), store).freshness(watched);
            let bridge = builder.build().unwrap();
            let scopes = Scopes::parse("hook:govern hook:track").unwrap();
            let alice = SignedIn::new(UserId::parse(USER).unwrap(), scopes);
            bridge.issuer().register_user(&alice).await.unwrap();
            let token = issue(&bridge, (token == Token::Expired).then_some(Duration::from_secs(1))).await;
            (bridge, token)
        });
        Self { runtime, bridge, keys, algorithm, token, _folder: folder }
    }

    /// The credential that the client sends.
    pub fn credential(&self, token: Token) -> Credential {
        match token {
            Token::EdDsa | Token::Hs256 | Token::Expired => Credential::Bearer(self.token.clone()),
            Token::Garbage => Credential::Bearer("x".repeat(566)),
            Token::Missing => Credential::None,
        }
    }

    pub fn layer(&self, scene: &Scene) -> BridgeAuthLayer {
        let layer = self.bridge.layer("bridge").unwrap();
        layer.identity_headers(scene.writes)
    }

    /// The checks that a hand-written middleware makes on the same tokens.
    pub fn checks(&self) -> Arc<Checks> {
        let key = match self.algorithm {
            jsonwebtoken::Algorithm::HS256 => DecodingKey::from_secret(SECRET),
            _ => {
                let set: jsonwebtoken::jwk::JwkSet = serde_json::from_str(&self.keys.jwks()).unwrap();
                DecodingKey::from_jwk(&set.keys[0]).unwrap()
            }
        };
        let mut validation = Validation::new(self.algorithm);
        // The default accepts a token for a minute after its expiry.
        validation.leeway = 0;
        validation.set_audience(&["bridge"]);
        validation.set_issuer(&["https://gateway.example"]);
        Arc::new(Checks { key, validation })
    }

    /// Waits until the watcher has read the whole log. A first request starts the watcher. Its token is not the token
    /// that is measured.
    pub fn prepare<S, R>(&self, mut service: S)
    where
        S: Service<Request<Body>, Response = Response<R>>,
        S::Error: std::fmt::Debug,
    {
        self.block_on(async {
            let other = Head::of_5(&Credential::Bearer(issue(&self.bridge, None).await)).post();
            assert_eq!(service.call(other).await.unwrap().status(), StatusCode::OK);
            while !self.bridge.watch_status().proven {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
    }

    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }
}

/// Issues a token of the session. If `life` is given, the token has expired when this function returns.
async fn issue(bridge: &Bridge, life: Option<Duration>) -> String {
    let scopes = Scopes::parse("hook:govern hook:track").unwrap();
    let request = AccessRequest::for_user(UserId::parse(USER).unwrap(), scopes);
    let request = request.session_id(SessionId::parse(SESSION).unwrap());
    let request = match life {
        Some(life) => request.token_life(life),
        None => request,
    };
    let access = bridge.issuer().open_access(request).await.unwrap();
    if life.is_some() {
        let ends = access.expires_at.duration_since(SystemTime::now()).unwrap_or_default();
        // For `jsonwebtoken`, a token is still good in its last second.
        tokio::time::sleep(ends + Duration::from_secs(1)).await;
    }
    access.token.expose().to_owned()
}
