//! Watched freshness: remembered verdicts, and the watcher that forgets them in time.
//!
//! A verdict is remembered together with the *epochs* of its session, its user and its client, read **before** its
//! query started. The watcher reads the revocation log and moves on the epochs of what was revoked. A verdict is good
//! while its epochs are still the current ones, so one whose query ran into a revocation never is: that is the
//! fence. And it is good only while the last successful reading, and the newest acknowledged tick that it showed, both
//! *started* less than `max_lag` ago: every revocation acknowledged before that, by whatever server, has moved its epoch.
//! How long ago that was, and whether the session has expired since, is told by two clocks, because one stands still
//! while the machine sleeps.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::cached_verdict::{CachedVerdict, FenceReading};
use super::revocation_fence::RevocationFence;
use super::ticks::Ticks;
use crate::background::Background;
use crate::clock::Moment;
use crate::store::{
    Revocation, RevocationCursor, RevocationPage, Store, StoreError, StoreErrorKind, log_fault,
    within_deadline,
};
use crate::token::Claims;

/// Watches the revocation log for as long as it is kept.
pub(super) struct Watch {
    watched: Arc<Watched>,
    log: Log,
    task: Background,
}

/// What the watcher and the requests share.
struct Watched {
    epochs: RevocationFence,
    max_lag: Duration,
    deadline: Duration,
    health: Mutex<Health>,
}

/// Where revocations are read, and by what the age of a reading is known.
#[derive(Clone)]
struct Log {
    store: Arc<dyn Store>,
    ticks: Arc<Ticks>,
    /// Whether a reading counts only with a tick. Ticks are made in any case: the log is read from where they are.
    is_fenced: bool,
}

#[derive(Default)]
struct Health {
    /// When the last reading started.
    last_success: Option<Moment>,
    /// Since when it proves that nothing was revoked: also its tick had started then.
    proven_at: Option<Moment>,
    faults: u64,
    consecutive_faults: u32,
    last_fault: Option<StoreErrorKind>,
}

impl Watch {
    /// Unless it `is_fenced` a reading counts whatever server it is of.
    pub(super) fn new(
        store: Arc<dyn Store>,
        max_lag: Duration,
        deadline: Duration,
        ticks: Arc<Ticks>,
        is_fenced: bool,
    ) -> Self {
        let watched = Watched { epochs: RevocationFence::new(), max_lag, deadline, health: Mutex::default() };
        Self { watched: Arc::new(watched), log: Log { store, ticks, is_fenced }, task: Background::default() }
    }

    /// Whether what `slot` remembers is proven fresh and not revoked.
    pub(super) fn vouches_for(&self, slot: &CachedVerdict, now: Moment) -> bool {
        slot.is_good(&self.watched.epochs, now)
    }

    /// Keeps in `slot` that the session was live when `fence` stood, and expires `expires_in` later.
    pub(super) fn remember(&self, slot: &CachedVerdict, fence: &FenceReading, expires_in: Duration) {
        slot.remember(&self.watched.epochs, fence, expires_in);
    }

    /// Reads the epochs of a token's session, user and client, before a query; starts the watcher when it does
    /// not run.
    pub(super) fn fence(&self, claims: &Claims) -> FenceReading {
        self.task.ensure(|| watch_log(self.watched.clone(), self.log.clone()));
        let started = Moment::now();
        FenceReading {
            mark: self.watched.epochs.mark(claims.session(), claims.user(), claims.client()),
            started,
        }
    }

    pub(super) fn forget(&self, revocation: &Revocation) {
        self.watched.epochs.move_on(revocation);
    }

    /// Whether remembered verdicts are good now, how many readings have failed, and why the last one did if it failed.
    pub(super) fn health(&self) -> (bool, u64, Option<StoreErrorKind>) {
        let health = self.watched.health();
        (self.watched.epochs.are_proven_at(Moment::now()), health.faults, health.last_fault)
    }

    /// How old the proof is that counts.
    pub(super) fn age(&self) -> Option<Duration> {
        self.watched.health().proven_at.map(|began| Moment::now().since(began))
    }
}

impl Watched {
    /// How many entries of the log are read at once; more, and every verdict is forgotten instead.
    const PAGE: u32 = 10_000;
    /// The least time between the starts of two readings, however often the database hints; after a fault, the
    /// second.
    const MIN_PAUSES: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(50)];
    /// The most time between two attempts while the store is unreachable.
    const MAX_PAUSE: Duration = Duration::from_secs(5);
    /// After a pause this long the log may have been swept past the cursor.
    const LOG_IS_KEPT: Duration = Duration::from_secs(12 * 3600);

    fn health(&self) -> std::sync::MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what was read from `started` on, which proves nothing that was revoked after `proven_at`.
    fn apply(&self, page: &RevocationPage, started: Moment, proven_at: Moment) {
        let mut health = self.health();
        let gap = health.last_success.map_or(Duration::ZERO, |last| started.since(last));
        let revoked = page.entries.as_deref().filter(|_| gap < Self::LOG_IS_KEPT);
        self.epochs.take_in(revoked, proven_at, self.max_lag);
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
        log_fault(fault, "revocation log could not be read");
    }

    /// How long to wait for the next reading: a quarter of the lag, and longer, with jitter, after faults.
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

