//! JSON Web Keys (RFC 7517): how they are read, and the public members that may be published.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Deserializer, Error as _, IgnoredAny};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::compact::json_object;
use super::{Algorithm, KeyError};
use crate::id::KeyThumbprint;

/// The members of a public key, in the order of their names. Their JSON is the input of the thumbprint (RFC 7638 §3.3).
/// There is no private member here.
#[derive(Debug, Default, Serialize)]
pub(super) struct PublicMembers {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) crv: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) e: Option<String>,
    pub(super) kty: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) n: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) x: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) y: Option<String>,
}

/// A public key in the form that others read.
#[derive(Serialize)]
pub(super) struct PublishedJwk<'a> {
    #[serde(flatten)]
    pub(super) members: &'a PublicMembers,
    pub(super) kid: &'a str,
    #[serde(rename = "use")]
    pub(super) usage: &'static str,
    pub(super) alg: &'static str,
}

/// A JWK as somebody wrote it. Its errors show none of its values.
#[derive(Deserialize)]
pub(super) struct Jwk {
    kty: String,
    crv: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    pub(super) kid: Option<String>,
    x: Option<Octets>,
    y: Option<Octets>,
    n: Option<Octets>,
    e: Option<Octets>,
    d: Option<Octets>,
    p: Option<Octets>,
    q: Option<Octets>,
    dp: Option<Octets>,
    dq: Option<Octets>,
    qi: Option<Octets>,
    k: Option<Octets>,
    oth: Option<IgnoredAny>,
}

/// What a key may be used for, as `key_ops` names it (RFC 7517 §4.3).
#[derive(Clone, Copy)]
pub(super) enum Operation {
    Sign,
    Verify,
    /// Verifies JWT-SVIDs. SPIFFE has a word of its own for it in `use` (SPIFFE Trust Domain and Bundle §4.2.2).
    VerifyJwtSvids,
}

impl PublicMembers {
    /// The SHA-256 thumbprint (RFC 7638).
    pub(super) fn thumbprint(&self) -> KeyThumbprint {
        KeyThumbprint::of(&serde_json::to_vec(self).expect("strings always have a JSON form"))
    }
}

impl Jwk {
    pub(super) fn parse(text: &str) -> Result<Self, KeyError> {
        json_object(text.as_bytes()).ok_or(KeyError::Malformed { expected: "a JWK" })
    }

