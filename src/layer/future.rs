//! The answer of a guarded service, on its way.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, VARY};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::body::ResponseBody;

type Decision = Pin<Box<dyn Future<Output = Result<Parts, Response<Bytes>>> + Send>>;

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
        Deciding { decision: Decision, waiting: Option<(S, B)> },
        Admitted { #[pin] future: F },
    }
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    pub(super) fn new(decision: Decision, body: B, service: S) -> Self {
        Self { state: State::Deciding { decision, waiting: Some((service, body)) } }
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
                StateProjection::Deciding { decision, waiting } => {
                    let verdict = ready!(decision.as_mut().poll(cx));
                    let (mut service, body) = waiting.take().expect("a decision is taken once");
                    match verdict {
                        Err(refusal) => return Poll::Ready(Ok(refusal.map(ResponseBody::refusal))),
                        Ok(parts) => {
                            let future = service.call(Request::from_parts(parts, body));
                            state.set(State::Admitted { future });
                        }
                    }
                }
                StateProjection::Admitted { future } => {
                    let mut response = ready!(future.poll(cx))?;
                    keep_from_shared_caches(response.headers_mut());
                    return Poll::Ready(Ok(response.map(ResponseBody::inner)));
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
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

/// RFC 9111 §3.5: what one caller may see is not for a cache to show another.
pub(crate) fn keep_from_shared_caches(headers: &mut HeaderMap) {
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("private"));
    headers.append(VARY, HeaderValue::from_name(AUTHORIZATION));
}
