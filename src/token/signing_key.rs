//! Keys that sign.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeySize, PublicKey as RsaPublicKey};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair,
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jsonwebtoken::EncodingKey;
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::compact::encode;
use super::jwk::{Jwk, Operation};
use super::{Algorithm, KeyError, VerifyingKey};

/// A key that access tokens are signed with. It has exactly one algorithm.
///
/// Clones share the key. It is wiped from memory when the last clone is dropped. `Debug` shows only the key id and the
/// algorithm.
#[derive(Clone)]
pub struct SigningKey {
    private: Arc<EncodingKey>,
    public: VerifyingKey,
}

const PRIVATE_KEY: &str = "PRIVATE KEY";
/// What a key file must hold.
pub(super) const EXPECTED: &str = "an unencrypted PKCS#8 PEM (`PRIVATE KEY`)";

impl SigningKey {
    /// Makes a new key for `algorithm`. An RSA key has 3072 bits. The key's id is its RFC 7638 thumbprint.
    ///
    /// The key exists in memory only: after a restart, and on other gateways, its tokens cannot be verified.
    /// [`KeyRing::load_or_generate`](super::KeyRing::load_or_generate) keeps a key in a file.
    ///
    /// # Errors
    ///
    /// [`KeyError::Crypto`] when the cryptographic library fails.
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        Self::from_pem(algorithm, &generate_pem(algorithm)?)
    }

    /// Reads a private key from PEM (`PRIVATE KEY`, unencrypted PKCS#8) for `algorithm`. Its id is its RFC 7638
    /// thumbprint.
    ///
    /// # Errors
    ///
    /// [`KeyError::Malformed`] for a text that is not such a PEM. [`KeyError::Unsuitable`] when the key is of another
    /// kind, too weak, or inconsistent.
    pub fn from_pem(algorithm: Algorithm, pem: &str) -> Result<Self, KeyError> {
        let not_pem = || KeyError::Malformed { expected: EXPECTED };
        let parsed = pem::parse(pem).map_err(|_| not_pem())?;
        let is_pkcs8 = parsed.tag() == PRIVATE_KEY;
        let der = Zeroizing::new(parsed.into_contents());
        if is_pkcs8 { Self::from_pkcs8(algorithm, &der, None) } else { Err(not_pem()) }
    }

    /// Reads a private key from a JWK. Its id is the `kid` of the JWK, or its RFC 7638 thumbprint if there is no `kid`.
    ///
    /// An RSA key must name in `alg` the RSA algorithm that it is for. An Ed25519 key signs as `EdDSA`, unless its `alg`
    /// says `Ed25519`. A symmetric key is refused: see [`SigningKey::danger_hs256`].
    ///
    /// # Errors
    ///
    /// [`KeyError::Malformed`] for a text that is not a JWK. [`KeyError::JwkAlgorithm`] when it does not name one
    /// algorithm that fits. [`KeyError::KeyId`] for a `kid` that no token could have. [`KeyError::Unsuitable`] when it
    /// is public, too weak, or inconsistent.
    pub fn from_jwk(jwk: &str) -> Result<Self, KeyError> {
        let jwk = Jwk::parse(jwk)?;
        let algorithm = jwk.algorithm(Operation::Sign)?;
        Self::from_pkcs8(algorithm, &jwk.private_key(algorithm)?, jwk.kid)
    }

    /// Uses a shared secret for HS256. **Danger**: everyone who can verify tokens can also make them.
    ///
    /// The secret never appears in a JWKS. Its id is an HMAC with the secret: so the id shows no more of the secret
    /// than a token does.
    ///
    /// # Errors
    ///
    /// [`KeyError::WeakSecret`] when `secret` has fewer than 32 bytes (RFC 7518 §3.2) or fewer than 8 different bytes,
    /// or when it is the text of another key, which others may know.
    pub fn danger_hs256(secret: &[u8]) -> Result<Self, KeyError> {
        if let Some(problem) = weakness(secret) {
            return Err(KeyError::WeakSecret { problem });
        }
        // The signing input of a token cannot be this text, because the text has no dot.
        let id = Hmac::<Sha256>::new_from_slice(secret)
            .expect("HMAC takes a key of any length")
            .chain_update(b"bridge-auth key id")
            .finalize()
            .into_bytes();
        Ok(Self {
            private: Arc::new(EncodingKey::from_secret(secret)),
            public: VerifyingKey::hs256(secret, encode(id)),
        })
    }

    /// The key's id. It is in the header of every token that the key signs.
    #[must_use]
    pub fn key_id(&self) -> &str {
        self.public.key_id()
    }

    /// The key that verifies what this one signs.
    #[must_use]
    pub const fn verifying_key(&self) -> &VerifyingKey {
        &self.public
    }

    /// Signs `message`. The provider is named here, as in [`VerifyingKey::verifies`].
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        (DEFAULT_PROVIDER.signer_factory)(&self.public.scheme().to_jsonwebtoken(), &self.private)
            .map_err(|_| KeyError::Crypto)?
            .try_sign(message)
            .map_err(|_| KeyError::Crypto)
    }

    fn from_pkcs8(algorithm: Algorithm, der: &[u8], key_id: Option<String>) -> Result<Self, KeyError> {
        let unsuitable = |_| KeyError::Unsuitable { algorithm };
        let (private, public) = match algorithm {
            Algorithm::EdDsa | Algorithm::Ed25519 => {
                let pair = Ed25519KeyPair::from_pkcs8(der).map_err(unsuitable)?;
                (EncodingKey::from_ed_der(der), pair.public_key().as_ref().to_vec())
            }
            Algorithm::Es256 => {
                let pair =
                    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).map_err(unsuitable)?;
                (EncodingKey::from_ec_der(der), pair.public_key().as_ref().to_vec())
            }
            Algorithm::Rs256 | Algorithm::Ps256 => {
                let pair = RsaKeyPair::from_pkcs8(der).map_err(unsuitable)?;
                // `jsonwebtoken` signs with the RSAPrivateKey inside, and reads it only from PEM.
                let private = EncodingKey::from_rsa_pem(to_pem(der).as_bytes())
                    .map_err(|_| KeyError::Unsuitable { algorithm })?;
                let public: &RsaPublicKey = pair.public_key();
                (private, public.as_ref().to_vec())
            }
        };
        Ok(Self { private: Arc::new(private), public: VerifyingKey::new(algorithm, &public, key_id)? })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("key_id", &self.key_id())
            .field("algorithm", &self.public.algorithm())
            .finish_non_exhaustive()
    }
}

