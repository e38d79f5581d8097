//! The key of the identity provider, and what it signs.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow, ensure};
use aws_lc_rs::signature::Ed25519KeyPair;
use bridge_auth::id::ClientSecret;
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::Deserialize;
use serde_json::Value;

/// The `typ` of ID tokens.
pub const ID_TOKEN: &str = "JWT";

/// A key that signs tokens of several types.
pub struct Signer {
    key: EncodingKey,
    public: Jwk,
}

#[derive(Deserialize)]
struct Subject {
    sub: String,
}

impl Signer {
    pub fn generate() -> Result<Self> {
        let pair = Ed25519KeyPair::generate().map_err(|_| anyhow!("no key can be made"))?;
        let key = EncodingKey::from_ed_der(pair.to_pkcs8v1()?.as_ref());
        let mut public = Jwk::from_encoding_key(&key, Algorithm::EdDSA)?;
        public.common.key_id = Some(public.thumbprint(ThumbprintHash::SHA256)?);
        Ok(Self { key, public })
    }

    /// What verifies its signatures (RFC 7517).
    pub fn public(&self) -> &Jwk {
        &self.public
    }

    /// A signed token with this `typ`.
    pub fn sign(&self, typ: &str, claims: &Value) -> Result<String> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(typ.to_owned());
        header.kid.clone_from(&self.public.common.key_id);
        Ok(jsonwebtoken::encode(&header, claims, &self.key)?)
    }

    /// Whom an own ID token names.
    pub fn subject_of(&self, id_token: &str, issuer: &str) -> Result<String> {
        let mut expected = Validation::new(Algorithm::EdDSA);
        expected.set_issuer(&[issuer]);
        expected.set_audience(&[issuer]);
        expected.set_required_spec_claims(&["iss", "aud", "exp", "sub"]);
        let key = DecodingKey::from_jwk(&self.public)?;
        let token = jsonwebtoken::decode::<Subject>(id_token, &key, &expected)?;
        ensure!(token.header.typ.as_deref() == Some(ID_TOKEN), "it is no ID token");
        Ok(token.claims.sub)
    }
}

/// A text that no other token has as its `jti`.
pub fn unique() -> String {
    ClientSecret::random().expose().to_owned()
}

/// Seconds since the Unix epoch.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
