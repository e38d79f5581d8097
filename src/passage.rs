//! What a layer leaves in a request's extensions for the extractors and the endpoints.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Response};

use crate::authenticate::Admitted;
use crate::caller::Caller;
#[cfg(feature = "axum")]
use crate::foreign::ForeignCaller;
use crate::id::{Scopes, TraceId};
use crate::reject::{Challenge, Rejection, RejectionBody};

/// What to tell a host that forgot the layer.
pub(crate) const MISSING_LAYER: &str = "BridgeAuthLayer did not run for this route: add it with `.layer(bridge.layer(\"bridge\")?)` after the route";

/// Proof that a layer ran for this request, and what it found.
#[derive(Debug, Clone)]
pub(crate) struct Passage {
    /// `None` is nobody.
    pub(crate) admitted: Option<Admitted>,
    pub(crate) trace: TraceId,
    pub(crate) refusals: Refusals,
}

/// The `Authorization` of another scheme that an optional layer took out of a request: a client may prove itself with it at
/// the endpoints of OAuth behind that layer, and no handler sees it.
#[derive(Debug, Clone)]
pub(crate) struct SetAside(pub(crate) HeaderValue);

impl Passage {
    /// The caller with a session.
    pub(crate) fn caller(&self) -> Result<&Caller, Rejection> {
        match &self.admitted {
            Some(Admitted::Caller(caller)) => Ok(caller),
            Some(Admitted::Foreign(_)) => Err(Rejection::ForeignCaller { required: Scopes::default() }),
            None => Err(Rejection::NoCredential),
        }
    }

    /// The caller without one.
    #[cfg(feature = "axum")]
    pub(crate) fn foreign_caller(&self) -> Result<&ForeignCaller, Rejection> {
        match &self.admitted {
            Some(Admitted::Foreign(caller)) => Ok(caller),
            Some(Admitted::Caller(caller)) => {
                Err(Rejection::CallerKind { found: caller.kind(), required: Scopes::default() })
            }
            None => Err(Rejection::NoCredential),
        }
    }
}

/// How a host words its refusals.
#[derive(Clone)]
pub(crate) struct Refusals {
    pub(crate) challenge: Arc<Challenge>,
    pub(crate) body: Arc<dyn RejectionBody>,
}

impl Refusals {
    pub(crate) fn answer(&self, rejection: &Rejection) -> Response<Bytes> {
        rejection.to_response(&self.challenge, &*self.body)
    }
}

impl fmt::Debug for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusals").field("challenge", &self.challenge).finish_non_exhaustive()
    }
}
