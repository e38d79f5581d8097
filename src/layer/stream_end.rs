//! What ends a response that streams before its handler does.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::authenticate::{SessionEnd, TokenEnd};

/// When streams end, and how. Default: a response that has begun is not cut.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct StreamSettings {
    /// How soon they end after their session.
    pub(super) session_within: Option<Duration>,
    /// Whether they end when the token expires.
    pub(super) with_token: bool,
    /// Whether the client sees an error, and not a clean end.
    pub(super) with_error: bool,
}

/// Why a response ended before its handler had no more to say.
///
/// It is the error of the [body](super::ResponseBody) where
/// [`end_streams_with_error`](crate::BridgeAuthLayer::end_streams_with_error) is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamEnded {
    /// The session has ended, or nothing has proved it live for too long.
    #[error("it is no longer proven that the session of this stream is live")]
    Session,
    /// The access token has expired.
    #[error("the access token of this stream has expired")]
    Token,
}

/// Completes when the response must end.
#[derive(Debug)]
pub(super) struct StreamEnd {
    pub(super) session: Option<SessionEnd>,
    pub(super) token: Option<TokenEnd>,
    pub(super) with_error: bool,
}

impl StreamEnd {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<StreamEnded> {
        if let Some(session) = &mut self.session
            && Pin::new(session).poll(cx).is_ready()
        {
            return Poll::Ready(StreamEnded::Session);
        }
        match &mut self.token {
            Some(token) => Pin::new(token).poll(cx).map(|()| StreamEnded::Token),
            None => Poll::Pending,
        }
    }
}
