//! Waits for the expiry of a token, for as long as a response or a connection goes on.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use super::state::AuthState;

/// Completes when a token has expired, as
/// [`Authenticator::token_end`](crate::authenticate::Authenticator::token_end) promises.
///
/// # Cancel safety
///
/// Several places may poll it in turn, as in a loop of `tokio::select!`.
#[derive(Debug)]
#[must_use = "a future does nothing unless it is polled"]
pub struct TokenEnd {
    state: Arc<AuthState>,
    /// Since the Unix epoch.
    expires_at: Duration,
    timer: Pin<Box<Sleep>>,
}

impl TokenEnd {
    /// `expires_at` is in seconds since the Unix epoch.
    pub(super) fn new(state: Arc<AuthState>, expires_at: u64) -> Self {
        let expires_at = Duration::from_secs(expires_at);
        let timer = Box::pin(sleep(nap(&state, expires_at)));
        Self { state, expires_at, timer }
    }
}

impl Future for TokenEnd {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let nap = nap(&self.state, self.expires_at);
            if nap.is_zero() {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(Instant::now() + nap);
        }
    }
}

/// The time until the expiry, or until the clocks are compared again.
fn nap(state: &AuthState, expires_at: Duration) -> Duration {
    expires_at.saturating_sub(state.verifier.now()).min(LONGEST_NAP)
}

/// The wall clock may be set, and it goes on while the machine sleeps. The timer does neither.
const LONGEST_NAP: Duration = Duration::from_secs(10);
