//! The body of a guarded answer.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::grpc;
use super::stream_end::{StreamEnd, StreamEnded};
use crate::drain::AnswerBody;

pin_project! {
    /// The body that a guarded service answers with: the body of the inner service, or of a rejection.
    ///
    /// Its errors are those of the inner body, and [`StreamEnded`].
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
        Refusal { body: AnswerBody },
        Inner { #[pin] body: B, limit: Option<Limit> },
        Cut { last: Option<Last> },
    }
}

/// What ends a body early.
#[derive(Debug)]
pub(crate) struct Limit {
    pub(super) end: Box<StreamEnd>,
    /// Whether trailers tell the client why it ends.
    pub(super) grpc: bool,
}

/// The last that a client hears of a body that ends early.
#[derive(Debug, Clone, Copy)]
enum Last {
    Trailers(StreamEnded),
    Error(StreamEnded),
}

impl Limit {
    fn last(&self, why: StreamEnded) -> Option<Last> {
        match self {
            Self { grpc: true, .. } => Some(Last::Trailers(why)),
            Self { end, .. } => end.with_error.then_some(Last::Error(why)),
        }
    }
}

impl<B> ResponseBody<B> {
    pub(crate) fn refusal(body: AnswerBody) -> Self {
        Self { kind: Kind::Refusal { body } }
    }

    /// The body of the inner service. It ends early when its session or its token does.
    pub(crate) fn inner(body: B, limit: Option<Limit>) -> Self {
        Self { kind: Kind::Inner { body, limit } }
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body,
    B::Data: From<Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = B::Data;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut kind = self.project().kind;
        if let KindProjection::Inner { limit: Some(limit), .. } = kind.as_mut().project()
            && let Poll::Ready(why) = limit.end.poll(cx)
        {
            let last = limit.last(why);
            // This drops the inner body, so the task that feeds it can stop.
            kind.set(Kind::Cut { last });
        }
        match kind.project() {
            KindProjection::Inner { body, .. } => body.poll_frame(cx).map_err(Into::into),
            KindProjection::Refusal { body } => {
                let frame = Pin::new(body).poll_frame(cx);
                frame.map_ok(|frame| frame.map_data(Into::into)).map_err(Into::into)
            }
            KindProjection::Cut { last } => Poll::Ready(last.take().map(|last| match last {
                Last::Trailers(why) => Ok(Frame::trailers(grpc::stream_ended(why))),
                Last::Error(why) => Err(why.into()),
            })),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body, .. } => body.is_end_stream(),
            Kind::Refusal { body } => body.is_end_stream(),
            Kind::Cut { last } => last.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body, .. } => body.size_hint(),
            Kind::Refusal { body } => body.size_hint(),
            Kind::Cut { .. } => SizeHint::with_exact(0),
        }
    }
}
