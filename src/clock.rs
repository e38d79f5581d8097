//! The time, as a thing that can be given: expiry is tested without sleeping.

use std::fmt;
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

/// The time from the Unix epoch to `time`; zero for an earlier one.
pub(crate) fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}
