//! Keys that verify. Each has one algorithm and one id.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::{PublicKey as RsaPublicKey, PublicKeyComponents};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, VerificationAlgorithm};
use jsonwebtoken::DecodingKey;
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;

use super::algorithm::Scheme;
use super::compact::{encode, is_key_id};
use super::jwk::{Jwk, Operation, PublicMembers, PublishedJwk};
use super::{Algorithm, KeyError};
use crate::id::KeyThumbprint;

/// A key that access tokens are verified with. It has exactly one algorithm.
///
/// Clones share the key. `Debug` shows only the key id and the algorithm.
#[derive(Clone)]
pub struct VerifyingKey(Arc<Inner>);

struct Inner {
    key_id: String,
    /// Identifies the key itself, whatever its id is.
    thumbprint: String,
    scheme: Scheme,
    /// Whether it verifies JWT-SVIDs alone.
    is_for_jwt_svids: bool,
    /// The scheme's name in the tokens that the key signs, and in the JWK set.
    algorithm: &'static str,
    decoding: DecodingKey,
    /// `None` for HS256, whose key is a secret.
    public: Option<PublicMembers>,
}

impl VerifyingKey {
    /// Reads a public key from PEM (`PUBLIC KEY`, SubjectPublicKeyInfo) for `algorithm`. Its id is its RFC 7638
    /// thumbprint.
    ///
    /// # Errors
    ///
    /// [`KeyError::Private`] for a private key. [`KeyError::Malformed`] for a text that is not a PEM of a public key.
    /// [`KeyError::Unsuitable`] when the key is of another kind, too weak, or RSA with more than 4096 bits.
    pub fn from_pem(algorithm: Algorithm, pem: &str) -> Result<Self, KeyError> {
        let pem = pem::parse(pem)
            .map_err(|_| KeyError::Malformed { expected: "a PEM of the kind `PUBLIC KEY`" })?;
        match pem.tag() {
            "PUBLIC KEY" => Self::new(algorithm, pem.contents(), None),
            tag if tag.ends_with("PRIVATE KEY") => Err(KeyError::Private),
            _ => Err(KeyError::Malformed { expected: "a PEM of the kind `PUBLIC KEY`" }),
        }
    }

    /// Reads a public key from a JWK. Its id is the `kid` of the JWK, or its RFC 7638 thumbprint if there is no `kid`.
    ///
    /// An RSA key must name in `alg` the RSA algorithm that it is for.
    ///
    /// # Errors
    ///
    /// [`KeyError::Private`] for a private or symmetric key. [`KeyError::JwkAlgorithm`] when it does not name one
    /// algorithm that fits. [`KeyError::KeyId`] for a `kid` that no token could have. [`KeyError::Malformed`] and
    /// [`KeyError::Unsuitable`] as in [`VerifyingKey::from_pem`].
    pub fn from_jwk(jwk: &str) -> Result<Self, KeyError> {
        let jwk = Jwk::parse(jwk)?;
        if jwk.is_private() {
            return Err(KeyError::Private);
        }
        let algorithm = jwk.algorithm(Operation::Verify)?;
        Self::new(algorithm, &jwk.public_key(algorithm)?, jwk.kid)
    }

    /// A key of another issuer's set, for one of the `allowed` algorithms. An RSA key that names no algorithm is for
    /// RS256 if this is allowed, otherwise for PS256, and never for both. A key of JWT-SVIDs is one of the set only if
    /// `has_jwt_svids`.
    pub(super) fn from_published(
        mut jwk: Jwk,
        allowed: &[Algorithm],
        has_jwt_svids: bool,
    ) -> Result<Self, KeyError> {
        if jwk.is_private() {
            return Err(KeyError::Private);
        }
        let rsa = [Algorithm::Rs256, Algorithm::Ps256].into_iter().find(|rsa| allowed.contains(rsa));
        if let Some(rsa) = rsa {
            jwk.name_rsa_algorithm(rsa);
        }
        let is_for_jwt_svids = has_jwt_svids && jwk.is_for_jwt_svids();
        let operation = if is_for_jwt_svids { Operation::VerifyJwtSvids } else { Operation::Verify };
        let algorithm = jwk.algorithm(operation)?;
        if !allowed.iter().any(|allowed| allowed.scheme() == algorithm.scheme()) {
            return Err(KeyError::JwkAlgorithm);
        }
        let key_id = jwk.kid.take().ok_or(KeyError::KeyId)?;
        Self::read(algorithm, &jwk.public_key(algorithm)?, Some(key_id), is_for_jwt_svids)
    }