/// Reads the log again and again; a hint from the database only makes it do so earlier.
async fn watch_log(watched: Arc<Watched>, log: Log) {
    let mut cursor = RevocationCursor::default();
    let mut hints = log.store.revocation_hints();
    loop {
        let mut started = Moment::now();
        let mut read = log.read(&watched, &cursor, watched.max_lag / 4).await;
        if read.as_ref().is_err_and(|fault| fault.kind() == StoreErrorKind::Unproven) {
            // The line to the server may have been made anew since the last tick.
            started = Moment::now();
            read = log.read(&watched, &cursor, Duration::ZERO).await;
        }
        match read {
            Ok((proven_at, page)) => {
                cursor = page.next;
                watched.apply(&page, started, proven_at);
            }
            // Nothing was taken in: the next reading begins where this one did.
            Err(fault) => watched.fail(&fault),
        }
        wait(watched.pause(), &mut hints).await;
        tokio::time::sleep_until((started.steady() + watched.min_pause()).into()).await;
    }
}

impl Log {
    /// The entries since `cursor`, and since when they prove that nothing else was revoked. The tick that they show is to be no
    /// older than `max_age` when this is called, if that can be had within a quarter of the lag.
    async fn read(
        &self,
        watched: &Watched,
        cursor: &RevocationCursor,
        max_age: Duration,
    ) -> Result<(Moment, RevocationPage), StoreError> {
        let ticked = self.ticks.ensure(max_age, Moment::now());
        // The reading counts by whatever tick it shows.
        let _ = tokio::time::timeout(watched.max_lag / 4, ticked).await;
        let started = Moment::now();
        let reading = self.store.revocations_since(cursor, Watched::PAGE);
        let page = within_deadline(watched.deadline, reading).await?;
        Ok((self.proven_at(&page, started)?, page))
    }

    /// Since when a reading that began at `started` proves that nothing was revoked.
    fn proven_at(&self, page: &RevocationPage, started: Moment) -> Result<Moment, StoreError> {
        if !self.is_fenced {
            return Ok(started);
        }
        let began = self.ticks.began(page.tick).ok_or_else(|| {
            StoreError::new(StoreErrorKind::Unproven, "the server does not show the newest tick")
        })?;
        Ok(began.earlier(started))
    }
}

/// Waits for `pause`, or less when there is a hint.
async fn wait(pause: Duration, hints: &mut Option<watch::Receiver<()>>) {
    let hinted = async {
        match hints {
            Some(receiver) => receiver.changed().await.is_ok(),
            None => std::future::pending().await,
        }
    };
    // A channel that is closed would hint for ever.
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

    /// Whether a session that nobody revoked is vouched for, `steady` and `wall` after the last reading.
    fn vouches_later(steady: Duration, wall: Duration) -> bool {
        let (began, started) = (Instant::now(), SystemTime::now());
        let epochs = RevocationFence::new();
        let (session, user) = (SessionId::parse("s").unwrap(), UserId::parse("u").unwrap());
        let mark = epochs.mark(&session, &user, &ClientId::parse("c").unwrap());
        epochs.take_in(Some(&[]), Moment::at(began, started), LAG);
        let (steady, wall) = epochs.nanoseconds(Moment::at(began + steady, started + wall));
        epochs.vouch_for(&mark, steady, wall)
    }

    /// Whether a session that had a minute left is good by what is remembered, `steady` and `wall` later; a reading has
    /// just proven that nobody revoked it.
    fn is_good_later(steady: Duration, wall: Duration) -> bool {
        let (began, started) = (Instant::now(), SystemTime::now());
        let (epochs, slot) = (RevocationFence::new(), CachedVerdict::default());
        let (session, user) = (SessionId::parse("s").unwrap(), UserId::parse("u").unwrap());
        let mark = epochs.mark(&session, &user, &ClientId::parse("c").unwrap());
        let fence = FenceReading { mark, started: Moment::at(began, started) };
        slot.remember(&epochs, &fence, Duration::from_secs(60));
        let now = Moment::at(began + steady, started + wall);
        epochs.take_in(Some(&[]), now, LAG);
        slot.is_good(&epochs, now)
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
        let slot = CachedVerdict::default();
        let epochs = RevocationFence::new();
        let (session, user) = (SessionId::parse("s").unwrap(), UserId::parse("u").unwrap());
        let mark = epochs.mark(&session, &user, &ClientId::parse("c").unwrap());
        slot.remember(&epochs, &FenceReading { mark, started: Moment::now() }, Duration::MAX);
        epochs.take_in(Some(&[]), Moment::now(), LAG);
        assert!(!slot.is_good(&epochs, Moment::now()));
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
