//! Waits for the end of a session, for as long as a response or a connection goes on.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::state::AuthState;
use crate::caller::VerifiedToken;
use crate::clock::Moment;
use crate::rejection::{Refusal, Rejection};

/// Completes when a session has ended, as
/// [`Authenticator::session_end`](crate::authenticate::Authenticator::session_end) promises.
///
/// Dropping it stops the watching.
///
/// # Cancel safety
///
/// Several places may poll it in turn, as in a loop of `tokio::select!`. Once complete, it stays complete.
#[derive(Debug)]
#[must_use = "the session is watched only while this value is kept"]
pub struct SessionEnd {
    // A task of its own: the clock must not stop when nobody reads the stream.
    watch: JoinSet<()>,
}

impl SessionEnd {
    pub(super) fn new(state: Arc<AuthState>, verified: Arc<VerifiedToken>, within: Duration) -> Self {
        let mut watch = JoinSet::new();
        watch.spawn(watch_over(state, verified, within.clamp(SHORTEST, LONGEST)));
        Self { watch }
    }
}

impl Future for SessionEnd {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // When the task has panicked, nothing proves that the session is live. So the session counts as ended.
        let _ended = ready!(self.watch.poll_join_next(cx));
        Poll::Ready(())
    }
}

/// Waits half of `within` before it asks for the session again. The answer may take the other half.
async fn watch_over(state: Arc<AuthState>, verified: Arc<VerifiedToken>, within: Duration) {
    let mut proven = Instant::now();
    loop {
        tokio::time::sleep_until((proven + within / 2).into()).await;
        match tokio::time::timeout(within / 2, proof(&state, &verified, within / 8)).await {
            Ok(Some(later)) => proven = later,
            Ok(None) | Err(_) => return,
        }
    }
}

/// The moment at which a question was asked that found the session live. `None`: the session has ended.
///
/// After a fault of the store it asks again.
async fn proof(state: &AuthState, verified: &Arc<VerifiedToken>, pause: Duration) -> Option<Instant> {
    loop {
        let asked = Moment::now();
        if state.remembered_caller(verified.clone(), asked).is_ok() {
            return Some(asked.steady());
        }
        match state.live_caller(verified.clone()).await {
            Ok(_) => return Some(asked.steady()),
            Err(Refusal { rejection: Rejection::Unavailable(_), .. }) => tokio::time::sleep(pause).await,
            Err(_) => return None,
        }
    }
}

const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(24 * 3600);
