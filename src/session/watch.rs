//! Watched freshness: cached verdicts, and the watcher that makes them invalid in time.
//!
//! A verdict is cached with the *epochs* of its session, its user and its client, which are read **before** its query
//! starts. The watcher reads the revocation log and moves on the epochs of what was revoked. A verdict is good only
//! while both hold:
//!
//! - Its epochs are still the current ones. So a verdict whose query ran at the same time as a revocation is never
//!   good. This is the revocation fence.
//! - The last successful reading, and the newest acknowledged tick that it showed, both *started* less than `max_lag`
//!   ago. Every revocation that any server acknowledged before that has moved its epoch.
//!
//! Two clocks measure that time, and whether the session has expired since: one clock stands still while the machine
//! sleeps.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::cached_verdict::{CachedVerdict, FenceReading};
use super::revocation_fence::RevocationFence;
use super::ticks::Ticks;
use crate::background_task::Background;
use crate::clock::Moment;
use crate::store::{
    Revocation, RevocationCursor, RevocationPage, Store, StoreError, StoreErrorKind, log_fault,
    within_deadline,
};
use crate::token::Claims;

/// Watches the revocation log until it is dropped.
pub(super) struct Watch {
    watched: Arc<Watched>,
    log: Log,
    task: Background,
}

/// What the watcher and the requests share.
struct Watched {
    fence: RevocationFence,
    max_lag: Duration,
    deadline: Duration,
    health: Mutex<Health>,
}

/// Where revocations are read, and the ticks that tell the age of a reading.
#[derive(Clone)]
struct Log {
    store: Arc<dyn Store>,
    ticks: Arc<Ticks>,
    /// Whether a reading counts only with a tick. Ticks are made in any case: they tell from where to read the log.
    needs_tick: bool,
}

#[derive(Default)]
struct Health {
    /// When the last reading started that succeeded.
    last_success: Option<Moment>,
    /// When that reading started, or its tick, whichever was earlier: all that was revoked before then is known.
    proven_at: Option<Moment>,
    faults: u64,
    consecutive_faults: u32,
    last_fault: Option<StoreErrorKind>,
}

impl Watch {
    /// With `needs_tick` a reading counts only with an acknowledged tick. Without it any reading counts.
    pub(super) fn new(
        store: Arc<dyn Store>,
        max_lag: Duration,
        deadline: Duration,
        ticks: Arc<Ticks>,
        needs_tick: bool,
    ) -> Self {
        let watched = Watched { fence: RevocationFence::new(), max_lag, deadline, health: Mutex::default() };
        Self {
            watched: Arc::new(watched),
            log: Log { store, ticks, needs_tick },
            task: Background::default(),
        }
    }

    /// Whether the verdict in `cached` is proven fresh and not revoked.
    pub(super) fn vouches_for(&self, cached: &CachedVerdict, now: Moment) -> bool {
        cached.is_good(&self.watched.fence, now)
    }

    /// Stores in `cached` that the session was live at `reading`, and that it expires `expires_in` after it.
    pub(super) fn remember(&self, cached: &CachedVerdict, reading: &FenceReading, expires_in: Duration) {
        cached.remember(&self.watched.fence, reading, expires_in);
    }

    /// Reads the epochs of a token's session, user and client, before a query. Starts the watcher when it does not run.
    pub(super) fn fence(&self, claims: &Claims) -> FenceReading {
        self.task.ensure(|| watch_log(self.watched.clone(), self.log.clone()));
        let started = Moment::now();
        FenceReading {
            mark: self.watched.fence.mark(claims.session(), claims.user(), claims.client()),
            started,
        }
    }

    pub(super) fn forget(&self, revocation: &Revocation) {
        self.watched.fence.move_on(revocation);
    }

    /// Forgets every verdict.
    pub(super) fn forget_all(&self) {
        self.watched.fence.move_all_on();
    }

    /// Whether cached verdicts are good now, how many readings have failed, and why the last reading failed, if it did.
    pub(super) fn health(&self) -> (bool, u64, Option<StoreErrorKind>) {
        let health = self.watched.health();
        (self.watched.fence.are_proven_at(Moment::now()), health.faults, health.last_fault)
    }

