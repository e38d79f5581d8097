//! How an extractor fails.

use std::fmt;

use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue};

use crate::rejection::Rejection;
use crate::request_context::{MISSING_LAYER, RequestContext};

/// The layer did not run for this request: a mistake in the wiring, answered with 500 so that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{MISSING_LAYER}")]
pub struct MissingLayer;

/// The request has no caller, or one that lacks a scope: answered as the layer itself would.
#[derive(Clone)]
pub struct Refused {
    // Boxed: a response is large, and every extractor's result would be as large.
    response: Box<http::Response<Bytes>>,
}

/// Why there is no caller to hand to the handler.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CallerRejection {
    /// The layer did not run.
    #[error(transparent)]
    MissingLayer(#[from] MissingLayer),
    /// The layer would refuse.
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl MissingLayer {
    /// The status: 500.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::INTERNAL_SERVER_ERROR
    }

    /// The body: which layer is missing and what to add.
    #[must_use]
    pub fn body_text(&self) -> String {
        self.to_string()
    }
}

impl Refused {
    pub(super) fn new(context: &RequestContext, rejection: &Rejection) -> Self {
        Self { response: Box::new(context.rejection_format.refuse(rejection, &context.trace)) }
    }

    /// The status: 401 or 403.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// The refusal itself.
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
