//! What a transmitter says about a stream: who sets the stream up and who receives its events share it.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The status of a stream, as its transmitter says (SSF 1.0 §8.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamStatus {
    /// `enabled`, `paused` or `disabled`.
    pub status: String,
    /// Why, if the transmitter says so.
    pub reason: Option<String>,
}

impl StreamStatus {
    pub(crate) fn is_enabled(&self) -> bool {
        self.status == "enabled"
    }
}

/// What a transmitter says about the stream of this gateway.
#[derive(Debug, Default)]
pub(crate) struct Announced(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    /// The `aud` of the stream. Empty: the stream was not set up.
    audiences: Vec<String>,
    /// The status of a stream, with its id.
    status: Option<(String, StreamStatus)>,
}

impl Announced {
    /// The transmitter has assigned `audiences` to the stream.
    pub(super) fn set_audiences(&self, audiences: &[String]) {
        self.said().audiences = audiences.to_vec();
    }

    /// Whether `names` is so for one of the audiences of the stream. Several are all of this receiver (SSF 1.0 §8.1.1).
    /// `None`: they are not known yet.
    pub(crate) fn is_audience(&self, names: impl Fn(&str) -> bool) -> Option<bool> {
        let said = self.said();
        (!said.audiences.is_empty()).then(|| said.audiences.iter().any(|audience| names(audience)))
    }

    /// The transmitter says that `stream` has this status now.
    pub(crate) fn set_status(&self, stream: &str, status: StreamStatus) {
        self.said().status = Some((stream.to_owned(), status));
    }

    /// The status of `stream`, if it is known.
    pub(super) fn status(&self, stream: &str) -> Option<StreamStatus> {
        self.said().status.as_ref().filter(|(id, _)| id == stream).map(|(_, status)| status.clone())
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
