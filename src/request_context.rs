//! What a layer leaves in a request's extensions for the extractors and the endpoints.

use std::sync::Arc;

use http::HeaderValue;

use crate::clock::Moment;
use crate::id::Trace;
use crate::rejection::RejectionFormat;

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