    /// The one algorithm that the key is for. An RSA key must name it, because two algorithms are possible.
    pub(super) fn algorithm(&self, operation: Operation) -> Result<Algorithm, KeyError> {
        let (operation, usage) = match operation {
            Operation::Sign => ("sign", "sig"),
            Operation::Verify => ("verify", "sig"),
            Operation::VerifyJwtSvids => ("verify", JWT_SVIDS),
        };
        let allows_use = self.usage.as_deref().is_none_or(|named| named == usage);
        let allows_operation =
            self.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|op| op == operation));
        if !allows_use || !allows_operation {
            return Err(KeyError::JwkAlgorithm);
        }
        match (self.kty.as_str(), self.crv.as_deref(), self.alg.as_deref()) {
            ("OKP", Some("Ed25519"), None | Some("EdDSA")) => Ok(Algorithm::EdDsa),
            ("OKP", Some("Ed25519"), Some("Ed25519")) => Ok(Algorithm::Ed25519),
            ("EC", Some("P-256"), None | Some("ES256")) => Ok(Algorithm::Es256),
            ("RSA", None, Some("RS256")) => Ok(Algorithm::Rs256),
            ("RSA", None, Some("PS256")) => Ok(Algorithm::Ps256),
            _ => Err(KeyError::JwkAlgorithm),
        }
    }

    /// Sets the algorithm of an RSA key that names none.
    pub(super) fn name_rsa_algorithm(&mut self, algorithm: Algorithm) {
        if self.kty == "RSA" {
            self.alg.get_or_insert_with(|| algorithm.name().to_owned());
        }
    }

    /// Whether it says that it is for JWT-SVIDs alone.
    pub(super) fn is_for_jwt_svids(&self) -> bool {
        self.usage.as_deref() == Some(JWT_SVIDS)
    }

    pub(super) fn is_private(&self) -> bool {
        let private = [&self.d, &self.p, &self.q, &self.dp, &self.dq, &self.qi, &self.k];
        self.oth.is_some() || private.iter().any(|member| member.is_some())
    }

    /// The public key in a form that `VerifyingKey::new` reads.
    pub(super) fn public_key(&self, algorithm: Algorithm) -> Result<Vec<u8>, KeyError> {
        let key = match algorithm {
            Algorithm::EdDsa | Algorithm::Ed25519 => self.x.as_ref().map(|x| x.0.to_vec()),
            Algorithm::Es256 => self.point(),
            Algorithm::Rs256 | Algorithm::Ps256 => self.rsa_public_key(),
        };
        key.ok_or(KeyError::Unsuitable { algorithm })
    }

    /// The private key as PKCS#8. It checks first that the public members belong to it.
    pub(super) fn private_key(&self, algorithm: Algorithm) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let key = match algorithm {
            Algorithm::EdDsa | Algorithm::Ed25519 => self.ed25519_private_key(),
            Algorithm::Es256 => self.p256_private_key(),
            Algorithm::Rs256 | Algorithm::Ps256 => self.rsa_private_key(),
        };
        key.map(Zeroizing::new).ok_or(KeyError::Unsuitable { algorithm })
    }

    fn ed25519_private_key(&self) -> Option<Vec<u8>> {
        let (seed, public) = (&self.d.as_ref()?.0, &self.x.as_ref()?.0);
        let pair = Ed25519KeyPair::from_seed_and_public_key(seed, public).ok()?;
        Some(pair.to_pkcs8v1().ok()?.as_ref().to_vec())
    }

    fn p256_private_key(&self) -> Option<Vec<u8>> {
        let (private, public) = (&self.d.as_ref()?.0, self.point()?);
        let pair =
            EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_FIXED_SIGNING, private, &public);
        Some(pair.ok()?.to_pkcs8v1().ok()?.as_ref().to_vec())
    }

    fn rsa_private_key(&self) -> Option<Vec<u8>> {
        let octets = |member: &Option<Octets>| member.as_ref().map(|octets| octets.0.clone());
        let pair = RsaKeyPair::from_components(&KeyPairComponents {
            public_key: PublicKeyComponents { n: octets(&self.n)?, e: octets(&self.e)? },
            d: octets(&self.d)?,
            p: octets(&self.p)?,
            q: octets(&self.q)?,
            dP: octets(&self.dp)?,
            dQ: octets(&self.dq)?,
            qInv: octets(&self.qi)?,
        });
        Some(pair.ok()?.as_der().ok()?.as_ref().to_vec())
    }

    fn rsa_public_key(&self) -> Option<Vec<u8>> {
        let components = PublicKeyComponents { n: &*self.n.as_ref()?.0, e: &*self.e.as_ref()?.0 };
        let der: PublicKeyX509Der<'_> = components.as_der().ok()?;
        Some(der.as_ref().to_vec())
    }

    /// The point of P-256, uncompressed. Each coordinate has its full length (RFC 7518 §6.2.1.2).
    fn point(&self) -> Option<Vec<u8>> {
        let (x, y) = (&self.x.as_ref()?.0, &self.y.as_ref()?.0);
        (x.len() == 32 && y.len() == 32).then(|| [&[4], x.as_slice(), y.as_slice()].concat())
    }
}

const JWT_SVIDS: &str = "jwt-svid";

/// A base64url member. It is wiped when it is dropped.
struct Octets(Zeroizing<Vec<u8>>);

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let octets =
            URL_SAFE_NO_PAD.decode(text.as_bytes()).map_err(|_| D::Error::custom("not base64url"))?;
        Ok(Self(Zeroizing::new(octets)))
    }
}
