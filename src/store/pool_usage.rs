//! How many connections are lent, and how long operations waited for one: for health pages and metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::telemetry::{gauge_by, record};

const OUT: &str = "bridge_auth_pool_connections_out";

/// The use of one pool.
#[derive(Debug, Default)]
pub(super) struct PoolUsage {
    out: AtomicUsize,
    /// How long the last operation waited, in nanoseconds.
    last_wait: AtomicU64,
}

/// A lent connection. It is lent until this is dropped.
#[derive(Debug)]
pub(super) struct Lent(Arc<PoolUsage>);

impl PoolUsage {
    /// Records how long an operation waited for a connection, whether it got one or not.
    pub(super) fn waited(&self, waited: Duration) {
        self.last_wait.store(u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        record("bridge_auth_pool_wait_seconds", waited.as_secs_f64());
    }

    pub(super) fn lend(self: &Arc<Self>) -> Lent {
        self.out.fetch_add(1, Ordering::Relaxed);
        gauge_by(OUT, 1.0);
        Lent(self.clone())
    }

    pub(super) fn out(&self) -> usize {
        self.out.load(Ordering::Relaxed)
    }

    pub(super) fn last_wait(&self) -> Duration {
        Duration::from_nanos(self.last_wait.load(Ordering::Relaxed))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.0.out.fetch_sub(1, Ordering::Relaxed);
        gauge_by(OUT, -1.0);
    }
}
