//! Signed text with any header and any payload: behind the signature are the parsers of claims.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bridge_auth::token::{Algorithm, SigningKey};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

/// An Ed25519 key that signs whatever it is given.
#[derive(Debug)]
pub struct Signer {
    pair: Ed25519KeyPair,
    pem: String,
}

impl Signer {
    /// A new key.
    pub fn generate() -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        let pem = pem::encode(&pem::Pem::new("PRIVATE KEY", document.as_ref()));
        Self { pair, pem }
    }

    /// The key as the gateway loads it.
    pub fn signing_key(&self) -> SigningKey {
        SigningKey::from_pem(Algorithm::EdDsa, &self.pem).unwrap()
    }

    /// The public key as a JWK with this id.
    pub fn jwk(&self, key_id: &str) -> serde_json::Value {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key().as_ref());
        serde_json::json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": key_id, "x": x })
    }

    /// The id under which the gateway knows the key.
    pub fn key_id(&self) -> String {
        self.signing_key().key_id().to_owned()
    }

    /// A JWT of these two parts. The signature holds.
    pub fn sign(&self, header: &[u8], payload: &[u8]) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = self.pair.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}

/// The header and the payload of a JWT: the first line of the input, and the rest. `{now+60}` and the like in them stand
/// for a time in seconds, and other placeholders for what `filled_in` says.
pub fn halves(bytes: &[u8], filled_in: &[(&str, &str)]) -> Option<(Vec<u8>, Vec<u8>)> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let fill = |bytes: &[u8]| {
        let Ok(text) = std::str::from_utf8(bytes) else { return bytes.to_vec() };
        let times =
            [("{now-60}", now - 60), ("{now+60}", now + 60), ("{now+3600}", now + 3600), ("{now}", now)];
        let text = times.iter().fold(text.to_owned(), |text, (name, at)| text.replace(name, &at.to_string()));
        filled_in.iter().fold(text, |text, (name, value)| text.replace(name, value)).into_bytes()
    };
    let line = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((fill(&bytes[..line]), fill(&bytes[line + 1..])))
}

/// The headers of a request with this token. `None`: it does not fit in a header.
pub fn bearer(token: &str) -> Option<HeaderMap> {
    let value = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    Some(HeaderMap::from_iter([(AUTHORIZATION, value)]))
}
