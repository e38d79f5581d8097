//! The service behind the layers.

use std::fmt;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::future::IdentifyFuture;
use super::judge::{Judge, Said, Verdict};
use crate::layer::{ResponseBody, take_ready};

/// A service behind [`SignInLayer`](super::SignInLayer) or [`OperatorLayer`](super::OperatorLayer).
///
/// The layers document what it does.
#[derive(Clone)]
pub struct Identify<S> {
    inner: S,
    judge: Judge,
}

impl<S> Identify<S> {
    pub(super) fn new(inner: S, judge: Judge) -> Self {
        Self { inner, judge }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Identify<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ReqBody: Body + Send + 'static,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = IdentifyFuture<S, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        match (self.judge)(&mut parts) {
            Said::Now(Verdict::GoesOn(identity)) => {
                identity.enter(&mut parts.extensions);
                IdentifyFuture::admitted(self.inner.call(Request::from_parts(parts, body)))
            }
            Said::Now(Verdict::Refused(refused)) => {
                // This frees what the ready instance has reserved.
                drop(take_ready(&mut self.inner));
                IdentifyFuture::refused(refused.answer(Request::from_parts(parts, body)))
            }
            Said::Later(asking) => {
                IdentifyFuture::asking(asking, take_ready(&mut self.inner), Request::from_parts(parts, body))
            }
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for Identify<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identify").field("inner", &self.inner).finish_non_exhaustive()
    }
}
