//! How an extractor refuses.

use std::fmt;

use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue};
use http::request::Parts;

use crate::layer_verdict::LayerVerdict;
use crate::rejection::{Refusal, Rejection};
use crate::request_context::{MISSING_LAYER, RequestContext};
use crate::telemetry::RefusedRequest;

/// The layer did not run for this request.
///
/// This is a mistake of the host, so the answer is 500.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{MISSING_LAYER}")]
pub struct MissingLayer;

/// The request has no caller, or its caller lacks a scope.
///
/// The answer is the layer's own.
#[derive(Clone)]
pub struct Refused {
    // Boxed, because a response is large and would make every extractor's result as large.
    response: Box<http::Response<Bytes>>,
}

/// Why a handler gets no caller.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CallerRejection {
    /// The layer did not run.
    #[error(transparent)]
    MissingLayer(#[from] MissingLayer),
    /// The layer would refuse this request.
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl MissingLayer {
    /// The status: 500.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::INTERNAL_SERVER_ERROR
    }

    /// The body: it names the missing layer and what to add.
    #[must_use]
    pub fn body_text(&self) -> String {
        self.to_string()
    }
}

impl Refused {
    /// Refuses the request of `parts`, which the layer let in as `layer_verdict` says.
    pub(super) fn new(
        (layer_verdict, context): (LayerVerdict<'_>, &RequestContext),
        parts: &Parts,
        rejection: Rejection,
    ) -> Self {
        let refusal = Refusal::new(rejection, layer_verdict.known());
        let request = RefusedRequest::of_parts(parts);
        Self { response: Box::new(context.rejection_format.refuse(request, refusal, &context.trace)) }
    }

    /// The status: 401 or 403.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// The rejection behind the answer.
    #[must_use]
    pub fn rejection(&self) -> Option<&Rejection> {
        self.response.extensions().get()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rejection().map_or("refused", Rejection::code))
    }
}

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Refused").field(&self.rejection()).finish()
    }
}

impl std::error::Error for Refused {}

impl IntoResponse for MissingLayer {
    fn into_response(self) -> Response {
        tracing::error!("{self}");
        let no_store = [(CACHE_CONTROL, HeaderValue::from_static("no-store"))];
        (self.status(), no_store, self.body_text()).into_response()
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        self.response.map(Into::into)
    }
}

impl IntoResponse for CallerRejection {
    fn into_response(self) -> Response {
        match self {
            Self::MissingLayer(missing) => missing.into_response(),
            Self::Refused(refused) => refused.into_response(),
        }
    }
}
