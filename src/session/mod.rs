//! Whether a session is live, as fresh as [`Freshness`] promises. Only this module asks the store for that.

mod batches;
mod cached_verdict;
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
mod watch_status;

pub(crate) use cached_verdict::{CachedVerdict, FenceReading};
pub use freshness::Freshness;
pub(crate) use freshness::FreshnessSettings;
pub(crate) use lookups::Row;
pub(crate) use matched_row::MatchedRow;
pub use watch_status::WatchStatus;

use std::sync::Arc;
use std::time::Duration;

use crate::background_task::Background;
use crate::clock::Moment;
use crate::id::SessionId;
use crate::store::{Revocation, RowMark, SessionKey, SessionStatus, Store, StoreErrorKind};
use crate::telemetry::{MEASURES, gauge_at};
use crate::token::Claims;
use lookups::Lookups;
use ticks::Ticks;
use watch::Watch;
use watch_status::Figures;

/// Answers whether sessions are live.
#[derive(Debug)]
pub(crate) struct Liveness {
    store: Arc<dyn Store>,
    lookups: Lookups,
    proofs: Arc<Proofs>,
    /// How old the tick may be that an answer shows; `None` when no tick is asked for.
    max_proof_age: Option<Duration>,
    figures: Arc<Figures>,
    /// Reports the age of the proof as a metric, also while no request comes.
    age_reporter: Background,
}

/// What proves that an answer is fresh.
#[derive(Debug)]
struct Proofs {
    watch: Option<Watch>,
    ticks: Arc<Ticks>,
}

impl Liveness {
    /// How old a tick may be for [`check`](Self::check).
    const CHECKED: Duration = Duration::from_millis(20);

    pub(crate) fn new(store: Arc<dyn Store>, freshness: FreshnessSettings, deadline: Duration) -> Self {
        let ticks = Arc::new(Ticks::new(store.clone(), deadline));
        let figures = Arc::new(Figures::default());
        let max_proof_age = freshness.max_proof_age;
        let (watch, max_proof_age) = match freshness.mode {
            Freshness::Strict => (None, max_proof_age),
            // A look-up whose verdict is cached needs a proof no older than `max_lag`.
            Freshness::Watched { max_lag } => {
                let watch =
                    Watch::new(store.clone(), max_lag, deadline, ticks.clone(), max_proof_age.is_some());
                (Some(watch), max_proof_age.map(|age| age.min(max_lag)))
            }
        };
        let lookups = Lookups::new(store.clone(), deadline, ticks.clone(), max_proof_age, figures.clone());
        let proofs = Arc::new(Proofs { watch, ticks });
        Self { store, lookups, proofs, max_proof_age, figures, age_reporter: Background::default() }
    }

    /// Whether the verdict in `cached` proves that its session is live at `now`. No I/O, no lock.
    #[inline]
    pub(crate) fn remembers(&self, cached: &CachedVerdict, now: Moment) -> bool {
        self.proofs.watch.as_ref().is_some_and(|watch| watch.vouches_for(cached, now))
    }

    /// Stores in `cached` that the session was live at `reading`, and that it expires `expires_in` after it.
    pub(crate) fn remember(&self, cached: &CachedVerdict, reading: &FenceReading, expires_in: Duration) {
        if let Some(watch) = &self.proofs.watch {
            watch.remember(cached, reading, expires_in);
        }
    }

    /// Reads the fence before a look-up whose verdict may be cached; `None` when verdicts are not cached.
    pub(crate) fn fence(&self, claims: &Claims) -> Option<FenceReading> {
        self.proofs.watch.as_ref().map(|watch| watch.fence(claims))
    }

    /// What the store says about the session; `None` when it has no row. If the row is the one that was `seen` before,
    /// the answer only says whether it is live.
    ///
    /// # Cancel safety
    ///
    /// A dropped future does not stop the shared query: the other requests still get its answer.
    pub(crate) async fn look_up(
        &self,
        session: &SessionKey,
        seen: Option<RowMark>,
    ) -> Result<Option<Row>, StoreErrorKind> {
        self.ensure_age_is_reported();
        self.lookups.row(session, seen).await
    }

    /// All that the store knows about the session, otherwise as [`look_up`](Self::look_up).
    pub(crate) async fn status(&self, session: SessionId) -> Result<Option<SessionStatus>, StoreErrorKind> {
        self.ensure_age_is_reported();
        self.lookups.status(&SessionKey::of(session)).await
    }

    fn ensure_age_is_reported(&self) {
        if MEASURES {
            self.age_reporter.ensure(|| report(self.proofs.clone(), self.store.clone()));
        }
    }

    /// Counts a request that was not judged, or not answered, because of the store.
    pub(crate) fn unavailable(&self, cause: StoreErrorKind) {
        self.figures.unavailable(cause);
    }

    /// Forgets the verdicts of what was just revoked through this bridge, before the log says so.
    pub(crate) fn forget(&self, revocation: &Revocation) {
        if let Some(watch) = &self.proofs.watch {
            watch.forget(revocation);
        }
    }

    /// Forgets every verdict.
    pub(crate) fn forget_all(&self) {
        if let Some(watch) = &self.proofs.watch {
            watch.forget_all();
        }
    }

    /// Whether verdicts are cached. If not, there is nothing to forget.
    pub(crate) fn caches_verdicts(&self) -> bool {
        self.proofs.watch.is_some()
    }

    /// Whether a request could be judged now. It looks up a session that does not exist.
    pub(crate) async fn check(&self) -> Result<(), StoreErrorKind> {
        if self.max_proof_age.is_some() {
            // A new tick also finds out whether the disk is full. Calls at the same time share one tick.
            self.proofs.ticks.ensure(Self::CHECKED, Moment::now()).await?;
        }
        self.lookups.status(&SessionKey::of(SessionId::random())).await.map(drop)
    }

    /// How well this bridge keeps its promise of freshness.
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

/// Reports the age of the proof, and the size of the pool, every second.
async fn report(proofs: Arc<Proofs>, store: Arc<dyn Store>) {
    loop {
        if let Some(age) = proofs.age() {
            gauge_at("bridge_auth_proof_age_seconds", age.as_secs_f64());
        }
        if let Some(pool) = store.pool_status() {
            gauge_at("bridge_auth_pool_connections", pool.size as f64);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