/// A new private key as PKCS#8 PEM.
pub(super) fn generate_pem(algorithm: Algorithm) -> Result<Zeroizing<String>, KeyError> {
    let failed = |_| KeyError::Crypto;
    Ok(match algorithm {
        Algorithm::EdDsa | Algorithm::Ed25519 => {
            let pair = Ed25519KeyPair::generate().map_err(failed)?;
            to_pem(pair.to_pkcs8v1().map_err(failed)?.as_ref())
        }
        Algorithm::Es256 => {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?;
            to_pem(pair.to_pkcs8v1().map_err(failed)?.as_ref())
        }
        Algorithm::Rs256 | Algorithm::Ps256 => {
            let pair = RsaKeyPair::generate(KeySize::Rsa3072).map_err(failed)?;
            let der: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
            to_pem(der.as_ref())
        }
    })
}

fn to_pem(pkcs8: &[u8]) -> Zeroizing<String> {
    let pem = pem::Pem::new(PRIVATE_KEY, pkcs8);
    let text = pem::encode_config(&pem, pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF));
    drop(Zeroizing::new(pem.into_contents()));
    Zeroizing::new(text)
}

/// Why a secret must not be used for HS256; `None` if it may be used.
fn weakness(secret: &[u8]) -> Option<&'static str> {
    let is_known_to_others = || {
        pem::parse(secret).is_ok()
            || std::str::from_utf8(secret).is_ok_and(|text| Jwk::parse(text).is_ok())
            || [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256]
                .iter()
                // 32 random bytes are also a raw Ed25519 key: only a longer text can be recognised as a key.
                .any(|algorithm| secret.len() > 32 && VerifyingKey::new(*algorithm, secret, None).is_ok())
    };
    if secret.len() < 32 {
        Some("must have at least 32 bytes")
    } else if secret.iter().collect::<HashSet<_>>().len() < 8 {
        Some("must have at least 8 different bytes")
    } else if is_known_to_others() {
        Some("must not be a key of another kind")
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
