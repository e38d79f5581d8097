//! The tower part of every endpoint: it takes any body, boxes one future and answers with one body type.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Body;

use super::request_body::{BoxError, RequestBody, Rest};
use crate::drain::{AnswerBody, DrainLimits, Draining};
use crate::layer::without_body;

type Answering = Pin<Box<dyn Future<Output = Response<Bytes>> + Send>>;

/// The response future of the endpoints.
///
/// # Cancel safety
///
/// Dropping it abandons the request. What the endpoint asked of the store is then done or not done, never half done.
pub struct EndpointFuture {
    answering: Answering,
    is_head: bool,
    draining: Draining,
    rest: Rest,
}

impl EndpointFuture {
    pub(super) fn new<B, F>(
        drain: DrainLimits,
        request: Request<B>,
        answer: impl FnOnce(Request<RequestBody>) -> F,
    ) -> Self
    where
        B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
        F: Future<Output = Response<Bytes>> + Send + 'static,
    {
        let is_head = request.method() == Method::HEAD;
        let draining = Draining::of(drain, &request);
        let (head, body) = request.into_parts();
        let (body, rest) = RequestBody::new(body);
        let answering = Box::pin(answer(Request::from_parts(head, body)));
        Self { answering, is_head, draining, rest }
    }
}

impl Future for EndpointFuture {
    type Output = Result<Response<AnswerBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.answering.as_mut().poll(cx).map(|response| {
            let response = if self.is_head { without_body(response) } else { response };
            Ok(self.draining.answer(response, self.rest.take()))
        })
    }
}

impl fmt::Debug for EndpointFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EndpointFuture")
    }
}

/// Makes a tower service from an async function of the shared state and a request.
macro_rules! service {
    ($(#[$meta:meta])* $name:ident => |$state:ident, $request:ident| $answer:expr) => {
        $(#[$meta])*
        #[derive(Debug, Clone)]
        pub struct $name {
            state: std::sync::Arc<$crate::service::ServiceState>,
        }

        impl $name {
            pub(crate) fn new(state: &std::sync::Arc<$crate::service::ServiceState>) -> Self {
                Self { state: state.clone() }
            }
        }

        impl<B> tower_service::Service<http::Request<B>> for $name
        where
            B: http_body::Body<Data: Send, Error: Into<$crate::service::request_body::BoxError>> + Send + 'static,
        {
            type Response = http::Response<$crate::drain::AnswerBody>;
            type Error = std::convert::Infallible;
            type Future = $crate::service::EndpointFuture;

            fn poll_ready(
                &mut self,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Result<(), Self::Error>> {
                std::task::Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: http::Request<B>) -> Self::Future {
                let state = self.state.clone();
                $crate::service::EndpointFuture::new(self.state.drain, request, |$request| async move {
                    let $state = &*state;
                    $answer.await
                })
            }
        }
    };
}
pub(super) use service;