    /// How old the proof is that counts.
    pub(super) fn age(&self) -> Option<Duration> {
        self.watched.health().proven_at.map(|began| Moment::now().since(began))
    }
}

impl Watched {
    /// How many entries of the log are read at once. When there are more, every verdict is forgotten instead.
    const PAGE: u32 = 10_000;
    /// The least time between the starts of two readings, however many hints the database sends: after a success, and
    /// after a fault.
    const MIN_PAUSES: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(50)];
    /// The most time between two attempts while the store cannot be reached.
    const MAX_PAUSE: Duration = Duration::from_secs(5);
    /// After a pause this long, entries after the cursor may have been swept from the log.
    const LOG_IS_KEPT: Duration = Duration::from_secs(12 * 3600);

    fn health(&self) -> std::sync::MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a page that was read from `started` on. The page shows all that was revoked before `proven_at`.
    fn apply(&self, page: &RevocationPage, started: Moment, proven_at: Moment) {
        let mut health = self.health();
        let gap = health.last_success.map_or(Duration::ZERO, |last| started.since(last));
        let revoked = page.entries.as_deref().filter(|_| gap < Self::LOG_IS_KEPT);
        self.fence.take_in(revoked, proven_at, self.max_lag);
        health.last_success = Some(started);
        health.proven_at = Some(proven_at);
        health.consecutive_faults = 0;
        health.last_fault = None;
    }

    fn fail(&self, fault: &StoreError) {
        let mut health = self.health();
        health.faults += 1;
        health.consecutive_faults += 1;
        health.last_fault = Some(fault.kind());
        drop(health);
        crate::telemetry::count("bridge_auth_watch_faults_total", fault.kind().as_str());
        log_fault(fault, "the revocation log could not be read");
    }

    /// How long to wait before the next reading: a quarter of `max_lag`. After faults it is longer, with jitter.
    fn pause(&self) -> Duration {
        let faults = self.health().consecutive_faults;
        let pause = self.max_lag / 4;
        if faults == 0 {
            return pause;
        }
        let longer = pause.saturating_mul(1 << faults.min(10)).min(Self::MAX_PAUSE.max(pause));
        longer.mul_f64(rand::random_range(0.5..1.0))
    }

    fn min_pause(&self) -> Duration {
        let [usual, after_fault] = Self::MIN_PAUSES;
        if self.health().consecutive_faults == 0 { usual } else { after_fault }
    }
}

/// Reads the log again and again. A hint from the database only makes the next reading come earlier.
async fn watch_log(watched: Arc<Watched>, log: Log) {
    let mut cursor = RevocationCursor::default();
    let mut hints = log.store.revocation_hints();
    loop {
        let mut started = Moment::now();
        let mut read = log.read(&watched, &cursor, watched.max_lag / 4).await;
        if read.as_ref().is_err_and(|fault| fault.kind() == StoreErrorKind::Unproven) {
            // The connection that makes ticks may have been replaced since the last tick.
            started = Moment::now();
            read = log.read(&watched, &cursor, Duration::ZERO).await;
        }
        match read {
            Ok((proven_at, page)) => {
                cursor = page.next;
                watched.apply(&page, started, proven_at);
            }
            // Nothing was taken in: the next reading begins at the same cursor.
            Err(fault) => watched.fail(&fault),
        }
        wait(watched.pause(), &mut hints).await;
        tokio::time::sleep_until((started.steady() + watched.min_pause()).into()).await;
    }
}

impl Log {
    /// The entries since `cursor`, and the moment up to which they show every revocation.
    ///
    /// It first asks for a tick no older than `max_age`, and waits for it for at most a quarter of `max_lag`.
    async fn read(
        &self,
        watched: &Watched,
        cursor: &RevocationCursor,
        max_age: Duration,
    ) -> Result<(Moment, RevocationPage), StoreError> {
        let ticked = self.ticks.ensure(max_age, Moment::now());
        // Without the tick the reading still counts, by whatever tick it shows.
        let _ = tokio::time::timeout(watched.max_lag / 4, ticked).await;
        let started = Moment::now();
        let reading = self.store.revocations_since(cursor, Watched::PAGE);
        let page = within_deadline(watched.deadline, reading).await?;
        Ok((self.proven_at(&page, started)?, page))
    }

