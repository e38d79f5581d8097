//! Where documents come from.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use url::Url;

use super::cache_life::CacheLife;
use super::error::Refusal;

/// Fetches documents.
#[async_trait]
pub(super) trait DocumentSource: fmt::Debug + Send + Sync + 'static {
    /// The document at `url` as it is now.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when it takes too long.
    async fn fetch(&self, url: &Url) -> Result<Answer, FetchError>;
}

/// What a server answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) json: Bytes,
    pub(super) life: CacheLife,
}

/// A document was not fetched.
#[derive(Debug)]
pub(super) enum FetchError {
    Refused(Refusal),
    /// The server cannot be reached now, or the answer broke off. The text is for the log.
    Unreachable(String),
}
