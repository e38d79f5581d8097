//! What the endpoints answer with.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value};

use super::state::ServiceState;
use crate::rejection::problem;
use crate::store::{StoreError, StoreErrorKind, log_fault};
use crate::token::KeyError;

pub(super) type Answer = Result<Response<Bytes>, EndpointFailure>;

/// Why an endpoint does not do what it was asked to.
pub(super) enum EndpointFailure {
    /// For a reason of its own.
    EndpointError(EndpointError),
    /// For one that the guard's layer answers itself.
    Guard(Box<Response<Bytes>>),
}

/// A reason of the endpoint's own: what the caller is told of it never echoes what the caller sent.
#[derive(Debug)]
pub(super) struct EndpointError {
    status: StatusCode,
    code: &'static str,
    detail: &'static str,
    header: Option<(HeaderName, HeaderValue)>,
    /// What more the caller may know of it, of their own.
    members: Option<Box<Map<String, Value>>>,
}

/// How an endpoint words its errors.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wording {
    /// RFC 9457.
    Problem,
    /// RFC 6749 §5.2.
    Oauth,
}

/// An answer with a JSON body that nobody may keep.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response<Bytes> {
    let body = serde_json::to_vec(body).expect("strings, numbers and lists of them serialise");
    answer(status, HeaderValue::from_static("application/json"), body.into())
}

/// 204.
pub(super) fn no_content() -> Response<Bytes> {
    empty(StatusCode::NO_CONTENT)
}

/// An answer that says no more than its status.
pub(super) fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    forbid_storing(&mut response);
    response
}

impl EndpointError {
    pub(super) const fn new(status: StatusCode, code: &'static str, detail: &'static str) -> Self {
        Self { status, code, detail, header: None, members: None }
    }

    pub(super) const fn invalid_request(detail: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", detail)
    }

    pub(super) const fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing here.")
    }

    pub(super) fn method_not_allowed(allowed: &'static str) -> Self {
        let detail = "This is not what the method is for; Allow says which is.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
            .header(ALLOW, HeaderValue::from_static(allowed))
    }

    /// Anonymous has signed in who may ask for this.
    pub(super) fn unauthenticated(state: &ServiceState, code: &'static str, detail: &'static str) -> Self {
        let challenge = state.challenge().bare();
        Self::new(StatusCode::UNAUTHORIZED, code, detail).header(WWW_AUTHENTICATE, challenge)
    }

    /// The store could not answer; the log is told why.
    pub(super) fn unavailable(state: &ServiceState, fault: &StoreError) -> Self {
        log_fault(fault, "the store could not answer an endpoint");
        Self::unavailable_for(state, fault.kind())
    }

    /// It cannot be known right now: the log was told why.
    pub(super) fn unavailable_for(state: &ServiceState, kind: StoreErrorKind) -> Self {
        state.auth.unavailable(kind);
        if kind == StoreErrorKind::Misconfigured {
            let detail = "This cannot be done until this gateway is mended.";
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", detail);
        }
        let retry_after = state.challenge().retry_after.as_secs().max(1);
        let detail = "This cannot be done right now. Try again.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", detail)
            .header(RETRY_AFTER, HeaderValue::from(retry_after))
    }

    /// The caller has tried too often (RFC 6585 §4). OAuth's word for it at a token endpoint is that of RFC 8628 §3.5.
    pub(super) fn too_many(wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self::new(StatusCode::TOO_MANY_REQUESTS, "slow_down", "Too many attempts. Wait, then try again.")
            .header(RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    /// Whether a secret, a code or a token was shown that is not good, or a session id tried that is taken.
    pub(super) fn is_failed_attempt(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED || ["invalid_grant", "session_id_taken"].contains(&self.code)
    }

    /// A token could not be signed; the log is told why.
    pub(super) fn unsigned(fault: &KeyError) -> Self {
        tracing::error!(error = fault as &dyn std::error::Error, "a token could not be signed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "The token could not be made.")
    }

    /// Adds a member to the problem document (RFC 9457 §3.2).
    pub(super) fn member(mut self, name: &str, value: Value) -> Self {
        self.members.get_or_insert_default().insert(name.to_owned(), value);
        self
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
    pub(super) fn into_response(self, wording: Wording) -> Response<Bytes> {
        let refusal = match self {
            Self::EndpointError(refusal) => refusal,
            Self::Guard(response) => return *response,
        };
        let mut response = match wording {
            Wording::Problem => {
                let members = refusal.members.as_deref();
                let (content_type, body) = problem(refusal.status, refusal.code, refusal.detail, members);
                answer(refusal.status, content_type, body)
            }
            Wording::Oauth => oauth_error(&refusal),
        };
        response.headers_mut().extend(refusal.header);
        response
    }
}

impl From<EndpointError> for EndpointFailure {
    fn from(refusal: EndpointError) -> Self {
        Self::EndpointError(refusal)
    }
}

fn oauth_error(refusal: &EndpointError) -> Response<Bytes> {
    #[derive(Serialize)]
    struct OauthError<'a> {
        error: &'a str,
        error_description: &'a str,
    }
    json(refusal.status, &OauthError { error: refusal.code, error_description: refusal.detail })
}

fn answer(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    forbid_storing(&mut response);
    response
}

/// RFC 6749 §5.1.
fn forbid_storing(response: &mut Response<Bytes>) {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(PRAGMA, HeaderValue::from_static("no-cache"));
}
