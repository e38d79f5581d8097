//! Whether a session is live, as fresh as [`Freshness`] promises: the one place that asks.

mod batches;
mod epochs;
mod lookups;
#[cfg(test)]
#[allow(clippy::duplicate_mod, reason = "it runs the others over loom's types")]
mod model;
mod sync;
mod watch;

pub use watch::WatchStatus;
pub(crate) use watch::{Fence, Slot};

use std::sync::Arc;
use std::time::Duration;

use crate::id::SessionId;
use crate::settings::BuildError;
use crate::store::{Revocation, SessionStatus, Store, StoreErrorKind};
use crate::token::Claims;
use lookups::Lookups;
use watch::Watch;

/// What "live" promises.
///
/// | mode | promise | cost |
/// |---|---|---|
/// | [`Strict`](Self::Strict) | after the revoke call returns, every node answers 401 to that session | a look-up a request; concurrent ones share queries |
/// | [`Watched`](Self::Watched) | every node does so at most `max_lag` after the call returned | no look-up for a session seen before |
///
/// Neither lets anyone in when it cannot keep its promise: Watched falls back to Strict while its watcher
/// cannot prove how fresh it is, and Strict answers 503 when the store does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Freshness {
    /// The verdict comes from a query that started after the request arrived: linearizable with revocation.
    #[default]
    Strict,
    /// A verdict is remembered until the session is revoked or expires; a watcher reads the revocation log.
    Watched {
        /// The most time between the acknowledgement of a revocation and the last request that is let in on
        /// it; 10 ms to 60 s. The watcher reads the log four times in it, and at once when the database says
        /// that something was revoked.
        max_lag: Duration,
    },
}

impl Freshness {
    /// [`Freshness::Watched`] with a `max_lag` of one second.
    #[must_use]
    pub const fn watched() -> Self {
        Self::Watched { max_lag: Duration::from_secs(1) }
    }

    pub(crate) fn check(&self) -> Result<(), BuildError> {
        let range = Duration::from_millis(10)..=Duration::from_secs(60);
        match self {
            Self::Watched { max_lag } if !range.contains(max_lag) => {
                Err(BuildError::OutOfRange { what: "max_lag", allowed: "10 ms to 60 s" })
            }
            _ => Ok(()),
        }
    }
}

/// Answers whether sessions are live.
#[derive(Debug)]
pub(crate) struct Liveness {
    lookups: Lookups,
    watch: Option<Watch>,
}

impl Liveness {
    pub(crate) fn new(store: Arc<dyn Store>, freshness: Freshness, deadline: Duration) -> Self {
        let watch = match freshness {
            Freshness::Strict => None,
            Freshness::Watched { max_lag } => Some(Watch::new(store.clone(), max_lag, deadline)),
        };
        Self { lookups: Lookups::new(store, deadline), watch }
    }

    /// Whether what `slot` remembers of a session proves that it is live now. No I/O, no lock.
    pub(crate) fn remembers(&self, slot: &Slot) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.vouches_for(slot))
    }

    /// A fence to put up before a look-up whose verdict may be remembered; `None` where none is.
    pub(crate) fn fence(&self, claims: &Claims) -> Option<Fence> {
        self.watch.as_ref().map(|watch| watch.fence(claims))
    }

    /// What the store knows of the session, `None` when it has no row.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves the shared query to those who wait with it.
    pub(crate) async fn look_up(&self, id: &SessionId) -> Result<Option<SessionStatus>, StoreErrorKind> {
        self.lookups.status(id).await
    }

    /// Forgets what was just revoked through this very bridge, sooner than the log tells.
    pub(crate) fn forget(&self, revocation: &Revocation) {
        if let Some(watch) = &self.watch {
            watch.forget(revocation);
        }
    }

    /// How the watcher fares, `None` without one.
    pub(crate) fn watch_status(&self) -> Option<WatchStatus> {
        self.watch.as_ref().map(Watch::status)
    }
}
