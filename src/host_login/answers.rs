//! The answers to requests that go no further.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Body;

use super::login_fault::{FaultLog, LoginFault};
use crate::drain::{AnswerBody, DrainLimits, Draining};
use crate::header::{Head, X_TRACE_ID};
use crate::id::{Trace, TraceId};
use crate::rejection::problem;
use crate::telemetry::{Known, RefusedRequest, RefusedWith, RequestLog};

/// A request that goes no further.
pub(super) enum Refused {
    Problem(Problem),
    Fault(Fault),
}

/// The login could not say who it is: a fault is no verdict.
pub(super) struct Fault {
    pub(super) fault: LoginFault,
    pub(super) log: Arc<FaultLog>,
    /// The answer in the host's own words, if it has any.
    pub(super) answer: Option<Box<Response<Bytes>>>,
}

/// A problem document (RFC 9457), with the trace of the request.
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) detail: &'static str,
    pub(super) headers: HeaderMap,
    pub(super) log: Arc<RequestLog>,
}

impl Refused {
    /// Answers this request, and logs why. The body is drained, so that a client that sends all before it reads hears
    /// the answer.
    pub(super) fn answer<B>(self, request: Request<B>) -> Response<AnswerBody>
    where
        B: Body + Send + 'static,
    {
        let trace = Trace::of(&Head::of(request.headers(), &[])).0.id();
        let told = RefusedRequest::of(&request);
        let answer = match self {
            Self::Problem(problem) => problem.answer(told, &trace),
            Self::Fault(fault) => fault.answer(told, &trace),
        };
        Draining::of(DrainLimits::default(), &request).answer(answer, Some(request.into_body()))
    }
}

impl Problem {
    fn answer(self, request: RefusedRequest<'_>, trace: &TraceId) -> Response<Bytes> {
        let Self { status, code, detail, headers, log } = self;
        let with = RefusedWith { status: status.as_u16(), code, reason: code, words: &detail };
        log.refused(request, with, &Known::default(), trace);
        document(status, code, detail, headers, trace)
    }
}

impl Fault {
    fn answer(self, request: RefusedRequest<'_>, trace: &TraceId) -> Response<Bytes> {
        self.log.tell(&self.fault, request.path(), trace);
        if let Some(mut answer) = self.answer {
            answer.headers_mut().entry(X_TRACE_ID).or_insert_with(|| trace.to_header_value());
            return *answer;
        }
        document(
            StatusCode::SERVICE_UNAVAILABLE,
            "temporarily_unavailable",
            "The login does not answer right now. Try again.",
            HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("1"))]),
            trace,
        )
    }
}

/// A problem document that no cache may store.
fn document(
    status: StatusCode,
    code: &'static str,
    detail: &'static str,
    headers: HeaderMap,
    trace: &TraceId,
) -> Response<Bytes> {
    let (content_type, body) = problem(status, code, detail, Some(trace), None);
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response.headers_mut().extend([
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (X_TRACE_ID, trace.to_header_value()),
    ]);
    response
}
