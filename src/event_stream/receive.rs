//! Who gets the events of a stream.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

/// Verifies a security event token (SET, RFC 8417) and does what it says.
#[async_trait]
pub(crate) trait ReceiveSets: fmt::Debug + Send + Sync + 'static {
    /// Does what `set` says, before it returns.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves the event done or not done, never half done. It is not acknowledged, so it comes again.
    async fn receive(&self, set: &str) -> Received;
}

/// What became of a SET.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Received {
    /// It was done, it was done before, or there is nothing to do: it is acknowledged.
    Done,
    /// It will never be good: the transmitter is told why (RFC 8936 §2.6).
    Refused {
        /// A code of RFC 8935 §2.4, or `invalid_state` (SSF 1.0 §8.1.4.2).
        code: &'static str,
        /// What the people who run the transmitter are told, in English.
        description: &'static str,
    },
    /// It cannot be done now. It is not acknowledged, so it comes again.
    NotNow {
        /// How long to wait at least.
        retry_after: Option<Duration>,
    },
}
