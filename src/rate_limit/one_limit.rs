//! A limit that all callers share.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::MonotonicClock;

use super::limiter::Limiter;

/// A limit that all callers share.
pub(crate) struct OneLimit(Limiter<MonotonicClock>);

impl OneLimit {
    const KEY: u64 = 0;

    pub(crate) fn per_minute(attempts: NonZeroU32) -> Self {
        Self(Limiter::new(attempts, 1, MonotonicClock))
    }

    /// Takes one attempt, or returns how long to wait for it.
    pub(crate) fn spend(&self) -> Result<(), Duration> {
        self.0.spend(Self::KEY)
    }

    /// Gives back an attempt that was taken.
    pub(crate) fn give_back(&self) {
        self.0.give_back(Self::KEY);
    }
}

impl fmt::Debug for OneLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OneLimit")
    }
}
