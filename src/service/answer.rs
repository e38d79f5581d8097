//! The answers of the endpoints.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value};

use super::state::ServiceState;
use crate::header::X_TRACE_ID;
use crate::id::TraceId;
use crate::rejection::{Rejection, problem};
use crate::store::{StoreError, StoreErrorKind, log_fault};
use crate::telemetry::{RefusedWith, note};
use crate::token::KeyError;

pub(super) type Answer = Result<Response<Bytes>, EndpointFailure>;

/// Why an endpoint refuses a request.
pub(super) enum EndpointFailure {
    /// The endpoint's own reason.
    Own(EndpointError),
    /// A complete response: the guard's own, which is logged already, or one that leads a person to their login.
    Whole(Box<Response<Bytes>>),
    /// A page, or a redirect, that refuses.
    Page(Box<RefusedPage>),
}

/// A page, or a redirect, that refuses.
pub(super) struct RefusedPage {
    pub(super) response: Response<Bytes>,
    /// Why, in one word of a small fixed set.
    pub(super) code: &'static str,
    /// Why, in a sentence.
    pub(super) detail: &'static str,
}

/// An error of an endpoint. Its text never repeats what the caller sent.
#[derive(Debug)]
pub(super) struct EndpointError {
    status: StatusCode,
    code: &'static str,
    detail: &'static str,
    header: Option<(HeaderName, HeaderValue)>,
    /// Whether it is known that the caller did not guess what it showed.
    is_no_guess: bool,
    /// More members of the problem document. They hold only what belongs to the caller.
    members: Option<Box<Map<String, Value>>>,
}

/// The format of an endpoint's errors.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wording {
    /// RFC 9457.
    Problem,
    /// RFC 6749 §5.2.
    Oauth,
    /// RFC 8935 §2.3.
    SecurityEvent,
}

/// An answer with a JSON body. No cache may store it.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response<Bytes> {
    let body = serde_json::to_vec(body).expect("strings, numbers and lists of them serialise");
    answer(status, HeaderValue::from_static("application/json"), body.into())
}

/// An answer with the status 204.
pub(super) fn no_content() -> Response<Bytes> {
    empty(StatusCode::NO_CONTENT)
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    forbid_storing(&mut response);
    response
}

impl EndpointError {
    pub(super) const fn new(status: StatusCode, code: &'static str, detail: &'static str) -> Self {
        Self { status, code, detail, header: None, is_no_guess: false, members: None }
    }

    pub(super) const fn invalid_request(detail: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", detail)
    }

    pub(super) const fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing at this path.")
    }

    pub(super) fn method_not_allowed(allowed: &'static str) -> Self {
        let detail = "This path does not take this method. The Allow header lists its methods.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
            .header(ALLOW, HeaderValue::from_static(allowed))
    }

    /// No signed-in person or operator stands behind the request.
    pub(super) fn unauthenticated(state: &ServiceState, code: &'static str, detail: &'static str) -> Self {
        let challenge = state.challenge().bare();
        Self::new(StatusCode::UNAUTHORIZED, code, detail).header(WWW_AUTHENTICATE, challenge)
    }

    /// The store could not answer. Logs why.
    pub(super) fn unavailable(state: &ServiceState, fault: &StoreError) -> Self {
        log_fault(fault, "the store could not answer an endpoint");
        Self::unavailable_for(state, fault.kind())
    }

    /// The store could not answer. The caller of this function has logged why.
    pub(super) fn unavailable_for(state: &ServiceState, kind: StoreErrorKind) -> Self {
        state.auth.unavailable(kind);
        note(|known| known.reason = Some(Rejection::Unavailable(kind).reason()));
        if kind == StoreErrorKind::Misconfigured {
            let detail = "This cannot be done until somebody repairs this gateway.";
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", detail);
        }
        Self::later(state, "This cannot be done right now. Try again.")
    }

    /// It cannot be done now.
    pub(super) fn later(state: &ServiceState, detail: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", detail)
            .header(RETRY_AFTER, HeaderValue::from(state.retry_after()))
    }

    /// The caller has tried too often (RFC 6585 §4). The OAuth error code for this is `slow_down` (RFC 8628 §3.5).
    pub(super) fn too_many(wait: Duration) -> Self {
        let detail = "Too many attempts. Wait as long as Retry-After says, then try again.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "slow_down", detail)
            .header(RETRY_AFTER, HeaderValue::from(whole_seconds(wait)))
    }

    /// Whether the caller showed a wrong secret, code or token that it may have guessed, or declared a session id that is
    /// taken.
    pub(super) fn is_failed_attempt(&self) -> bool {
        let is_wrong = self.status == StatusCode::UNAUTHORIZED
            || ["invalid_grant", "session_id_taken", "invalid_key", "authentication_failed"]
                .contains(&self.code);
        is_wrong && !self.is_no_guess
    }

    /// The same error for a caller who did not guess what it showed.
    pub(super) fn no_guess(self) -> Self {
        Self { is_no_guess: true, ..self }
    }

    /// A token could not be signed. Logs why.
    pub(super) fn unsigned(fault: &KeyError) -> Self {
        tracing::error!(error = fault as &dyn std::error::Error, "a token could not be signed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "The token could not be signed.")
    }

    /// Whether it refuses a grant.
    pub(super) fn is_invalid_grant(&self) -> bool {
        self.code == "invalid_grant"
    }

    /// The same error with another status.
    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// Adds a member to the problem document (RFC 9457 §3.2).
    pub(super) fn member(mut self, name: &str, value: Value) -> Self {
        self.members.get_or_insert_default().insert(name.to_owned(), value);
        self
    }

    fn into_response(self, wording: Wording, trace: &TraceId) -> Response<Bytes> {
        let mut response = match wording {
            Wording::Problem => {
                let members = self.members.as_deref();
                let (content_type, body) = problem(self.status, self.code, self.detail, Some(trace), members);
                answer(self.status, content_type, body)
            }
            Wording::Oauth => oauth_error(&self, trace),
            Wording::SecurityEvent => event_error(&self, trace),
        };
        response.headers_mut().extend(self.header);
        response
    }

    #[cfg(test)]
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some((name, value));
        self
    }
}

