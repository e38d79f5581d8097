//! The response future of a guarded service.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::VARY;
use http::{HeaderValue, Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::decide::{Admission, Asking, decide_by};
use super::grpc;
use super::response::keep_from_shared_caches;
use super::response_body::{Limit, ResponseBody};
use super::settings::LayerSettings;
use super::stream_end::StreamEnd;
use crate::authenticate::Admitted;
use crate::drain::{AnswerBody, Draining};
use crate::rejection::Refusal;

pin_project! {
    /// The response future of [`BridgeAuth`](crate::layer::BridgeAuth).
    ///
    /// # Cancel safety
    ///
    /// Dropping it abandons the decision, or the future of the inner service if that has begun.
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
        Asking { asking: Asking, waiting: Option<Waiting<S, B>> },
        Admitted { #[pin] future: F, end: Option<Box<StreamEnd>>, vary: Option<Arc<HeaderValue>> },
        Refused { refusal: Option<Response<AnswerBody>> },
    }
}

/// A request that waits for the decision, and the ready service that it is for.
pub(super) struct Waiting<S, B> {
    pub(super) service: S,
    pub(super) request: Request<B>,
    pub(super) settings: Arc<LayerSettings>,
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    /// The inner service has the request.
    pub(super) fn admitted(future: S::Future, admission: Admission) -> Self {
        Self { state: State::admitted(future, admission) }
    }

    pub(super) const fn asking(asking: Asking, waiting: Waiting<S, B>) -> Self {
        Self { state: State::Asking { asking, waiting: Some(waiting) } }
    }
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
    B: Body + Send + 'static,
{
    /// The request gets no further.
    pub(super) fn refused(settings: &LayerSettings, request: Request<B>, refusal: Response<Bytes>) -> Self {
        Self { state: State::refused(settings, request, refusal) }
    }
}

impl<S, B> State<S, S::Future, B>
where
    S: Service<Request<B>>,
    B: Body + Send + 'static,
{
    fn refused(settings: &LayerSettings, request: Request<B>, refusal: Response<Bytes>) -> Self {
        let draining = Draining::of(settings.drain, &request);
        Self::Refused { refusal: Some(draining.answer(refusal, Some(request.into_body()))) }
    }
}

impl<S, B> State<S, S::Future, B>
where
    S: Service<Request<B>>,
{
    fn admitted(future: S::Future, admission: Admission) -> Self {
        let Admission { end, vary } = admission;
        Self::Admitted { future, end, vary }
    }
}

impl<S, B> Waiting<S, B>
where
    S: Service<Request<B>>,
    B: Body + Send + 'static,
{
    fn go_on(mut self, asked: Result<Admitted, Refusal>) -> State<S, S::Future, B> {
        match decide_by(&self.settings, &mut self.request, asked) {
            Ok(admission) => State::admitted(self.service.call(self.request), admission),
            Err(refusal) => State::refused(&self.settings, self.request, refusal),
        }
    }
}

impl<S, B, ResBody> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    B: Body + Send + 'static,
{
    type Output = Result<Response<ResponseBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProjection::Asking { asking, waiting } => {
                    let asked = ready!(asking.as_mut().poll(cx));
                    let waiting = waiting.take().expect("the answer comes once");
                    state.set(waiting.go_on(asked));
                }
                StateProjection::Refused { refusal } => {
                    let refusal = refusal.take().expect("not polled after it was ready");
                    return Poll::Ready(Ok(refusal.map(ResponseBody::refusal)));
                }
                StateProjection::Admitted { future, end, vary } => {
                    let mut response = ready!(future.poll(cx))?;
                    keep_from_shared_caches(response.headers_mut());
                    if let Some(vary) = vary.take() {
                        response.headers_mut().append(VARY, HeaderValue::clone(&vary));
                    }
                    let is_grpc = || grpc::ends_with_trailers(response.headers());
                    let limit = end.take().map(|end| Limit { end, grpc: is_grpc() });
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
