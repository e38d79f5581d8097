//! The algorithms that tokens are signed with.

use std::fmt;

/// A public-key algorithm that access tokens are signed with (RFC 7518, RFC 8037).
///
/// HS256 is not one of them, because whoever can verify with it can also sign. HS256 is available only through
/// [`SigningKey::danger_hs256`](super::SigningKey::danger_hs256).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// `EdDSA` with Ed25519: short keys, short signatures, fast. The default choice.
    EdDsa,
    /// `RS256`: RSASSA-PKCS1-v1_5 with SHA-256, and a key of 2048 to 4096 bits.
    Rs256,
    /// `PS256`: RSASSA-PSS with SHA-256, and a key of 2048 to 4096 bits.
    Ps256,
    /// `ES256`: ECDSA on P-256 with SHA-256.
    Es256,
}

/// The scheme of a key. A key is used with exactly one scheme (RFC 8725 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    PublicKey(Algorithm),
    Hs256,
}

impl Algorithm {
    /// The name in a token's header, case-sensitive (RFC 7515 §4.1.1).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
        }
    }

    /// Whether `name` in another issuer's token means this algorithm. RFC 9864 uses `Ed25519` for what RFC 8037 called
    /// `EdDSA`.
    pub(super) fn is_called(self, name: &str) -> bool {
        name == self.name() || (self == Self::EdDsa && name == "Ed25519")
    }

    /// What a key for this algorithm must be, in words.
    pub(super) const fn key_requirement(self) -> &'static str {
        match self {
            Self::EdDsa => "Ed25519, not of small order",
            Self::Rs256 | Self::Ps256 => "RSA of 2048 to 4096 bits",
            Self::Es256 => "a point of P-256",
        }
    }
}

impl Scheme {
    const ALL: [Self; 5] = [
        Self::PublicKey(Algorithm::EdDsa),
        Self::PublicKey(Algorithm::Rs256),
        Self::PublicKey(Algorithm::Ps256),
        Self::PublicKey(Algorithm::Es256),
        Self::Hs256,
    ];

    /// The scheme that a token's header names; `None` for a name that is not allowed.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.name() == name)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::PublicKey(algorithm) => algorithm.name(),
            Self::Hs256 => "HS256",
        }
    }

    pub(super) const fn to_jsonwebtoken(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::PublicKey(Algorithm::EdDsa) => jsonwebtoken::Algorithm::EdDSA,
            Self::PublicKey(Algorithm::Rs256) => jsonwebtoken::Algorithm::RS256,
            Self::PublicKey(Algorithm::Ps256) => jsonwebtoken::Algorithm::PS256,
            Self::PublicKey(Algorithm::Es256) => jsonwebtoken::Algorithm::ES256,
            Self::Hs256 => jsonwebtoken::Algorithm::HS256,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
