//! The source of an external issuer's keys.

use std::error::Error;
use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

/// Fetches the JWK set (RFC 7517 §5) of an external issuer.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not fetch the keys of an issuer",
    label = "give an `HttpJwks` (feature `jwks-http`), or a type that implements `JwksSource`"
)]
#[async_trait]
pub trait JwksSource: fmt::Debug + Send + Sync + 'static {
    /// The JSON of the set as it is published now.
    ///
    /// One task at a time calls it, and never a request. The task gives up after ten seconds.
    ///
    /// # Errors
    ///
    /// [`JwksError`]. The keys of the last fetch stay in use for a while.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when it takes too long, and when the bridge is dropped.
    async fn fetch(&self) -> Result<Bytes, JwksError>;
}

/// The keys of an external issuer could not be fetched.
///
/// This says nothing about any token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JwksError {
    /// The source could not be reached, or the answer broke off.
    #[error("the key set could not be fetched")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
    /// The source answered with a status other than 200. Redirects are not followed.
    #[error("the server of the key set answered with status {0} instead of 200 (redirects are not followed)")]
    Status(u16),
    /// The answer did not come in time.
    #[error("the key set did not come in time")]
    TimedOut,
    /// The answer is longer than 256 KiB.
    #[error("the key set is longer than {} bytes", JwksError::MAX_BYTES)]
    TooLarge,
    /// The answer is no JWK set, or it has more than 256 keys.
    #[error("the answer is no JWK set of at most 256 keys")]
    Malformed,
}

impl JwksError {
    /// The most bytes a set may have.
    pub(super) const MAX_BYTES: usize = 256 << 10;
}
