//! The guarded service.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::decide::{Decision, decide};
use super::future::{ResponseFuture, Waiting};
use super::response_body::ResponseBody;
use super::settings::LayerSettings;

/// A service behind [`BridgeAuthLayer`](crate::BridgeAuthLayer).
///
/// The layer documents what it does.
#[derive(Clone)]
pub struct BridgeAuth<S> {
    inner: S,
    settings: Arc<LayerSettings>,
}

impl<S> BridgeAuth<S> {
    pub(super) fn new(inner: S, settings: Arc<LayerSettings>) -> Self {
        Self { inner, settings }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for BridgeAuth<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ReqBody: Body + Send + 'static,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        match decide(&self.settings, &mut request) {
            Decision::Made(Ok(admission)) => ResponseFuture::admitted(self.inner.call(request), admission),
            Decision::Made(Err(refusal)) => {
                // This frees what the ready instance has reserved.
                drop(take_ready(&mut self.inner));
                ResponseFuture::refused(&self.settings, request, refusal)
            }
            Decision::Pending(asking) => {
                let waiting = Waiting {
                    service: take_ready(&mut self.inner),
                    request,
                    settings: self.settings.clone(),
                };
                ResponseFuture::asking(asking, waiting)
            }
        }
    }
}

/// Takes the instance that was polled ready, because only that one may be called. The clone that stays is not ready yet.
pub(crate) fn take_ready<S: Clone>(inner: &mut S) -> S {
    let clone = inner.clone();
    mem::replace(inner, clone)
}

impl<S: fmt::Debug> fmt::Debug for BridgeAuth<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BridgeAuth").field("inner", &self.inner).finish_non_exhaustive()
    }
}
