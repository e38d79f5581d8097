//! What a layer leaves in a request's extensions for the extractors and the endpoints.

use std::sync::Arc;

use http::HeaderValue;

use crate::clock::Moment;
use crate::id::Trace;
use crate::rejection::RejectionFormat;

/// The error text for a host that forgot the layer.
pub(crate) const MISSING_LAYER: &str = "BridgeAuthLayer did not run for this route. \
    Add `.layer(bridge.layer(\"bridge\")?)` to the router, after the route.";

/// The error text for a host that put the layer of one bridge around the endpoints of another.
pub(crate) const OTHER_BRIDGE: &str = "The BridgeAuthLayer that ran belongs to another Bridge. \
    Use one Bridge for the layer and the endpoints.";

/// Proof that a layer ran for this request, and what an answer to it needs.
///
/// A caller that a layer let in carries its context. For a request without a caller, the context stands in the
/// extensions by itself.
#[derive(Debug, Clone)]
pub(crate) struct RequestContext {
    pub(crate) trace: Trace,
    pub(crate) rejection_format: Arc<RejectionFormat>,
    /// When the request was let in.
    pub(crate) at: Moment,
}

/// An `Authorization` header of another scheme that an optional layer removed from a request.
///
/// The OAuth endpoints behind that layer may read it, so that a client can prove who it is. No handler sees it.
#[derive(Debug, Clone)]
pub(crate) struct SetAside(pub(crate) HeaderValue);
