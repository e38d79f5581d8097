//! Why a key is not taken, and why a token is not good.

use std::io;
use std::path::PathBuf;

use super::Algorithm;

/// The most bytes a token may have.
pub(crate) const MAX_BYTES: usize = 8192;

/// A key, a key file or a change of the key ring is refused. No message shows key material.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text does not have the form it is offered in.
    #[error("the text is not {expected}")]
    Malformed {
        /// What it should be.
        expected: &'static str,
    },
    /// The key is of another kind, too weak, or its parts do not fit each other.
    #[error("not a good {algorithm} key: it must be {}", .algorithm.key_requirement())]
    Unsuitable {
        /// What it was to be used with.
        algorithm: Algorithm,
    },
    /// The JWK does not say which algorithm it is for, or one that it cannot or may not be used with.
    #[error(
        "the JWK must name an algorithm that fits its kind in `alg`, and not another use in `use` or `key_ops`"
    )]
    JwkAlgorithm,
    /// A private key stands where a public one is expected.
    #[error("the key is private where a public one is expected")]
    Private,
    /// The secret of HS256 can be guessed, or is known to others.
    #[error("the HS256 secret {problem}")]
    WeakSecret {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A key id is not 1 to 128 visible ASCII characters.
    #[error("a key id must be 1 to 128 visible ASCII characters")]
    KeyId,
    /// The ring holds the key id, or the same key under another id or for another algorithm.
    #[error("the key ring already holds this key id or this key")]
    Duplicate,
    /// The key that signs cannot be removed.
    #[error("the key signs new tokens: rotate to another one before removing it")]
    InUse,
    /// Others than the owner may read or write the key file.
    #[error("others can read {path}: run `chmod 600 {path}`, and replace the key if they may have read it", path = .path.display())]
    FileMode {
        /// The key file.
        path: PathBuf,
    },
    /// The key file could not be read or written.
    #[error("cannot use the key file {path}", path = .path.display())]
    File {
        /// The key file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// What the key signed did not verify.
    #[error("the key failed its self-test: what it signs does not verify")]
    SelfTest,
    /// The cryptographic library failed.
    #[error("the cryptographic library failed")]
    Crypto,
    /// Verification would refuse a token of these claims.
    #[error("no token can be signed of these claims")]
    Claims(#[from] InvalidClaims),
    /// The signed token would be longer than verification takes.
    #[error("the token would be longer than {} bytes", MAX_BYTES)]
    TokenTooLong,
}

/// Why a token is not good: for logs and metrics, not for the caller.
///
/// It holds nothing of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidToken {
    /// It is longer than 8192 bytes.
    #[error("too long")]
    TooLong,
    /// It is not three parts of canonical base64url without padding.
    #[error("not a compact JWS")]
    Malformed,
    /// Its header is not exactly `alg`, `kid` and `typ`, each once and a string, or `kid` is empty
    /// or over 128 characters.
    #[error("header not allowed")]
    Header,
    /// Its `typ` is not `at+jwt`.
    #[error("not an access token by its type")]
    Type,
    /// Its `alg` is not allowed, or not the one its key is used with.
    #[error("algorithm not allowed")]
    Algorithm,
    /// No key of the ring has its `kid`.
    #[error("unknown key")]
    UnknownKey,
    /// The signature does not hold.
    #[error("wrong signature")]
    Signature,
    /// The signature holds, but the claims are not an access token's.
    #[error("claims not allowed: {0}")]
    Claims(#[from] InvalidClaims),
    /// Another issuer's.
    #[error("wrong issuer")]
    Issuer,
    /// Past its `exp`.
    #[error("expired")]
    Expired,
    /// Its `nbf` or `iat` is in the future.
    #[error("not yet valid")]
    NotYetValid,
    /// It lives longer than tokens may.
    #[error("lives too long")]
    TooLongLived,
}

impl InvalidToken {
    /// The reason in one word of a small fixed set: a label for metrics.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Malformed => "malformed",
            Self::Header => "header",
            Self::Type => "type",
            Self::Algorithm => "algorithm",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Claims(_) => "claims",
            Self::Issuer => "issuer",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::TooLongLived => "too_long_lived",
        }
    }
}

/// Why claims are not those of an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidClaims {
    /// Not a JSON object that has every claim once and of its type.
    #[error("a claim is missing, repeated or of a wrong type")]
    Json,
    /// There is no audience, or there are more than 16.
    #[error("a token has 1 to 16 audiences")]
    Audiences,
    /// `jti` is not 1 to 128 visible ASCII characters.
    #[error("malformed token id")]
    TokenId,
    /// A hook client's token whose `sub` is not its client, or a user's whose `sub` is.
    #[error("the subject does not fit the client")]
    Subject,
    /// `iat` is after `exp`.
    #[error("issued after its expiry")]
    IssuedAfterExpiry,
}