    /// The moment up to which a reading that began at `started` shows every revocation.
    fn proven_at(&self, page: &RevocationPage, started: Moment) -> Result<Moment, StoreError> {
        if !self.needs_tick {
            return Ok(started);
        }
        let began = self.ticks.began(page.tick).ok_or_else(|| {
            StoreError::new(StoreErrorKind::Unproven, "the server does not show the newest tick")
        })?;
        Ok(began.earlier(started))
    }
}

/// Waits for `pause`, or less when a hint comes.
async fn wait(pause: Duration, hints: &mut Option<watch::Receiver<()>>) {
    let hinted = async {
        match hints {
            Some(receiver) => receiver.changed().await.is_ok(),
            None => std::future::pending().await,
        }
    };
    // A closed channel would give hints without end.
    if let Ok(false) = tokio::time::timeout(pause, hinted).await {
        *hints = None;
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("age", &self.age()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Instant, SystemTime};

    use super::*;
    use crate::id::{ClientId, SessionId, UserId};

    const LAG: Duration = Duration::from_secs(1);

    /// Whether a session that was not revoked is vouched for, `steady` and `wall` after the last reading.
    fn vouches_later(steady: Duration, wall: Duration) -> bool {
        let (began, started) = (Instant::now(), SystemTime::now());
        let fence = RevocationFence::new();
        let (session, user) = (SessionId::parse("s").unwrap(), UserId::parse("u").unwrap());
        let mark = fence.mark(&session, &user, &ClientId::parse("c").unwrap());
        fence.take_in(Some(&[]), Moment::at(began, started), LAG);
        let (steady, wall) = fence.nanoseconds(Moment::at(began + steady, started + wall));
        fence.vouch_for(&mark, steady, wall)
    }

    /// Whether the cached verdict of a session with a minute left is good, `steady` and `wall` later. A reading has
    /// just proven that the session was not revoked.
    fn is_good_later(steady: Duration, wall: Duration) -> bool {
        let (began, started) = (Instant::now(), SystemTime::now());
        let (fence, cached) = (RevocationFence::new(), CachedVerdict::default());
        let (session, user) = (SessionId::parse("s").unwrap(), UserId::parse("u").unwrap());
        let mark = fence.mark(&session, &user, &ClientId::parse("c").unwrap());
        let reading = FenceReading { mark, started: Moment::at(began, started) };
        cached.remember(&fence, &reading, Duration::from_secs(60));
        let now = Moment::at(began + steady, started + wall);
        fence.take_in(Some(&[]), now, LAG);
        cached.is_good(&fence, now)
    }

    #[test]
    fn a_remembered_session_is_good_until_either_clock_has_passed_its_expiry() {
        let (before, after) = (Duration::from_secs(59), Duration::from_secs(60));
        assert!(is_good_later(before, before));
        assert!(!is_good_later(after, after));
        assert!(!is_good_later(before, after), "the machine slept");
        assert!(!is_good_later(after, before), "the wall clock was set back");
    }

    #[test]
    fn what_expires_after_the_end_of_time_is_not_remembered() {
        let cached = CachedVerdict::default();
        let fence = RevocationFence::new();
        let (session, user) = (SessionId::parse("s").unwrap(), UserId::parse("u").unwrap());
        let mark = fence.mark(&session, &user, &ClientId::parse("c").unwrap());
        cached.remember(&fence, &FenceReading { mark, started: Moment::now() }, Duration::MAX);
        fence.take_in(Some(&[]), Moment::now(), LAG);
        assert!(!cached.is_good(&fence, Moment::now()));
    }

    #[test]
    fn a_reading_proves_nothing_once_either_clock_has_passed_the_lag() {
        let (brief, long) = (LAG / 2, 2 * LAG);
        assert!(vouches_later(brief, brief));
        assert!(!vouches_later(long, long));
        assert!(!vouches_later(brief, long), "the machine slept");
        assert!(!vouches_later(long, brief), "the wall clock was set back");
    }
}
