//! What a layer leaves in a request's extensions for the extractors and the endpoints.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;

use crate::caller::Caller;
use crate::id::TraceId;
use crate::reject::{Challenge, Rejection, RejectionBody};

/// What to tell a host that forgot the layer.
pub(crate) const MISSING_LAYER: &str = "BridgeAuthLayer did not run for this route: add it with `.layer(bridge.layer(\"bridge\")?)` after the route";

/// Proof that a layer ran for this request, and what it found.
#[derive(Debug, Clone)]
pub(crate) struct Passage {
    pub(crate) caller: Option<Caller>,
    pub(crate) trace: TraceId,
    pub(crate) refusals: Refusals,
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
