//! The body of a guarded service's answer: the inner one's, or a refusal.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::authenticate::SessionEnd;

pin_project! {
    /// The body that a guarded service answers with: the inner service's own, or that of a refusal.
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
        Inner { #[pin] body: B, ended: Option<SessionEnd> },
    }
}

impl<B> ResponseBody<B> {
    pub(super) fn refusal(body: Bytes) -> Self {
        Self { kind: Kind::Refusal { body } }
    }

    /// The inner service's body, which ends early when its session does.
    pub(super) fn inner(body: B, ended: Option<SessionEnd>) -> Self {
        Self { kind: Kind::Inner { body, ended } }
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
        if let KindProjection::Inner { ended: Some(ended), .. } = kind.as_mut().project()
            && Pin::new(ended).poll(cx).is_ready()
        {
            // The inner body is dropped with this: whoever feeds it need not go on.
            kind.set(Kind::Refusal { body: Bytes::new() });
        }
        match kind.project() {
            KindProjection::Inner { body, .. } => body.poll_frame(cx),
            KindProjection::Refusal { body } if body.is_empty() => Poll::Ready(None),
            KindProjection::Refusal { body } => {
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(body).into()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body, .. } => body.is_end_stream(),
            Kind::Refusal { body } => body.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body, .. } => body.size_hint(),
            Kind::Refusal { body } => SizeHint::with_exact(body.len() as u64),
        }
    }
}
