//! The algorithms that tokens are signed with.

use std::fmt;

/// A public-key algorithm that access tokens are signed with (RFC 7518, RFC 8037, RFC 9864).
///
/// HS256 is not one of them, because whoever can verify with it can also sign. HS256 is available only through
/// [`SigningKey::danger_hs256`](super::SigningKey::danger_hs256).
///
/// # Two names of one algorithm
///
/// [`EdDsa`](Self::EdDsa) and [`Ed25519`](Self::Ed25519) take the same keys and make the same signatures. They differ
/// in the name that stands in `alg` of the tokens and of the JWK set. RFC 9864 deprecates the name `EdDSA`, because it
/// does not say which curve it means. Choose `Ed25519` once everyone who verifies your tokens knows this name. A gateway
/// accepts a token of an Ed25519 key under both names, whichever it signs with. So the choice can be changed while
/// tokens with the other name are still in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
pub enum Algorithm {
    /// Ed25519 under its older name `EdDSA`, which every library knows: short keys, short signatures, fast. The default
    /// choice.
    #[cfg_attr(feature = "serde", serde(rename = "EdDSA"))]
    EdDsa,
    /// Ed25519 under its own name `Ed25519` (RFC 9864 §2.2), which older libraries do not know.
    Ed25519,
    /// `RS256`: RSASSA-PKCS1-v1_5 with SHA-256, and a key of 2048 to 4096 bits.
    #[cfg_attr(feature = "serde", serde(rename = "RS256"))]
    Rs256,
    /// `PS256`: RSASSA-PSS with SHA-256, and a key of 2048 to 4096 bits.
    #[cfg_attr(feature = "serde", serde(rename = "PS256"))]
    Ps256,
    /// `ES256`: ECDSA on P-256 with SHA-256.
    #[cfg_attr(feature = "serde", serde(rename = "ES256"))]
    Es256,
}

/// What is computed with a key. A key is used with exactly one scheme (RFC 8725 §3.1).
///
/// A scheme is compared, and a name is not: Ed25519 has two names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Ed25519,
    Rs256,
    Ps256,
    Es256,
    Hs256,
}

impl Algorithm {
    /// The name in a token's header, case-sensitive (RFC 7515 §4.1.1).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Ed25519 => "Ed25519",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
        }
    }

    pub(super) const fn scheme(self) -> Scheme {
        match self {
            Self::EdDsa | Self::Ed25519 => Scheme::Ed25519,
            Self::Rs256 => Scheme::Rs256,
            Self::Ps256 => Scheme::Ps256,
            Self::Es256 => Scheme::Es256,
        }
    }

    /// What a key for this algorithm must be, in words.
    pub(super) const fn key_requirement(self) -> &'static str {
        match self {
            Self::EdDsa | Self::Ed25519 => "Ed25519, not of small order",
            Self::Rs256 | Self::Ps256 => "RSA of 2048 to 4096 bits",
            Self::Es256 => "a point of P-256",
        }
    }
}

impl Scheme {
    /// The scheme that a token's header names; `None` for a name that is not allowed.
    ///
    /// `EdDSA` stands for Ed25519 and Ed448. There is no Ed448 here. So both names of Ed25519 mean the same.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "EdDSA" | "Ed25519" => Self::Ed25519,
            "RS256" => Self::Rs256,
            "PS256" => Self::Ps256,
            "ES256" => Self::Es256,
            "HS256" => Self::Hs256,
            _ => return None,
        })
    }

    /// The name that it has unless another was chosen.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "EdDSA",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::Hs256 => "HS256",
        }
    }

    pub(super) const fn to_jsonwebtoken(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Ed25519 => jsonwebtoken::Algorithm::EdDSA,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Ps256 => jsonwebtoken::Algorithm::PS256,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::Hs256 => jsonwebtoken::Algorithm::HS256,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
