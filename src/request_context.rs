//! What a layer leaves in a request's extensions for the extractors and the endpoints.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Response};

use crate::id::Trace;
use crate::rejection::{Challenge, Rejection, RejectionBody};
use crate::session::Moment;

/// What to tell a host that forgot the layer.
pub(crate) const MISSING_LAYER: &str = "BridgeAuthLayer did not run for this route: add it with `.layer(bridge.layer(\"bridge\")?)` after the route";

/// Proof that a layer ran for this request, and what its answer needs. A caller that a layer let in carries it; of a request
/// without one it stands in the extensions by itself.
#[derive(Debug, Clone)]
pub(crate) struct RequestContext {
    pub(crate) trace: Trace,
    pub(crate) rejection_format: Arc<RejectionFormat>,
    /// When the request was let in.
    pub(crate) at: Moment,
}

/// The `Authorization` of another scheme that an optional layer took out of a request: a client may prove itself with it at
/// the endpoints of OAuth behind that layer, and no handler sees it.
#[derive(Debug, Clone)]
pub(crate) struct SetAside(pub(crate) HeaderValue);

/// How a host words its rejection_format.
#[derive(Clone)]
pub(crate) struct RejectionFormat {
    pub(crate) challenge: Challenge,
    pub(crate) body: Arc<dyn RejectionBody>,
}

impl RejectionFormat {
    pub(crate) fn answer(&self, rejection: &Rejection) -> Response<Bytes> {
        rejection.to_response(&self.challenge, &*self.body)
    }
}

impl fmt::Debug for RejectionFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RejectionFormat").field("challenge", &self.challenge).finish_non_exhaustive()
    }
}
