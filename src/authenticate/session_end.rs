//! Watches over a session for as long as what it was let in for goes on.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::state::AuthState;
use crate::caller::VerifiedToken;
use crate::clock::Moment;
use crate::rejection::Rejection;

/// Completes when a session has ended, as [`Authenticator::session_end`](crate::authenticate::Authenticator::session_end)
/// promises; dropping it stops the watching.
///
/// # Cancel safety
///
/// It may be polled from several sources in turn, as in a loop of `tokio::select!`: once complete, it stays so.
#[derive(Debug)]
#[must_use = "a session is watched over for as long as this is kept"]
pub struct SessionEnd {
    // A task of its own: that nobody reads the stream must not stop the clock.
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
        // Should the watching have died of a panic, nothing proves the session live: it counts as ended.
        let _ended = ready!(self.watch.poll_join_next(cx));
        Poll::Ready(())
    }
}

/// Half of `within` passes before the session is asked for again, the other half is what the answer may take.
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

/// When the session was asked for and found live; `None` when it was not. Faults of the store are waited out.
async fn proof(state: &AuthState, verified: &Arc<VerifiedToken>, pause: Duration) -> Option<Instant> {
    loop {
        let asked = Moment::now();
        if state.remembered_caller(verified.clone(), asked).is_ok() {
            return Some(asked.steady());
        }
        match state.live_caller(verified.clone()).await {
            Ok(_) => return Some(asked.steady()),
            Err(Rejection::Unavailable(_)) => tokio::time::sleep(pause).await,
            Err(_) => return None,
        }
    }
}

const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(24 * 3600);
