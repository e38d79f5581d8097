//! Where the keys of another issuer come from.

use std::error::Error;
use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

/// Fetches the JWK set (RFC 7517 §5) of another issuer.
#[async_trait]
pub trait JwksSource: fmt::Debug + Send + Sync + 'static {
    /// The set as it is published now, as JSON.
    ///
    /// It is called by one task at a time, never by a request, and given up after ten seconds.
    ///
    /// # Errors
    ///
    /// [`JwksError`]; the keys that were fetched before stay in use for a while.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when it takes too long, and with the bridge.
    async fn fetch(&self) -> Result<Bytes, JwksError>;
}

/// The keys of another issuer could not be had. It says nothing about any token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JwksError {
    /// The source could not be reached, or the answer broke off.
    #[error("the key set could not be fetched")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
    /// The source answered with another status than 200; redirects are not followed.
    #[error("the key set was answered with status {0}")]
    Status(u16),
    /// The answer did not come in time.
    #[error("the key set was not answered in time")]
    TimedOut,
    /// The answer is longer than 256 KiB.
    #[error("the key set is longer than {} bytes", JwksError::MAX_BYTES)]
    TooLarge,
    /// The answer is no JWK set, or one of more than 256 keys.
    #[error("the answer is no JWK set of at most 256 keys")]
    Malformed,
}

impl JwksError {
    /// The most bytes a set may have.
    pub(super) const MAX_BYTES: usize = 256 << 10;
}
