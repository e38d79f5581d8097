//! The rest of a body, and the task that reads it.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http_body::Body;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::limits::DrainLimits;

/// A body that is drained as soon as this value is dropped.
#[derive(Debug)]
pub(super) struct Unread {
    _start: oneshot::Sender<Infallible>,
}

impl Unread {
    /// `None`: there is no runtime that could drain it.
    pub(super) fn of<B>(body: B, limits: DrainLimits) -> Option<Self>
    where
        B: Body + Send + 'static,
    {
        let runtime = Handle::try_current().ok()?;
        let (start, started) = oneshot::channel();
        runtime.spawn(async move {
            let _dropped = started.await;
            let mut body = pin!(body);
            let mut left = limits.bytes;
            let drained = poll_fn(|context| discard(body.as_mut(), &mut left, context));
            let _in_time = timeout(limits.within, drained).await;
        });
        Some(Self { _start: start })
    }
}

/// Throws away what comes, until the body ends or `left` bytes have come.
fn discard<B: Body>(mut body: Pin<&mut B>, left: &mut u64, context: &mut Context<'_>) -> Poll<()> {
    while let Some(Ok(frame)) = ready!(body.as_mut().poll_frame(context)) {
        let length = frame.data_ref().map_or(0, |data| data.remaining() as u64);
        match left.checked_sub(length) {
            Some(rest) => *left = rest,
            None => break,
        }
    }
    Poll::Ready(())
}
