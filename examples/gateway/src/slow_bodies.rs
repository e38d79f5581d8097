//! A request whose body does not arrive in time gets 408.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use hyper::body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};

/// Gives the whole body of a request `within` to arrive, from the end of its header on. So a client that sends a byte
/// now and then gains nothing.
pub async fn refuse(State(within): State<Duration>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (is_late, version) = (Arc::new(AtomicBool::new(false)), request.version());
    let body =
        |body| Body::new(Timed { body, deadline: Box::pin(sleep(within)), is_late: Arc::clone(&is_late) });
    let answer = next.run(request.map(body)).await;
    // Whoever read the body says only that it broke off. A refusal for another reason stays.
    if !is_late.load(Ordering::Relaxed) || answer.status() != StatusCode::BAD_REQUEST {
        return answer;
    }
    let told = format!("the body did not arrive within {} s\n", within.as_secs());
    let mut answer = (StatusCode::REQUEST_TIMEOUT, told).into_response();
    // What still comes is no request. HTTP/2 keeps it apart by itself.
    if version <= Version::HTTP_11 {
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// A body that ends with an error at its deadline.
struct Timed {
    body: Body,
    deadline: Pin<Box<Sleep>>,
    is_late: Arc<AtomicBool>,
}

impl HttpBody for Timed {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        self.deadline.as_mut().poll(cx).map(|()| {
            self.is_late.store(true, Ordering::Relaxed);
            Some(Err(io::Error::from(io::ErrorKind::TimedOut).into()))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
