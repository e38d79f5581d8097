//! The response future of the service behind the layers.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::judge::Verdict;
use crate::drain::AnswerBody;
use crate::layer::ResponseBody;

type Asking = Pin<Box<dyn Future<Output = Verdict> + Send>>;

pin_project! {
    /// The response future of [`Identify`](super::Identify).
    ///
    /// # Cancel safety
    ///
    /// Dropping it abandons the host's future, or the future of the inner service if that has begun.
    pub struct IdentifyFuture<S, B>
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
        Asking { asking: Asking, waiting: Option<(S, Request<B>)> },
        Admitted { #[pin] future: F },
        Refused { refusal: Option<Response<AnswerBody>> },
    }
}

impl<S, B> IdentifyFuture<S, B>
where
    S: Service<Request<B>>,
{
    pub(super) const fn admitted(future: S::Future) -> Self {
        Self { state: State::Admitted { future } }
    }

    pub(super) const fn refused(refusal: Response<AnswerBody>) -> Self {
        Self { state: State::Refused { refusal: Some(refusal) } }
    }

    pub(super) const fn asking(asking: Asking, service: S, request: Request<B>) -> Self {
        Self { state: State::Asking { asking, waiting: Some((service, request)) } }
    }
}

impl<S, B, ResBody> Future for IdentifyFuture<S, B>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    B: Body + Send + 'static,
{
    type Output = Result<Response<ResponseBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProjection::Asking { asking, waiting } => {
                    let verdict = ready!(asking.as_mut().poll(cx));
                    let (mut service, mut request) = waiting.take().expect("the answer comes once");
                    match verdict {
                        Verdict::GoesOn(identity) => {
                            identity.enter(request.extensions_mut());
                            State::Admitted { future: service.call(request) }
                        }
                        Verdict::Refused(refused) => {
                            State::Refused { refusal: Some(refused.answer(request)) }
                        }
                    }
                }
                StateProjection::Refused { refusal } => {
                    let refusal = refusal.take().expect("not polled after it was ready");
                    return Poll::Ready(Ok(refusal.map(ResponseBody::refusal)));
                }
                StateProjection::Admitted { future } => {
                    let response = ready!(future.poll(cx))?;
                    return Poll::Ready(Ok(response.map(|body| ResponseBody::inner(body, None))));
                }
            };
            state.set(next);
        }
    }
}

impl<S, B> fmt::Debug for IdentifyFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentifyFuture")
    }
}
