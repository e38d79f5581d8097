//! The body of an answer that the bridge itself gives.

use std::convert::Infallible;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::unread::Unread;

/// The body of an answer of an endpoint: some bytes, in one piece.
///
/// It also holds back the draining of the request's body until the answer is being written. So a client that waits for
/// `100 Continue` gets the answer instead (RFC 9110 §10.1.1).
#[derive(Debug)]
pub struct AnswerBody {
    bytes: Bytes,
    unread: Option<Unread>,
}

impl AnswerBody {
    /// An answer behind which nothing is drained.
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self::new(bytes, None)
    }

    pub(super) fn new(bytes: Bytes, unread: Option<Unread>) -> Self {
        Self { bytes, unread }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        // The server has written the head before it asks for the body.
        self.unread = None;
        let bytes = mem::take(&mut self.bytes);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}
