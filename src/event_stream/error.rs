//! Why a transmitter could not be asked.

use std::error::Error;
use std::time::Duration;

/// An event stream could not be set up, verified, read or deleted.
///
/// This says nothing about any person or session. Events that were not acknowledged come again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventStreamError {
    /// The transmitter could not be reached, or the answer broke off.
    #[error("{what}: the transmitter could not be reached")]
    Unreachable {
        /// What was asked for.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The answer did not come in time.
    #[error("{what}: the answer of the transmitter did not come in time")]
    TimedOut {
        /// What was asked for.
        what: &'static str,
    },
    /// The transmitter answered with a status that is no success. Redirects are not followed.
    #[error("{what}: the transmitter answered with status {status} (redirects are not followed)")]
    Status {
        /// What was asked for.
        what: &'static str,
        /// The status.
        status: u16,
        /// How long the transmitter asks to wait: `Retry-After` in seconds.
        retry_after: Option<Duration>,
    },
    /// The answer is longer than 1 MiB.
    #[error("{what}: the answer of the transmitter is longer than 1 MiB")]
    TooLarge {
        /// What was asked for.
        what: &'static str,
    },
    /// The answer is not the JSON that the standard names.
    #[error("{what}: the answer of the transmitter is not the JSON that {standard} names")]
    Malformed {
        /// What was asked for.
        what: &'static str,
        /// The standard, with its section.
        standard: &'static str,
    },
    /// The transmitter does not fit the settings.
    #[error("the transmitter does not fit the settings of the event stream: {0}")]
    Unfit(String),
    /// The host could not give an access token for the transmitter.
    #[error("there is no access token for the transmitter")]
    NoToken(#[source] Box<dyn Error + Send + Sync>),
    /// The stream is not set up now, or it was deleted.
    #[error("the event stream is not set up")]
    NotSetUp,
}

impl EventStreamError {
    /// How long the transmitter asks to wait.
    pub(super) const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the transmitter does not know the stream any more.
    pub(super) const fn is_gone(&self) -> bool {
        matches!(self, Self::Status { status: 404 | 410, .. })
    }
}
