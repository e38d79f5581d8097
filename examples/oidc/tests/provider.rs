//! A small provider of OpenID Connect. Its people are signed in already, and it can lie.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Redirect;
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;

/// A running provider.
#[derive(Clone)]
pub struct Provider(Arc<Inner>);

struct Inner {
    issuer: String,
    key: Ed25519KeyPair,
    /// What the ID tokens say beside or instead of the truth.
    claims: Mutex<Value>,
    /// What it adds to the answer of its login.
    answer: Mutex<Vec<(String, String)>>,
    /// Whether it signs with a key that it has not published.
    forges: Mutex<bool>,
    /// What it was asked for, by code.
    asked: Mutex<HashMap<String, HashMap<String, String>>>,
    /// The last question, and how the gateway proved who it is.
    last: Mutex<(HashMap<String, String>, Option<String>)>,
}

impl Provider {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let provider = Self(Arc::new(Inner {
            issuer,
            key: Ed25519KeyPair::generate().unwrap(),
            claims: Mutex::new(json!({ "sub": "248289761001", "name": "Alice Adams" })),
            answer: Mutex::default(),
            forges: Mutex::default(),
            asked: Mutex::default(),
            last: Mutex::default(),
        }));
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/jwks", get(keys))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        provider
    }

    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// From now on ID tokens say this; null leaves a claim out.
    pub fn says(&self, claims: &Value) {
        let mut said = self.0.claims.lock().unwrap();
        for (name, value) in claims.as_object().unwrap() {
            said[name] = value.clone();
        }
    }

    /// From now on the login's answer has this parameter too.
    pub fn answers(&self, name: &str, value: &str) {
        self.0.answer.lock().unwrap().push((name.to_owned(), value.to_owned()));
    }

    pub fn forges(&self) {
        *self.0.forges.lock().unwrap() = true;
    }

    /// The parameters of the last sign-in, and the `Authorization` of its token request.
    pub fn last(&self) -> (HashMap<String, String>, Option<String>) {
        self.0.last.lock().unwrap().clone()
    }
}

async fn metadata(State(Provider(provider)): State<Provider>) -> Json<Value> {
    let issuer = &provider.issuer;
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA"],
    }))
}

async fn keys(State(Provider(provider)): State<Provider>) -> Json<Value> {
    let public = BASE64.encode(provider.key.public_key());
    Json(json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": "1", "x": public }] }))
}

/// The person is signed in here, and comes back at once.
async fn authorize(
    State(Provider(provider)): State<Provider>,
    Query(asked): Query<HashMap<String, String>>,
) -> Redirect {
    let code = format!("code{}", provider.asked.lock().unwrap().len());
    let mut back = url::Url::parse(&asked["redirect_uri"]).unwrap();
    let extra = provider.answer.lock().unwrap().clone();
    if !extra.iter().any(|(name, _)| name == "error") {
        back.query_pairs_mut().append_pair("code", &code);
    }
    back.query_pairs_mut().append_pair("state", &asked["state"]).extend_pairs(extra);
    provider.last.lock().unwrap().0.clone_from(&asked);
    provider.asked.lock().unwrap().insert(code, asked);
    Redirect::to(back.as_str())
}

async fn token(
    State(Provider(provider)): State<Provider>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Result<Json<Value>, StatusCode> {
    let authorization = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    provider.last.lock().unwrap().1 = authorization;
    let asked = provider.asked.lock().unwrap().remove(&form["code"]).ok_or(StatusCode::BAD_REQUEST)?;
    // PKCE, and the same redirect.
    let challenge = BASE64.encode(Sha256::digest(&form["code_verifier"]));
    if challenge != asked["code_challenge"] || form["redirect_uri"] != asked["redirect_uri"] {
        return Err(StatusCode::BAD_REQUEST);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut claims = json!({
        "iss": provider.issuer, "aud": asked["client_id"], "nonce": asked["nonce"], "iat": now, "exp": now + 300,
    });
    for (name, value) in provider.claims.lock().unwrap().as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    let other = Ed25519KeyPair::generate().unwrap();
    let key = if *provider.forges.lock().unwrap() { &other } else { &provider.key };
    let key = EncodingKey::from_ed_der(key.to_pkcs8().unwrap().as_ref());
    let header = Header { kid: Some("1".to_owned()), ..Header::new(Algorithm::EdDSA) };
    let id_token = jsonwebtoken::encode(&header, &claims, &key).unwrap();
    Ok(Json(json!({ "access_token": "a", "token_type": "Bearer", "expires_in": 300, "id_token": id_token })))
}
