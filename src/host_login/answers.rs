//! The answers to requests that go no further.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::header::{Head, X_TRACE_ID};
use crate::id::Trace;
use crate::rejection::problem;
use crate::telemetry::{Known, RefusedRequest, RefusedWith, RequestLog};

/// A request that goes no further.
pub(super) enum Refused {
    Problem(Problem),
    /// An answer in the host's own words.
    Whole(Box<Response<Bytes>>),
}

/// A problem document (RFC 9457), with the trace of the request.
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) detail: &'static str,
    pub(super) headers: HeaderMap,
    /// `None`: the cause is in the log already.
    pub(super) log: Option<Arc<RequestLog>>,
}

impl Refused {
    /// The login could not say who it is: a fault is no verdict.
    pub(super) fn unavailable() -> Self {
        Self::Problem(Problem {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "temporarily_unavailable",
            detail: "The login does not answer right now. Try again.",
            headers: HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("1"))]),
            log: None,
        })
    }

    /// The answer to this request. No cache may store it.
    pub(super) fn answer(self, request: RefusedRequest<'_>, headers: &HeaderMap) -> Response<Bytes> {
        let problem_of = match self {
            Self::Problem(problem) => problem,
            Self::Whole(response) => return *response,
        };
        let Problem { status, code, detail, headers: more, log } = problem_of;
        let trace = Trace::of(&Head::of(headers, &[])).0.id();
        if let Some(log) = log {
            let with = RefusedWith { status: status.as_u16(), code, reason: code, words: &detail };
            log.refused(request, with, &Known::default(), &trace);
        }
        let (content_type, body) = problem(status, code, detail, Some(&trace), None);
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = more;
        response.headers_mut().extend([
            (CONTENT_TYPE, content_type),
            (CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (X_TRACE_ID, trace.to_header_value()),
        ]);
        response
    }
}