impl EndpointFailure {
    /// What the log tells of the refusal. `None`: it is told already, or it is none.
    pub(super) fn told(&self) -> Option<RefusedWith<'_>> {
        let (status, code, words): (_, _, &dyn fmt::Display) = match self {
            Self::Own(error) => (error.status, error.code, &error.detail),
            Self::Page(page) => (page.response.status(), page.code, &page.detail),
            Self::Whole(_) => return None,
        };
        Some(RefusedWith { status: status.as_u16(), code, reason: code, words })
    }

    /// The answer to a request of the trace `trace`.
    pub(super) fn into_response(self, wording: Wording, trace: &TraceId) -> Response<Bytes> {
        let mut response = match self {
            Self::Own(error) => error.into_response(wording, trace),
            Self::Page(page) => page.response,
            Self::Whole(response) => return *response,
        };
        response.headers_mut().insert(X_TRACE_ID, trace.to_header_value());
        response
    }
}

impl From<EndpointError> for EndpointFailure {
    fn from(error: EndpointError) -> Self {
        Self::Own(error)
    }
}

/// RFC 6749 §5.2. Clients ignore the member that the RFC does not have.
fn oauth_error(error: &EndpointError, trace: &TraceId) -> Response<Bytes> {
    #[derive(Serialize)]
    struct OauthError<'a> {
        error: &'a str,
        error_description: &'a str,
        trace_id: &'a str,
    }
    let body = OauthError { error: error.code, error_description: error.detail, trace_id: trace.as_str() };
    json(error.status, &body)
}

/// RFC 8935 §2.3. The description is in English.
fn event_error(error: &EndpointError, trace: &TraceId) -> Response<Bytes> {
    #[derive(Serialize)]
    struct EventError<'a> {
        err: &'a str,
        description: &'a str,
        trace_id: &'a str,
    }
    let body = EventError { err: error.code, description: error.detail, trace_id: trace.as_str() };
    let mut response = json(error.status, &body);
    response.headers_mut().insert(CONTENT_LANGUAGE, HeaderValue::from_static("en"));
    response
}

fn answer(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    forbid_storing(&mut response);
    response
}

/// A wait in whole seconds, never too short.
pub(super) fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// Forbids every cache to store the answer (RFC 6749 §5.1).
fn forbid_storing(response: &mut Response<Bytes>) {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(PRAGMA, HeaderValue::from_static("no-cache"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_guessed_is_no_failed_attempt_whatever_the_status_is() {
        let refused =
            || EndpointError::new(StatusCode::BAD_REQUEST, "invalid_grant", "The token is not good.");
        assert!(refused().is_failed_attempt());
        assert!(refused().with_status(StatusCode::UNAUTHORIZED).is_failed_attempt());
        assert!(!refused().no_guess().is_failed_attempt());
        // As the login of Claude Code is answered.
        assert!(!refused().no_guess().with_status(StatusCode::UNAUTHORIZED).is_failed_attempt());
    }
}
