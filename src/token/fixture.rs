//! What the tests of this folder share: keys, claims, a clock that stands still, and forged tokens.

use std::sync::LazyLock;
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ED25519,
    EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
};
use serde_json::{Value, json};
use simple_asn1::{ASN1Block, BigInt, from_der, oid, to_der};

use super::compact::encode;
use super::jwk::{Jwk, Operation};
use super::{Algorithm, Claims, InvalidToken, KeyRing, SigningKey, Subject, TokenVerifier};
use crate::clock::{Clock, HostClock};
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
        Algorithm::EdDsa | Algorithm::Ed25519 => &ED25519,
        Algorithm::Es256 => &ECDSA_P256_SHA256_FIXED,
        Algorithm::Rs256 | Algorithm::Ps256 => &RSA_PKCS1_2048_8192_SHA256,
    };
    let der: PublicKeyX509Der<'_> = ParsedPublicKey::new(kind, public).unwrap().as_der().unwrap();
    der.as_ref().to_vec()
}

/// The two halves of a key in PEM. Code outside this crate makes them, and each run makes new ones.
pub(super) struct PemPair {
    pub(super) private: String,
    pub(super) public: String,
}

impl PemPair {
    pub(super) fn ed25519() -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        Self::new(pair.to_pkcs8v1().unwrap().as_ref(), pair.public_key())
    }

    pub(super) fn p256() -> Self {
        Self::ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING)
    }

    pub(super) fn p384() -> Self {
        Self::ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING)
    }

    /// An RSA key of 2048 bits. All tests share it, because it is slow to make.
    pub(super) fn rsa2048() -> &'static Self {
        static PAIR: LazyLock<PemPair> = LazyLock::new(|| {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
            let private: Pkcs8V1Der<'_> = pair.as_der().unwrap();
            PemPair::new(private.as_ref(), pair.public_key())
        });
        &PAIR
    }

    fn ecdsa(curve: &'static EcdsaSigningAlgorithm) -> Self {
        let pair = EcdsaKeyPair::generate(curve).unwrap();
        Self::new(pair.to_pkcs8v1().unwrap().as_ref(), pair.public_key())
    }

    fn new(pkcs8: &[u8], public: &impl AsDer<PublicKeyX509Der<'static>>) -> Self {
        Self {
            private: to_pem("PRIVATE KEY", pkcs8),
            public: to_pem("PUBLIC KEY", public.as_der().unwrap().as_ref()),
        }
    }
}

/// The private key of [`PemPair::rsa2048`] as a JWK for RS256.
pub(super) fn rsa2048_jwk() -> String {
    let pkcs8 = pem::parse(&PemPair::rsa2048().private).unwrap();
    let [_, _, ASN1Block::OctetString(_, key)] = &sequence(pkcs8.contents())[..] else {
        panic!("PKCS#8 is a version, an algorithm and a key");
    };
    let mut jwk = json!({ "kty": "RSA", "alg": "RS256" });
    // RFC 8017 §A.1.2: a version stands before the numbers.
    for (name, block) in ["n", "e", "d", "p", "q", "dp", "dq", "qi"].into_iter().zip(&sequence(key)[1..]) {
        let ASN1Block::Integer(_, number) = block else { panic!("{name} is a number") };
        jwk[name] = encode(number.to_bytes_be().1).into();
    }
    jwk.to_string()
}

/// The PEM of a private RSA key. Its two primes are `2^power - distance`, one for each distance.
///
/// Libraries do not make keys that are too short. A key of such primes is sound except for its length.
pub(super) fn rsa_pem_of_primes(power: u32, distances: [u32; 2]) -> String {
    let one = BigInt::from(1);
    let [p, q] = distances.map(|distance| BigInt::from(2).pow(power) - distance);
    let [below_p, below_q] = [&p - &one, &q - &one];
    let e = BigInt::from(65537);
    let d = e.modinv(&(&below_p * &below_q)).unwrap();
    let (dp, dq, qi) = (&d % &below_p, &d % &below_q, q.modinv(&p).unwrap());
    let integer = |number: BigInt| ASN1Block::Integer(0, number);
    let key = [BigInt::from(0), &p * &q, e, d, p, q, dp, dq, qi].map(integer);
    let rsa_encryption = ASN1Block::ObjectIdentifier(0, oid!(1, 2, 840, 113549, 1, 1, 1));
    let pkcs8 = vec![
        integer(BigInt::from(0)),
        ASN1Block::Sequence(0, vec![rsa_encryption, ASN1Block::Null(0)]),
        ASN1Block::OctetString(0, to_der(&ASN1Block::Sequence(0, key.into())).unwrap()),
    ];
    to_pem("PRIVATE KEY", &to_der(&ASN1Block::Sequence(0, pkcs8)).unwrap())
}

/// PEM with the line ends of common key tools.
fn to_pem(tag: &str, der: &[u8]) -> String {
    let lines = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new(tag, der), lines)
}

fn sequence(der: &[u8]) -> Vec<ASN1Block> {
    match from_der(der).unwrap().remove(0) {
        ASN1Block::Sequence(_, blocks) => blocks,
        other => panic!("not a sequence: {other:?}"),
    }
}

/// A clock that always shows the given second.
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
    let clock = HostClock::new(StandsAt(Duration::from_secs(NOW)));
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
        actor: None,
        actor_sessions: None,
        may_act: None,
    }
}

pub(super) fn hook_claims() -> Claims {
    let owner = UserId::parse("alice@example.com").unwrap();
    Claims { client: ClientId::for_hooks_of(&owner), subject: Subject::HookClient { owner }, ..claims() }
}

/// The payload of a good token, for tests to change.
pub(super) fn payload() -> Value {
    serde_json::from_slice(&claims().to_json()).unwrap()
}

/// The header of a good token of `key`, for tests to change.
pub(super) fn header(key: &SigningKey) -> Value {
    json!({ "alg": key.verifying_key().algorithm(), "kid": key.key_id(), "typ": "at+jwt" })
}

/// A token with any header and payload, and a valid signature by `key`.
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

/// The verdict on a payload with a valid signature.
pub(super) fn verdict_on_payload(payload: impl AsRef<[u8]>) -> Result<Claims, InvalidToken> {
    let key = ed25519();
    verifier(ring_of(key)).verify(&forge(key, header(key).to_string(), payload))
}

/// The verdict on a header over good claims with a valid signature.
pub(super) fn verdict_on_header(header: impl AsRef<[u8]>) -> Result<Claims, InvalidToken> {
    let key = ed25519();
    verifier(ring_of(key)).verify(&forge(key, header, payload().to_string()))
}
