//! The body of a rejection.

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value};

use super::reason::Rejection;
use crate::id::TraceId;

/// Writes the body of a rejection. A host cannot change the status and the headers.
///
/// It is implemented by [`ProblemJson`], which is the default, and by every `Fn(&Rejection) -> (HeaderValue, Bytes)`.
/// Such a function returns the `Content-Type` and the body. The body should be the same for every
/// [`Rejection::InvalidCredential`]: a difference would tell an attacker whether a token or a session is good. The log
/// shows the reason.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not write the body of a rejection",
    label = "give a function `|rejection: &Rejection| -> (HeaderValue, Bytes)`, or a type that implements `RejectionBody`"
)]
pub trait RejectionBody: Send + Sync + 'static {
    /// The `Content-Type` and the body for `rejection`.
    fn body(&self, rejection: &Rejection) -> (HeaderValue, Bytes);

    /// The same for the request of this trace. Default: [`body`](Self::body).
    ///
    /// The header `x-trace-id` of the answer has the trace id in any case. Implement this to have it in the body too, as
    /// [`ProblemJson`] has.
    fn body_in_trace(&self, rejection: &Rejection, trace: &TraceId) -> (HeaderValue, Bytes) {
        let _ = trace;
        self.body(rejection)
    }
}

#[diagnostic::do_not_recommend]
impl<F> RejectionBody for F
where
    F: Fn(&Rejection) -> (HeaderValue, Bytes) + Send + Sync + 'static,
{
    fn body(&self, rejection: &Rejection) -> (HeaderValue, Bytes) {
        self(rejection)
    }
}

/// `application/problem+json` (RFC 9457) with the members `code` and `trace_id`.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProblemJson;

impl RejectionBody for ProblemJson {
    fn body(&self, rejection: &Rejection) -> (HeaderValue, Bytes) {
        problem(rejection.status(), rejection.code(), rejection.detail(), None, None)
    }

    fn body_in_trace(&self, rejection: &Rejection, trace: &TraceId) -> (HeaderValue, Bytes) {
        problem(rejection.status(), rejection.code(), rejection.detail(), Some(trace), None)
    }
}

/// A problem document (RFC 9457 §3) and its media type. `members` are further members, if any.
pub(crate) fn problem(
    status: StatusCode,
    code: &str,
    detail: &str,
    trace: Option<&TraceId>,
    members: Option<&Map<String, Value>>,
) -> (HeaderValue, Bytes) {
    #[derive(Serialize)]
    struct Problem<'a> {
        r#type: &'a str,
        title: &'a str,
        status: u16,
        code: &'a str,
        detail: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        trace_id: Option<&'a str>,
        #[serde(flatten)]
        members: Option<&'a Map<String, Value>>,
    }
    let problem = Problem {
        r#type: "about:blank",
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
        code,
        detail,
        trace_id: trace.map(TraceId::as_str),
        members,
    };
    let body = serde_json::to_vec(&problem).expect("a struct of strings serialises");
    (HeaderValue::from_static("application/problem+json"), body.into())
}
