//! Whether a session is live, as fresh as [`Freshness`] promises: the one place that asks.

mod batches;
mod cached_verdict;
mod figures;
mod freshness;
mod lookups;
mod matched_row;
#[cfg(test)]
#[allow(clippy::duplicate_mod, reason = "it runs the others over loom's types")]
mod model;
mod revocation_fence;
mod sync;
mod ticks;
mod watch;

pub(crate) use cached_verdict::{CachedVerdict, FenceReading};
pub use figures::WatchStatus;
pub use freshness::Freshness;
pub(crate) use freshness::FreshnessSettings;
pub(crate) use lookups::Row;
pub(crate) use matched_row::MatchedRow;

use std::sync::Arc;
use std::time::Duration;

use crate::background::Background;
use crate::clock::Moment;
use crate::id::SessionId;
use crate::store::{Revocation, RowMark, SessionKey, SessionStatus, Store, StoreErrorKind};
use crate::telemetry::gauge_at;
use crate::token::Claims;
use figures::Figures;
use lookups::Lookups;
use ticks::Ticks;
use watch::Watch;

/// Answers whether sessions are live.
#[derive(Debug)]
pub(crate) struct Liveness {
    store: Arc<dyn Store>,
    lookups: Lookups,
    proofs: Arc<Proofs>,
    /// How old a tick may be that an answer shows; nothing where that does not count.
    max_proof_age: Option<Duration>,
    figures: Arc<Figures>,
    /// Tells the age of the proof, which grows while nobody asks, too.
    teller: Background,
}

/// By what an answer is known to be fresh.
#[derive(Debug)]
struct Proofs {
    watch: Option<Watch>,
    ticks: Arc<Ticks>,
}

impl Liveness {
    /// How old a tick may be for whoever asks whether all is well.
    const CHECKED: Duration = Duration::from_millis(20);

    pub(crate) fn new(store: Arc<dyn Store>, freshness: FreshnessSettings, deadline: Duration) -> Self {
        let ticks = Arc::new(Ticks::new(store.clone(), deadline));
        let figures = Arc::new(Figures::default());
        let max_proof_age = freshness.max_proof_age;
        let (watch, max_proof_age) = match freshness.mode {
            Freshness::Strict => (None, max_proof_age),
            // What is looked up is remembered no better than it was found.
            Freshness::Watched { max_lag } => {
                let watch =
                    Watch::new(store.clone(), max_lag, deadline, ticks.clone(), max_proof_age.is_some());
                (Some(watch), max_proof_age.map(|age| age.min(max_lag)))
            }
        };
        let lookups = Lookups::new(store.clone(), deadline, ticks.clone(), max_proof_age, figures.clone());
        let proofs = Arc::new(Proofs { watch, ticks });
        Self { store, lookups, proofs, max_proof_age, figures, teller: Background::default() }
    }

    /// Whether what `slot` remembers of a session proves that it is live `now`. No I/O, no lock.
    #[inline]
    pub(crate) fn remembers(&self, slot: &CachedVerdict, now: Moment) -> bool {
        self.proofs.watch.as_ref().is_some_and(|watch| watch.vouches_for(slot, now))
    }

    /// Keeps in `slot` that the session was live when `fence` stood, and expires `expires_in` later.
    pub(crate) fn remember(&self, slot: &CachedVerdict, fence: &FenceReading, expires_in: Duration) {
        if let Some(watch) = &self.proofs.watch {
            watch.remember(slot, fence, expires_in);
        }
    }

    /// A fence to put up before a look-up whose verdict may be remembered; `None` where none is.
    pub(crate) fn fence(&self, claims: &Claims) -> Option<FenceReading> {
        self.proofs.watch.as_ref().map(|watch| watch.fence(claims))
    }

    /// What the store says of the session, `None` when it has no row. Of the row that was `seen` before it says no more than
    /// whether that is live.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves the shared query to those who wait with it.
    pub(crate) async fn look_up(
        &self,
        session: &SessionKey,
        seen: Option<RowMark>,
    ) -> Result<Option<Row>, StoreErrorKind> {
        self.tell();
        self.lookups.row(session, seen).await
    }

    /// All that the store knows of the session, as of [`look_up`](Self::look_up).
    pub(crate) async fn status(&self, session: SessionId) -> Result<Option<SessionStatus>, StoreErrorKind> {
        self.tell();
        self.lookups.status(&SessionKey::of(session)).await
    }

    fn tell(&self) {
        if cfg!(feature = "metrics") {
            self.teller.ensure(|| tell_age(self.proofs.clone()));
        }
    }

    /// The store kept a request from being judged, or answered.
    pub(crate) fn unavailable(&self, cause: StoreErrorKind) {
        self.figures.unavailable(cause);
    }

    /// Forgets what was just revoked through this very bridge, sooner than the log tells.
    pub(crate) fn forget(&self, revocation: &Revocation) {
        if let Some(watch) = &self.proofs.watch {
            watch.forget(revocation);
        }
    }

    /// Whether a request could be judged now: by a look-up of a session that nobody has.
    pub(crate) async fn check(&self) -> Result<(), StoreErrorKind> {
        if self.max_proof_age.is_some() {
            // A new one: it finds out whether the disk is full, too. However many ask, they share it.
            self.proofs.ticks.ensure(Self::CHECKED, Moment::now()).await?;
        }
        self.lookups.status(&SessionKey::of(SessionId::random())).await.map(drop)
    }

    /// How it fares.
    pub(crate) fn watch_status(&self) -> WatchStatus {
        let Proofs { watch, ticks } = &*self.proofs;
        let (tick_faults, tick_fault) = ticks.faults();
        let age = self.proofs.age();
        let (proven, faults, last_fault) = match watch {
            Some(watch) => watch.health(),
            None => (self.max_proof_age.is_none_or(|most| age.is_some_and(|age| age < most)), 0, None),
        };
        WatchStatus {
            proven,
            age,
            faults: faults + tick_faults,
            last_fault: last_fault.or(tick_fault),
            replication: ticks.replication(),
            look_up_time: self.figures.look_up_time(),
            batch_size: self.figures.batch_size(),
            pool: self.store.pool_status(),
            unavailable: self.figures.by_cause(),
        }
    }
}

impl Proofs {
    /// How old the proof is that counts.
    fn age(&self) -> Option<Duration> {
        match &self.watch {
            Some(watch) => watch.age(),
            None => self.ticks.newest().map(|began| Moment::now().since(began)),
        }
    }
}

/// Tells the age of the proof again and again.
async fn tell_age(proofs: Arc<Proofs>) {
    loop {
        if let Some(age) = proofs.age() {
            gauge_at("bridge_auth_proof_age_seconds", age.as_secs_f64());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
