//! Figures about freshness. They are counted here; [`WatchStatus`] and the metrics show them.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::store::{PoolStatus, Replication, StoreErrorKind};
use crate::telemetry::{count, record};

/// How well a bridge keeps its promise of freshness, for health pages.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WatchStatus {
    /// Whether the proof is young enough to be used now.
    ///
    /// [Watched](crate::Freshness::Watched): `true` means that cached verdicts are used; `false` means that every
    /// request asks the store. [Strict](crate::Freshness::Strict): `true` means that a look-up need not wait for a
    /// tick. An idle strict bridge makes no ticks.
    pub proven: bool,
    /// How old the proof is; `None` before the first proof.
    ///
    /// Watched: the time since both the last reading of the revocation log that counts and the last acknowledged
    /// [tick](crate::store::Store::tick) had begun. Strict: the time since the tick began.
    pub age: Option<Duration>,
    /// How many ticks and readings have failed since the start.
    pub faults: u64,
    /// Why the last tick or reading failed; `None` once one has succeeded again.
    pub last_fault: Option<StoreErrorKind>,
    /// What is promised when another server takes over; `None` before the first tick.
    pub replication: Option<Replication>,
    /// How long the last shared look-up took, with the wait for a tick; `None` before the first look-up.
    pub look_up_time: Option<Duration>,
    /// How many sessions the last shared look-up asked for.
    pub batch_size: usize,
    /// The connections of the store's pool; `None` when the store has no pool to report.
    pub pool: Option<PoolStatus>,
    /// How many requests were answered 503 because of the store, by cause, since the start: the layer could not judge
    /// them, or an endpoint could not answer them.
    pub unavailable: Vec<(StoreErrorKind, u64)>,
}

/// The counters.
#[derive(Debug, Default)]
pub(super) struct Figures {
    look_up_nanoseconds: AtomicU64,
    batch: AtomicUsize,
    unavailable: [AtomicU64; StoreErrorKind::ALL.len()],
}

impl Figures {
    pub(super) fn looked_up(&self, sessions: usize, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.look_up_nanoseconds.store(nanoseconds.max(1), Ordering::Relaxed);
        self.batch.store(sessions, Ordering::Relaxed);
        record("bridge_auth_look_up_seconds", took.as_secs_f64());
        record("bridge_auth_look_up_batch_size", sessions as f64);
    }

    /// Counts a request that was not judged, or not answered, because of the store.
    pub(super) fn unavailable(&self, cause: StoreErrorKind) {
        count("bridge_auth_unavailable_total", cause.as_str());
        for (kind, count) in StoreErrorKind::ALL.iter().zip(&self.unavailable) {
            if *kind == cause {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn look_up_time(&self) -> Option<Duration> {
        let nanoseconds = self.look_up_nanoseconds.load(Ordering::Relaxed);
        (nanoseconds > 0).then(|| Duration::from_nanos(nanoseconds))
    }

    pub(super) fn batch_size(&self) -> usize {
        self.batch.load(Ordering::Relaxed)
    }

    pub(super) fn by_cause(&self) -> Vec<(StoreErrorKind, u64)> {
        let counts = self.unavailable.iter().map(|count| count.load(Ordering::Relaxed));
        StoreErrorKind::ALL.into_iter().zip(counts).filter(|(_, count)| *count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_show_the_last_look_up_and_count_failures_by_cause() {
        let figures = Figures::default();
        assert_eq!((figures.look_up_time(), figures.batch_size()), (None, 0));
        assert!(figures.by_cause().is_empty());
        figures.looked_up(3, Duration::from_millis(2));
        assert_eq!((figures.look_up_time(), figures.batch_size()), (Some(Duration::from_millis(2)), 3));
        let (full, late) = (StoreErrorKind::Full, StoreErrorKind::TimedOut);
        [full, late, full].into_iter().for_each(|cause| figures.unavailable(cause));
        let counted = figures.by_cause();
        assert!(
            counted.len() == 2 && counted.contains(&(full, 2)) && counted.contains(&(late, 1)),
            "{counted:?}"
        );
    }
}
