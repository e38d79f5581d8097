//! The answer of a guarded service, on its way.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, Entry, VARY};
use http::{HeaderMap, HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::body::{Limit, ResponseBody};
use super::decide::{Admission, Decision, PendingVerdict, Verdict};
use super::grpc;
use crate::authenticate::SessionEnd;

pin_project! {
    /// The response future of [`BridgeAuth`](crate::BridgeAuth).
    ///
    /// # Cancel safety
    ///
    /// Dropping it abandons the decision or the inner service's future, whichever runs.
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, S::Future, B>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, F, B> {
        Pending { verdict: PendingVerdict, waiting: Option<(S, B)> },
        Admitted { #[pin] future: F, ended: Option<SessionEnd>, vary: Option<Arc<HeaderValue>> },
        Refused { refusal: Option<Response<Bytes>> },
    }
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    /// Hands an admitted request to `service`, which must be ready.
    pub(super) fn new(decision: Decision, body: B, service: S) -> Self {
        let state = match decision {
            Decision::Made(verdict) => State::follow(verdict, body, service),
            Decision::Pending(verdict) => State::Pending { verdict, waiting: Some((service, body)) },
        };
        Self { state }
    }
}

impl<S, B> State<S, S::Future, B>
where
    S: Service<Request<B>>,
{
    fn follow(verdict: Verdict, body: B, mut service: S) -> Self {
        match verdict {
            Ok(Admission { parts, ended, vary }) => {
                Self::Admitted { future: service.call(Request::from_parts(parts, body)), ended, vary }
            }
            Err(refusal) => Self::Refused { refusal: Some(refusal) },
        }
    }
}

impl<S, B, ResBody> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
{
    type Output = Result<Response<ResponseBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProjection::Pending { verdict, waiting } => {
                    let verdict = ready!(verdict.as_mut().poll(cx));
                    let (service, body) = waiting.take().expect("the verdict comes once");
                    state.set(State::follow(verdict, body, service));
                }
                StateProjection::Refused { refusal } => {
                    let refusal = refusal.take().expect("not polled after it was ready");
                    return Poll::Ready(Ok(refusal.map(ResponseBody::refusal)));
                }
                StateProjection::Admitted { future, ended, vary } => {
                    let mut response = ready!(future.poll(cx))?;
                    keep_from_shared_caches(response.headers_mut());
                    if let Some(vary) = vary.take() {
                        response.headers_mut().append(VARY, HeaderValue::clone(&vary));
                    }
                    let limit = ended
                        .take()
                        .map(|session| Limit { session, grpc: grpc::ends_with_trailers(response.headers()) });
                    return Poll::Ready(Ok(response.map(|body| ResponseBody::inner(body, limit))));
                }
            }
        }
    }
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseFuture")
    }
}

/// What `GET` would answer, as `HEAD` answers it (RFC 9110 §9.3.2); not every server cuts the body off.
pub(crate) fn without_body(mut response: Response<Bytes>) -> Response<Bytes> {
    let length = std::mem::take(response.body_mut()).len();
    response.headers_mut().entry(CONTENT_LENGTH).or_insert(HeaderValue::from(length));
    response
}

/// RFC 9111 §3.5: what one caller may see is not for a cache to show another.
pub(crate) fn keep_from_shared_caches(headers: &mut HeaderMap) {
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("private"));
    let authorization = HeaderValue::from_static("authorization");
    match headers.entry(VARY) {
        Entry::Vacant(none) => drop(none.insert(authorization)),
        // A layer inside this one has said so already.
        Entry::Occupied(values) if values.iter().any(|value| *value == authorization) => {}
        Entry::Occupied(mut values) => values.append(authorization),
    }
}
