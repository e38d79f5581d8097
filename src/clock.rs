//! The time, from a clock that can be replaced: so tests of expiry need not sleep.

use std::fmt;
use std::sync::Arc;
#[cfg(feature = "testing")]
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Tells the time that tokens are signed with and judged by.
///
/// The database's own clock, not this one, decides whether a session or a code is live.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a clock",
    label = "give a type that implements `bridge_auth::clock::Clock`, and not a moment"
)]
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

/// The clock that the host named, or the operating system's.
#[derive(Debug, Clone, Default)]
pub(crate) struct HostClock(Option<Arc<dyn Clock>>);

impl HostClock {
    pub(crate) fn new(clock: impl Clock) -> Self {
        Self(Some(Arc::new(clock)))
    }

    /// The time, if the operating system's clock has just said `system`: so no clock is read twice for one request.
    pub(crate) fn at(&self, system: Duration) -> Duration {
        self.0.as_ref().map_or(system, |clock| clock.now())
    }
}

impl Clock for HostClock {
    fn now(&self) -> Duration {
        self.at(SystemClock.now())
    }
}

/// The clock of a test: it stands still until the test moves it. All clones show the same time.
#[cfg(feature = "testing")]
#[derive(Debug, Clone)]
pub(crate) struct TestClock(Arc<TestTime>);

/// In milliseconds.
#[cfg(feature = "testing")]
#[derive(Debug)]
struct TestTime {
    /// Since the Unix epoch.
    now: AtomicU64,
    /// How much later it is for the store.
    writing: AtomicU64,
}

#[cfg(feature = "testing")]
impl TestClock {
    /// A clock that shows the last full second. So a token expires a whole number of seconds later.
    pub(crate) fn start() -> Self {
        let now = SystemClock.now().as_secs() * 1000;
        Self(Arc::new(TestTime { now: AtomicU64::new(now), writing: AtomicU64::new(0) }))
    }

    /// Moves the time on, by whole milliseconds.
    pub(crate) fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        let later = |now: u64| Some(now.saturating_add(by));
        let _ = self.0.now.fetch_update(Ordering::SeqCst, Ordering::SeqCst, later);
    }

    /// The time for a transaction of the store, in milliseconds since the Unix epoch. Each write takes a millisecond:
    /// so what was written later has a later time.
    pub(crate) fn of_transaction(&self, writes: bool) -> u64 {
        let writing = self.0.writing.fetch_add(u64::from(writes), Ordering::SeqCst);
        self.0.now.load(Ordering::SeqCst).saturating_add(writing)
    }
}

#[cfg(feature = "testing")]
impl Clock for TestClock {
    fn now(&self) -> Duration {
        Duration::from_millis(self.0.now.load(Ordering::SeqCst))
    }
}

/// The time from the Unix epoch to `time`; zero for an earlier time.
pub(crate) fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// One moment by two clocks. The steady clock stands still while the machine sleeps. The wall clock may be set back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    steady: Instant,
    /// Since the Unix epoch.
    wall: Duration,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self::at(Instant::now(), SystemTime::now())
    }

    pub(crate) fn at(steady: Instant, wall: SystemTime) -> Self {
        Self { steady, wall: since_epoch(wall) }
    }

    /// `None` when a clock cannot represent the result.
    pub(crate) fn checked_add(self, duration: Duration) -> Option<Self> {
        Some(Self { steady: self.steady.checked_add(duration)?, wall: self.wall.checked_add(duration)? })
    }

    /// The earlier moment, by each clock.
    pub(crate) fn earlier(self, other: Self) -> Self {
        Self { steady: self.steady.min(other.steady), wall: self.wall.min(other.wall) }
    }

    pub(crate) const fn steady(self) -> Instant {
        self.steady
    }

    /// The time since the Unix epoch.
    pub(crate) const fn wall(self) -> Duration {
        self.wall
    }

    /// The time since `earlier`, by the clock that shows more.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        let wall = self.wall.saturating_sub(earlier.wall);
        self.steady.saturating_duration_since(earlier.steady).max(wall)
    }
}
