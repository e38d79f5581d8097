//! Why a key is refused, and why a token is refused.

use std::io;
use std::path::PathBuf;

use super::Algorithm;

/// The most bytes a token may have.
pub(crate) const MAX_BYTES: usize = 8192;

/// Why a key, a key file or a change of the key ring is refused. No message shows key material.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text is not in the expected form.
    #[error("the text is not {expected}")]
    Malformed {
        /// The expected form.
        expected: &'static str,
    },
    /// The key is of another kind, too weak, or its parts do not belong together.
    #[error("the key cannot be used for {algorithm}: it must be {}", .algorithm.key_requirement())]
    Unsuitable {
        /// The algorithm that it was to be used with.
        algorithm: Algorithm,
    },
    /// The JWK does not name its algorithm, or names one that does not fit the key or its allowed use.
    #[error(
        "the JWK must name an algorithm that fits its kind in `alg`, and not another use in `use` or `key_ops`"
    )]
    JwkAlgorithm,
    /// A private key was given where a public key is expected.
    #[error("the key is private: give its public key")]
    Private,
    /// The secret of HS256 can be guessed, or others know it.
    #[error("the HS256 secret {problem}")]
    WeakSecret {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A key id is not 1 to 128 visible ASCII characters.
    #[error("a key id must be 1 to 128 visible ASCII characters")]
    KeyId,
    /// The ring has the key id already, or the same key under another id or for another algorithm.
    #[error(
        "the key ring already holds the key id {key_id:?}, or its key under another id or for another algorithm: give \
        each key once"
    )]
    Duplicate {
        /// The key id that was to be added.
        key_id: String,
    },
    /// The key that signs cannot be removed.
    #[error("the key signs new tokens: rotate to another key before you remove it")]
    InUse,
    /// Others than the owner may read or write the key file.
    #[error("other users can use the key file {path}: run `chmod 600 {path}`, and replace the key if they may have \
        read it", path = .path.display())]
    FileMode {
        /// The key file.
        path: PathBuf,
    },
    /// Another user owns the key file. Only the user that the process runs as, and root, may own one.
    #[error("the key file {path} belongs to the user with the id {owner}, who can read and change it: run \
        `chown {process} {path}`, and replace the key if that user may have read it", path = .path.display())]
    FileOwner {
        /// The key file.
        path: PathBuf,
        /// The id of the user that owns it.
        owner: u32,
        /// The id of the user that the process runs as (its effective user id).
        process: u32,
    },
    /// The file is not a key. It may be a folder, a device, or a file with something else in it.
    #[error("{path} is not a key file: it must be a file with {expected} in it, and with nothing else. Name another file, \
        or a path where no file is yet and a new key is made", path = .path.display())]
    NotAKeyFile {
        /// What was given as the key file.
        path: PathBuf,
        /// What must stand in it.
        expected: &'static str,
    },
    /// The key file could not be read or written.
    #[error("cannot use the key file {path}", path = .path.display())]
    File {
        /// The key file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The key in the key file cannot be used.
    #[error("cannot use the key in the file {path}", path = .path.display())]
    InFile {
        /// The key file.
        path: PathBuf,
        /// What is wrong with the key.
        source: Box<KeyError>,
    },
    /// The key could not verify what it signed.
    #[error("the key failed its self-test: what it signs does not verify")]
    SelfTest,
    /// The cryptographic library failed.
    #[error("the cryptographic library failed")]
    Crypto,
    /// Verification would refuse a token with these claims.
    #[error("no token can be signed with these claims")]
    Claims(#[from] InvalidClaims),
    /// The signed token would be longer than verification accepts.
    #[error("the token would be longer than {} bytes", MAX_BYTES)]
    TokenTooLong,
}

/// Why a token is refused. It is for logs and metrics, not for the caller.
///
/// It shows nothing of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidToken {
    /// It is longer than 8192 bytes.
    #[error("too long")]
    TooLong,
    /// It does not have three parts of canonical base64url without padding.
    #[error("not a compact JWS")]
    Malformed,
    /// Its header is not exactly `alg`, `kid` and `typ`, each once and a string. Or `kid` is not 1 to 128 visible ASCII
    /// characters.
    #[error("header not allowed")]
    Header,
    /// Its `typ` is not `at+jwt`.
    #[error("not an access token by its type")]
    Type,
    /// Its `alg` is not allowed, or is not the algorithm of its key.
    #[error("algorithm not allowed")]
    Algorithm,
    /// No key of the ring has its `kid`.
    #[error("unknown key")]
    UnknownKey,
    /// The signature is wrong.
    #[error("wrong signature")]
    Signature,
    /// The signature is good, but the claims are not those of an access token.
    #[error("claims not allowed: {0}")]
    Claims(#[from] InvalidClaims),
    /// It is a token of another issuer.
    #[error("wrong issuer")]
    Issuer,
    /// Its `exp` has passed.
    #[error("expired")]
    Expired,
    /// Its `nbf` or `iat` is in the future.
    #[error("not yet valid")]
    NotYetValid,
    /// Its life is longer than allowed.
    #[error("lives too long")]
    TooLongLived,
}

impl InvalidToken {
    /// The reason as one word of a small fixed set: a label for metrics.
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
    /// The payload is not a JSON object with every claim once and of the right type.
    #[error("a claim is missing, repeated or of a wrong type")]
    Json,
    /// There is no audience, or there are more than 16.
    #[error("a token has 1 to 16 audiences")]
    Audiences,
    /// `jti` is not 1 to 128 visible ASCII characters.
    #[error("malformed token id")]
    TokenId,
    /// The `sub` of a hook client's token is not its client, or the `sub` of a user's token is its client.
    #[error("`sub`, `owner` and `client_id` do not fit each other")]
    Subject,
    /// `iat` is after `exp`.
    #[error("issued after its expiry")]
    IssuedAfterExpiry,
    /// `act` is not a chain of 1 to 4 actors with a `sub` each.
    #[error("malformed actor")]
    Actor,
}
