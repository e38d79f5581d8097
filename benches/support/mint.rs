//! Tokens for the sessions of a [`Database`](super::database::Database), in the form that `bridge-auth` issues.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::Ed25519KeyPair;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use http::HeaderValue;
use jsonwebtoken::{DecodingKey, EncodingKey, Header};
use serde_json::{Value, json};

use super::database::{session_id, user_id};

pub const ISSUER: &str = "https://gateway.example";
pub const AUDIENCES: [&str; 2] = ["bridge", "mcp"];

/// Signs tokens with one key. The same session always gets the same token, because Ed25519 signatures are
/// deterministic.
#[derive(Clone)]
pub struct Mint {
    pem: String,
    signing: EncodingKey,
    header: Header,
    issued_at: u64,
}

impl Mint {
    pub fn new() -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let der = pair.to_pkcs8v1().unwrap();
        let issued_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        Self::with(pem::encode(&pem::Pem::new("PRIVATE KEY", der.as_ref())), issued_at)
    }

    /// Passes the mint to another process.
    pub fn write(&self, file: &Path) {
        std::fs::write(file, format!("{}\n{}", self.issued_at, self.pem)).unwrap();
    }

    pub fn read(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).unwrap();
        let (issued_at, pem) = text.split_once('\n').unwrap();
        Self::with(pem.to_owned(), issued_at.parse().unwrap())
    }

    pub fn keys(&self) -> KeyRing {
        KeyRing::new(self.key()).unwrap()
    }

    pub fn decoding_key(&self) -> DecodingKey {
        DecodingKey::from_ed_components(&self.public_key()).unwrap()
    }

    /// The public key as in a JWK.
    pub fn public_key(&self) -> String {
        let jwks: Value = serde_json::from_str(&self.keys().jwks()).unwrap();
        jwks["keys"][0]["x"].as_str().unwrap().to_owned()
    }

    /// The token of session number `session`, for `audiences`.
    pub fn token_for(&self, session: u64, audiences: &[&str]) -> String {
        self.token_of(&user_id(session), &session_id(session), "sp_bridge", audiences)
    }

    /// The token of a session of `user` and `client`, for `audiences`.
    pub fn token_of(&self, user: &str, session: &str, client: &str, audiences: &[&str]) -> String {
        let claims = json!({
            "iss": ISSUER,
            "sub": user,
            "aud": audiences,
            "exp": self.issued_at + 20 * 60 * 60,
            "iat": self.issued_at,
            "nbf": self.issued_at,
            "jti": session.trim_start_matches("sess_"),
            "client_id": client,
            "scope": "bridge:call",
            "sid": session,
            "auth_time": self.issued_at,
        });
        jsonwebtoken::encode(&self.header, &claims, &self.signing).unwrap()
    }

    /// The `Authorization` header of session number `session`.
    pub fn bearer(&self, session: u64) -> HeaderValue {
        bearer(&self.token_for(session, &AUDIENCES))
    }

    /// The tokens of `count` sessions, spread over the first `of` sessions, in a mixed order.
    pub fn tokens(&self, count: u64, of: u64) -> impl Iterator<Item = String> {
        // A large prime shares no factor with `of`, so every session comes once.
        (0..count).map(move |n| self.token_for((n * 2_147_483_647) % of, &AUDIENCES))
    }

    /// The `Authorization` headers of `count` sessions.
    pub fn bearers(&self, count: u64, of: u64) -> Vec<HeaderValue> {
        self.tokens(count, of).map(|token| bearer(&token)).collect()
    }

    fn with(pem: String, issued_at: u64) -> Self {
        let signing = EncodingKey::from_ed_pem(pem.as_bytes()).unwrap();
        let mut mint = Self { pem, signing, header: Header::default(), issued_at };
        mint.header = Header {
            typ: Some("at+jwt".to_owned()),
            kid: Some(mint.key().key_id().to_owned()),
            ..Header::new(jsonwebtoken::Algorithm::EdDSA)
        };
        mint
    }

    fn key(&self) -> SigningKey {
        SigningKey::from_pem(Algorithm::EdDsa, &self.pem).unwrap()
    }
}

pub fn bearer(token: &str) -> HeaderValue {
    HeaderValue::try_from(format!("Bearer {token}")).unwrap()
}
