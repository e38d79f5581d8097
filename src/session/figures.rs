//! How freshness fares: counted where it happens, told by [`WatchStatus`] and by metrics.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::store::{PoolStatus, Replication, StoreErrorKind};
use crate::telemetry::{count, record};

/// How the freshness of a bridge fares, for health pages.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WatchStatus {
    /// Whether the proof is young enough to be used now. [Watched](crate::Freshness::Watched): remembered verdicts are used; when
    /// not, every request asks the store. [Strict](crate::Freshness::Strict): a look-up needs to wait for no tick; an idle
    /// bridge makes none.
    pub proven: bool,
    /// The age of the proof: how long ago the last reading of the revocation log that counts, and the last acknowledged
    /// [tick](crate::store::Store::tick), had both begun. Strict: the tick alone. `None` before the first.
    pub age: Option<Duration>,
    /// How many ticks and readings have failed since the start.
    pub faults: u64,
    /// Why the last one failed; `None` once one has succeeded again.
    pub last_fault: Option<StoreErrorKind>,
    /// What is promised when another server takes over; `None` before the first tick.
    pub replication: Option<Replication>,
    /// How long the last shared look-up took, the wait for a tick included; `None` before the first.
    pub look_up_time: Option<Duration>,
    /// How many sessions it asked for.
    pub batch_size: usize,
    /// How the store's pool fares, where it has one to tell of.
    pub pool: Option<PoolStatus>,
    /// How many requests the layer could not judge, and the endpoints could not answer, since the start, by cause: each
    /// was a 503 because of the store.
    pub unavailable: Vec<(StoreErrorKind, u64)>,
}

/// What is counted.
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

    /// A request was not judged, or not answered.
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
