//! What the tests of this folder share: keys, claims, a clock that stands still, and a forger.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
};
use serde_json::{Value, json};

use super::compact::encode;
use super::jwk::{Jwk, Operation};
use super::{Algorithm, Claims, InvalidToken, KeyRing, SigningKey, Subject, TokenVerifier};
use crate::clock::Clock;
use crate::id::{Audience, ClientId, Scopes, SessionId, UserId};

pub(super) const NOW: u64 = 1_800_000_000;
pub(super) const ISSUER: &str = "https://gateway.example";
pub(super) const LEEWAY: u64 = 10;
pub(super) const MAX_LIFE: u64 = 3600;

pub(super) const ALGORITHMS: [Algorithm; 4] =
    [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256, Algorithm::Ps256];

/// One key for each of [`ALGORITHMS`], and one for HS256.
pub(super) fn keys() -> &'static [SigningKey; 5] {
    static KEYS: LazyLock<[SigningKey; 5]> = LazyLock::new(|| {
        let [ed, es, rs, ps] = ALGORITHMS.map(|algorithm| SigningKey::generate(algorithm).unwrap());
        [ed, es, rs, ps, SigningKey::danger_hs256(b"Nhwm4ACsiJjA7eaG8MBPKpFbWK9qpzRX").unwrap()]
    });
    &KEYS
}

pub(super) fn ed25519() -> &'static SigningKey {
    &keys()[0]
}

/// The public key of `key` as SubjectPublicKeyInfo.
pub(super) fn spki(key: &SigningKey) -> Vec<u8> {
    let jwks: Value = serde_json::from_str(&ring_of(key).jwks()).unwrap();
    let jwk = Jwk::parse(&jwks["keys"][0].to_string()).unwrap();
    let algorithm = jwk.algorithm(Operation::Verify).unwrap();
    let public = jwk.public_key(algorithm).unwrap();
    let kind: &'static dyn VerificationAlgorithm = match algorithm {
        Algorithm::EdDsa => &ED25519,
        Algorithm::Es256 => &ECDSA_P256_SHA256_FIXED,
        Algorithm::Rs256 | Algorithm::Ps256 => &RSA_PKCS1_2048_8192_SHA256,
    };
    let der: PublicKeyX509Der<'_> = ParsedPublicKey::new(kind, public).unwrap().as_der().unwrap();
    der.as_ref().to_vec()
}

/// A clock that stands at the given second.
#[derive(Debug)]
pub(super) struct StandsAt(pub(super) Duration);

impl Clock for StandsAt {
    fn now(&self) -> Duration {
        self.0
    }
}

pub(super) fn ring_of(key: &SigningKey) -> KeyRing {
    KeyRing::new(key.clone()).unwrap()
}

pub(super) fn verifier(keys: KeyRing) -> TokenVerifier {
    let clock = Arc::new(StandsAt(Duration::from_secs(NOW)));
    TokenVerifier::new(keys, ISSUER.into(), clock, Duration::from_secs(LEEWAY), Duration::from_secs(MAX_LIFE))
}

pub(super) fn claims() -> Claims {
    Claims {
        issuer: ISSUER.into(),
        subject: Subject::User(UserId::parse("alice@example.com").unwrap()),
        audiences: ["bridge", "mcp"].map(|name| Audience::parse(name).unwrap()).into(),
        expires_at: NOW + 600,
        issued_at: NOW,
        not_before: NOW,
        token_id: crate::id::random_hex::<16>().to_string(),
        client: ClientId::parse("sp_bridge").unwrap(),
        scopes: Scopes::parse("hook:govern hook:track").unwrap(),
        session: SessionId::random(),
        authenticated_at: NOW - 60,
    }
}

pub(super) fn hook_claims() -> Claims {
    let owner = UserId::parse("alice@example.com").unwrap();
    Claims { client: ClientId::for_hooks_of(&owner), subject: Subject::HookClient { owner }, ..claims() }
}

/// The payload of a good token, to be spoilt.
pub(super) fn payload() -> Value {
    serde_json::from_slice(&claims().to_json()).unwrap()
}

/// The header of a good token of `key`, to be spoilt.
pub(super) fn header(key: &SigningKey) -> Value {
    json!({ "alg": key.verifying_key().scheme().name(), "kid": key.key_id(), "typ": "at+jwt" })
}

/// A token of any header and payload, with a signature by `key` that holds.
pub(super) fn forge(key: &SigningKey, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    let signed = format!("{}.{}", encode(header), encode(payload));
    let signature = encode(key.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

/// A good token of `key`.
pub(super) fn token(key: &SigningKey) -> String {
    forge(key, header(key).to_string(), payload().to_string())
}

/// The parts of a token: what is signed, and the signature.
pub(super) fn split(token: &str) -> (&str, &str) {
    token.rsplit_once('.').unwrap()
}

/// The verdict on a payload that is signed well.
pub(super) fn verdict_on_payload(payload: impl AsRef<[u8]>) -> Result<Claims, InvalidToken> {
    let key = ed25519();
    verifier(ring_of(key)).verify(&forge(key, header(key).to_string(), payload))
}

/// The verdict on a header over good claims that are signed well.
pub(super) fn verdict_on_header(header: impl AsRef<[u8]>) -> Result<Claims, InvalidToken> {
    let key = ed25519();
    verifier(ring_of(key)).verify(&forge(key, header, payload().to_string()))
}
