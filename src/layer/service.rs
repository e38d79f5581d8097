//! The guarded service.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Method, Request, Response};
use tower_service::Service;

use super::body::ResponseBody;
use super::decide::decide;
use super::future::{ResponseFuture, without_body};
use super::layer::Guard;

/// A service behind [`BridgeAuthLayer`](crate::BridgeAuthLayer), which documents what it does.
#[derive(Clone)]
pub struct BridgeAuth<S> {
    inner: S,
    guard: Arc<Guard>,
}

impl<S> BridgeAuth<S> {
    pub(super) fn new(inner: S, guard: Arc<Guard>) -> Self {
        Self { inner, guard }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for BridgeAuth<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        // The instance that was polled ready is the one to call; its clone is not ready yet.
        let clone = self.inner.clone();
        let ready = mem::replace(&mut self.inner, clone);
        let (parts, body) = request.into_parts();
        let guard = self.guard.clone();
        let is_head = parts.method == Method::HEAD;
        let as_asked = move |refusal| if is_head { without_body(refusal) } else { refusal };
        let decision = async move { decide(&guard, parts).await.map_err(as_asked) };
        ResponseFuture::new(Box::pin(decision), body, ready)
    }
}

impl<S: fmt::Debug> fmt::Debug for BridgeAuth<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BridgeAuth").field("inner", &self.inner).finish_non_exhaustive()
    }
}
