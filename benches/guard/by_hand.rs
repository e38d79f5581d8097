//! What a good engineer writes by hand, without a check of the session. It decodes the token, and puts the claims into
//! the extensions.

use std::future::{Ready, ready};
use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::{Extension, State};
use futures_util::future::Either;
use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use jsonwebtoken::{DecodingKey, Validation};
use tower::{Layer, Service};

use crate::support::app::{App, Read};

#[derive(Clone)]
pub struct ByHandLayer(pub Arc<Checks>);

pub struct Checks {
    pub key: DecodingKey,
    pub validation: Validation,
}

#[derive(Clone)]
pub struct ByHand<S> {
    inner: S,
    checks: Arc<Checks>,
}

/// Answers requests that were let in, and reads who calls.
pub async fn handler(State(app): State<Arc<App>>, Extension(read): Extension<Read>) -> &'static str {
    black_box(&read.sub);
    app.answer
}

impl<S> Layer<S> for ByHandLayer {
    type Service = ByHand<S>;

    fn layer(&self, inner: S) -> ByHand<S> {
        ByHand { inner, checks: self.0.clone() }
    }
}

impl<S, B, R> Service<Request<B>> for ByHand<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Default,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<S::Response, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let Checks { key, validation } = &*self.checks;
        let value = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = value.and_then(|text| text.strip_prefix("Bearer "));
        let data = token.and_then(|token| jsonwebtoken::decode::<Read>(token, key, validation).ok());
        match data {
            Some(data) => {
                request.extensions_mut().insert(data.claims);
                Either::Left(self.inner.call(request))
            }
            None => {
                let mut response = Response::new(R::default());
                *response.status_mut() = StatusCode::UNAUTHORIZED;
                Either::Right(ready(Ok(response)))
            }
        }
    }
}
