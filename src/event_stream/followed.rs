//! A stream, as a host sees it.

use std::sync::Arc;
use std::time::Duration;

use super::announced::StreamStatus;
use super::error::EventStreamError;
use super::stream::Stream;

/// The event stream of one external issuer.
///
/// [`Bridge::event_stream`](crate::Bridge::event_stream) hands it out.
#[derive(Debug, Clone)]
pub struct FollowedStream(pub(super) Arc<Stream>);

/// How a stream stands, as this gateway knows without asking.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamHealth {
    /// The id of the stream at its transmitter. `None`: it is not set up.
    pub stream_id: Option<String>,
    /// How long ago the transmitter answered without a fault. `None`: never.
    pub answered_ago: Option<Duration>,
    /// When the last verification event with an expected `state` came to this gateway, as the time since the Unix epoch.
    /// `None`: none came. With several gateways it may have come to another one.
    pub verified_at: Option<Duration>,
    /// Why events may not come: the transmitter could not be asked last, it has not enabled the stream, or the stream is
    /// about nobody (`default_subjects` is `NONE`, SSF 1.0 §7.1.1). `None`: nothing is known to be wrong.
    pub fault: Option<String>,
}

impl FollowedStream {
    /// The issuer whose events come.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.0.issuer()
    }

    /// How the stream stands. Asks nobody.
    #[must_use]
    pub fn health(&self) -> StreamHealth {
        let standing = self.0.standing().clone();
        let unheard = || self.0.unheard(standing.current.as_deref()?);
        StreamHealth {
            fault: standing.fault.clone().or_else(unheard),
            stream_id: standing.current.map(|current| current.id.clone()),
            answered_ago: standing.answered_at.map(|at| at.elapsed()),
            verified_at: self.0.states.expected_at(),
        }
    }

    /// Asks the transmitter for the status of the stream. `None`: it has no endpoint for that.
    ///
    /// # Errors
    ///
    /// [`EventStreamError`] when the stream is not set up, or the transmitter cannot be asked.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn status(&self) -> Result<Option<StreamStatus>, EventStreamError> {
        let current = self.0.standing().current.clone().ok_or(EventStreamError::NotSetUp)?;
        let status = self.0.transmitter.status(&current.endpoints, &current.id).await?;
        Ok(status.map(|status| StreamStatus { status: status.status, reason: status.reason }))
    }

    /// Asks the transmitter for a verification event. It comes like any other event. The gateway checks that its
    /// `state` is one that it sent ([`StreamHealth::verified_at`]).
    ///
    /// `false`: the transmitter has no endpoint for that.
    ///
    /// # Errors
    ///
    /// [`EventStreamError`] when the stream is not set up, or the transmitter cannot be asked.
    ///
    /// # Cancel safety
    ///
    /// After the future is dropped, an event may come or not.
    pub async fn verify(&self) -> Result<bool, EventStreamError> {
        let current = self.0.standing().current.clone().ok_or(EventStreamError::NotSetUp)?;
        self.0.verify(&current).await
    }

    /// Deletes the stream at its transmitter. This bridge does not follow it any more.
    ///
    /// Other gateways with the same settings would create it again: take the stream out of their settings first.
    ///
    /// # Errors
    ///
    /// [`EventStreamError`] when the stream is not set up, or the transmitter cannot be asked.
    ///
    /// # Cancel safety
    ///
    /// After the future is dropped, the stream may be deleted at its transmitter while this bridge still follows it, and
    /// creates it again.
    pub async fn delete(&self) -> Result<(), EventStreamError> {
        self.0.delete().await
    }
}
