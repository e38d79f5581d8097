//! The body of a guarded service's answer: the body of the inner service, or of a rejection.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::grpc;
use crate::authenticate::SessionEnd;

pin_project! {
    /// The body that a guarded service answers with: the body of the inner service, or of a rejection.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProjection]
    #[derive(Debug)]
    enum Kind<B> {
        Refusal { body: Bytes },
        Inner { #[pin] body: B, limit: Option<Limit> },
        Cut { grpc: bool },
    }
}

/// What ends a body early.
#[derive(Debug)]
pub(crate) struct Limit {
    pub(super) session: SessionEnd,
    /// Whether trailers tell the client that the session has ended.
    pub(super) grpc: bool,
}

impl<B> ResponseBody<B> {
    pub(crate) fn refusal(body: Bytes) -> Self {
        Self { kind: Kind::Refusal { body } }
    }

    /// The body of the inner service. It ends early when its session ends.
    pub(crate) fn inner(body: B, limit: Option<Limit>) -> Self {
        Self { kind: Kind::Inner { body, limit } }
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body,
    B::Data: From<Bytes>,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut kind = self.project().kind;
        if let KindProjection::Inner { limit: Some(limit), .. } = kind.as_mut().project()
            && Pin::new(&mut limit.session).poll(cx).is_ready()
        {
            let grpc = limit.grpc;
            // This drops the inner body, so the task that feeds it can stop.
            kind.set(Kind::Cut { grpc });
        }
        match kind.project() {
            KindProjection::Inner { body, .. } => body.poll_frame(cx),
            KindProjection::Refusal { body } if body.is_empty() => Poll::Ready(None),
            KindProjection::Refusal { body } => {
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(body).into()))))
            }
            KindProjection::Cut { grpc } => {
                let told = std::mem::take(grpc);
                Poll::Ready(told.then(|| Ok(Frame::trailers(grpc::session_ended()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body, .. } => body.is_end_stream(),
            Kind::Refusal { body } => body.is_empty(),
            Kind::Cut { grpc } => !grpc,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body, .. } => body.size_hint(),
            Kind::Refusal { body } => SizeHint::with_exact(body.len() as u64),
            Kind::Cut { .. } => SizeHint::with_exact(0),
        }
    }
}