    /// The key's id. The header of a token names it in `kid`.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.0.key_id
    }

    /// Reads a public key from SubjectPublicKeyInfo, or from the raw form of its kind.
    pub(super) fn new(algorithm: Algorithm, key: &[u8], key_id: Option<String>) -> Result<Self, KeyError> {
        Self::read(algorithm, key, key_id, false)
    }

    fn read(
        algorithm: Algorithm,
        key: &[u8],
        key_id: Option<String>,
        is_for_jwt_svids: bool,
    ) -> Result<Self, KeyError> {
        let (public, decoding) = read(algorithm, key).ok_or(KeyError::Unsuitable { algorithm })?;
        let thumbprint = public.thumbprint().to_base64url();
        let key_id = key_id.unwrap_or_else(|| thumbprint.clone());
        if !is_key_id(&key_id) {
            return Err(KeyError::KeyId);
        }
        Ok(Self(Arc::new(Inner {
            key_id,
            thumbprint,
            scheme: algorithm.scheme(),
            is_for_jwt_svids,
            algorithm: algorithm.name(),
            decoding,
            public: Some(public),
        })))
    }

    /// A shared secret with the id `key_id`.
    pub(super) fn hs256(secret: &[u8], key_id: String) -> Self {
        Self(Arc::new(Inner {
            thumbprint: key_id.clone(),
            key_id,
            scheme: Scheme::Hs256,
            is_for_jwt_svids: false,
            algorithm: Scheme::Hs256.name(),
            decoding: DecodingKey::from_secret(secret),
            public: None,
        }))
    }

    pub(super) fn scheme(&self) -> Scheme {
        self.0.scheme
    }

    /// Whether it verifies JWT-SVIDs alone.
    pub(super) fn is_for_jwt_svids(&self) -> bool {
        self.0.is_for_jwt_svids
    }

    /// The name in `alg` of the tokens that the key signs, and in the JWK set.
    pub(super) fn algorithm(&self) -> &'static str {
        self.0.algorithm
    }

    /// The public members, to be published; `None` for HS256.
    pub(super) fn published(&self) -> Option<PublishedJwk<'_>> {
        let members = self.0.public.as_ref()?;
        Some(PublishedJwk { members, kid: self.key_id(), usage: "sig", alg: self.algorithm() })
    }

    /// The thumbprint of a public key, and its public members as a JWK that [`from_jwk`](Self::from_jwk) reads. Stores
    /// look keys up by `alg`. So Ed25519 has one name there, whichever the key's owner used.
    pub(crate) fn to_jwk(&self) -> Option<(KeyThumbprint, String)> {
        let published = PublishedJwk { alg: self.scheme().name(), ..self.published()? };
        let jwk = serde_json::to_string(&published).expect("strings always have a JSON form");
        Some((published.members.thumbprint(), jwk))
    }

    /// Whether `key_id` is its id or its thumbprint.
    pub(super) fn is_called(&self, key_id: &str) -> bool {
        self.0.key_id == key_id || self.0.thumbprint == key_id
    }

    /// Whether both are the same key with the same id, algorithm and use. The algorithm may have another of its names.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.key_id() == other.key_id()
            && self.0.thumbprint == other.0.thumbprint
            && self.scheme() == other.scheme()
            && self.is_for_jwt_svids() == other.is_for_jwt_svids()
    }

    /// Whether a ring must not have both: they share an id, or they are the same key.
    pub(super) fn clashes_with(&self, other: &Self) -> bool {
        self.key_id() == other.key_id() || self.0.thumbprint == other.0.thumbprint
    }

    /// Whether `signature` was made with this key over `message`.
    ///
    /// The provider is named here: the process-wide one panics when another crate turns on a second one.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        (DEFAULT_PROVIDER.verifier_factory)(&self.scheme().to_jsonwebtoken(), &self.0.decoding)
            .is_ok_and(|verifier| verifier.verify(message, &signature.to_vec()).is_ok())
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("key_id", &self.key_id())
            .field("algorithm", &self.algorithm())
            .finish_non_exhaustive()
    }
}

