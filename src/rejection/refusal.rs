//! A rejection, and what else is known of the refused request.

use super::reason::{InvalidCredential, Rejection};
use crate::telemetry::Known;

/// A rejection, with what only the log tells.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) rejection: Rejection,
    // Boxed, so that the answer to a good request does not grow.
    known: Option<Box<Known>>,
}

impl Refusal {
    pub(crate) fn new(rejection: impl Into<Rejection>, known: Known) -> Self {
        Self { rejection: rejection.into(), known: Some(Box::new(known)) }
    }

    /// What is known of the request. Empty: nothing.
    pub(crate) fn known(self) -> (Rejection, Known) {
        (self.rejection, self.known.map(|known| *known).unwrap_or_default())
    }

    /// Adds what `known` says, where this knows nothing.
    pub(crate) fn or(self, known: Known) -> Self {
        let (rejection, own) = self.known();
        Self::new(rejection, own.or(known))
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        Self { rejection, known: None }
    }
}

impl From<InvalidCredential> for Refusal {
    fn from(credential: InvalidCredential) -> Self {
        Rejection::from(credential).into()
    }
}
