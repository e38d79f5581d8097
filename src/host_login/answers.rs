//! The answers to requests that go no further.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

use super::judge::LoginFault;
use crate::rejection::problem;

/// A problem document (RFC 9457) that no cache may store.
pub(super) fn refusal(status: StatusCode, code: &str, detail: &str) -> Response<Bytes> {
    let (content_type, body) = problem(status, code, detail, None, None);
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The login could not say who it is: a fault is no verdict.
pub(super) fn unavailable() -> Response<Bytes> {
    let detail = "The login does not answer right now. Try again.";
    let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", detail);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// Logs why the login could not say who it is.
pub(super) fn log(fault: &LoginFault, path: &str) {
    let error: &dyn std::error::Error = &**fault;
    tracing::error!(error, path, "the host's login failed, so the answer is 503");
}