/// Shorter keys are too weak. Longer keys take too long to verify: the time grows with the square of the length.
const RSA_BITS: RangeInclusive<usize> = 2048..=4096;

/// The key for publication and for use; `None` when it is not a key of this kind, or too weak.
fn read(algorithm: Algorithm, key: &[u8]) -> Option<(PublicMembers, DecodingKey)> {
    match algorithm {
        Algorithm::EdDsa | Algorithm::Ed25519 => {
            let point: [u8; 32] = raw(&ED25519, key)?;
            let public = PublicMembers {
                kty: "OKP",
                crv: Some("Ed25519"),
                x: Some(encode(point)),
                ..PublicMembers::default()
            };
            (!is_weak_ed25519(&point)).then(|| (public, DecodingKey::from_ed_der(&point)))
        }
        Algorithm::Es256 => {
            let point: [u8; 65] = raw(&ECDSA_P256_SHA256_FIXED, key)?;
            let (x, y) = point.strip_prefix(&[4])?.split_at(32);
            let public = PublicMembers {
                kty: "EC",
                crv: Some("P-256"),
                x: Some(encode(x)),
                y: Some(encode(y)),
                ..PublicMembers::default()
            };
            Some((public, DecodingKey::from_ec_der(&point)))
        }
        Algorithm::Rs256 | Algorithm::Ps256 => {
            let key = RsaPublicKey::from_der(key).ok()?;
            let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(&key);
            let bits = n.len() * 8 - n.first()?.leading_zeros() as usize;
            let public = PublicMembers {
                kty: "RSA",
                n: Some(encode(&n)),
                e: Some(encode(&e)),
                ..PublicMembers::default()
            };
            RSA_BITS.contains(&bits).then(|| (public, DecodingKey::from_rsa_raw_components(&n, &e)))
        }
    }
}

/// The last `N` bytes of the SubjectPublicKeyInfo: for this kind they are the raw key. Parsing checks that the key is
/// of `algorithm`, and that a point of P-256 is on its curve.
fn raw<const N: usize>(algorithm: &'static dyn VerificationAlgorithm, key: &[u8]) -> Option<[u8; N]> {
    let info: PublicKeyX509Der<'_> = ParsedPublicKey::new(algorithm, key).ok()?.as_der().ok()?;
    info.as_ref().last_chunk().copied()
}

/// Whether a public key is one of the eight points of small order, or is not reduced modulo p. With a point of small
/// order anyone can make a signature that is valid for many messages. `aws-lc` accepts these keys.
fn is_weak_ed25519(point: &[u8; 32]) -> bool {
    /// The `y` of the points of order 8; those of order 1, 2 and 4 are 1, p - 1 and 0.
    const ORDER_EIGHT: [[u8; 32]; 2] = [
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
            0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
            0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ],
    ];
    let mut y = *point;
    y[31] &= 0x7f;
    let [low, middle @ .., high] = y;
    let is_zero_or_one = low <= 1 && high == 0 && middle == [0; 30];
    // p = 2^255 - 19 ends in 0xed: this is p - 1 and everything from p on.
    let is_last_or_unreduced = low >= 0xec && high == 0x7f && middle == [0xff; 30];
    is_zero_or_one || is_last_or_unreduced || ORDER_EIGHT.contains(&y)
}

#[cfg(test)]
mod tests;
