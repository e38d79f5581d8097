//! The time, as a thing that can be given: expiry is tested without sleeping.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Tells the time that tokens are signed with and judged by.
///
/// Whether a session or a code is live is judged by the database's own clock, not by this one.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time since the Unix epoch.
    fn now(&self) -> Duration;
}

/// The operating system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        since_epoch(SystemTime::now())
    }
}

/// The clock that the host named, or else the operating system's.
#[derive(Debug, Clone, Default)]
pub(crate) struct HostClock(Option<Arc<dyn Clock>>);

impl HostClock {
    pub(crate) fn new(clock: impl Clock) -> Self {
        Self(Some(Arc::new(clock)))
    }

    /// The time, when the operating system's clock has just said `system`: no clock is read twice for one request.
    pub(crate) fn at(&self, system: Duration) -> Duration {
        self.0.as_ref().map_or(system, |clock| clock.now())
    }
}

impl Clock for HostClock {
    fn now(&self) -> Duration {
        self.at(SystemClock.now())
    }
}

/// The time from the Unix epoch to `time`; zero for an earlier one.
pub(crate) fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}
