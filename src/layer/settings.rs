//! What every service of one layer shares.

use std::sync::Arc;

use http::HeaderValue;

use super::stream_end::StreamSettings;
use crate::authenticate::Authenticator;
use crate::drain::DrainLimits;
use crate::rejection::RejectionFormat;

#[derive(Debug, Clone)]
pub(super) struct LayerSettings {
    pub(super) authenticator: Authenticator,
    pub(super) rejection_format: Arc<RejectionFormat>,
    pub(super) optional: bool,
    pub(super) identity_headers: bool,
    pub(super) forward_authorization: bool,
    pub(super) drain: DrainLimits,
    pub(super) streams: StreamSettings,
    /// The headers beside `Authorization` that the answer depends on.
    pub(super) vary: Option<Arc<HeaderValue>>,
}
