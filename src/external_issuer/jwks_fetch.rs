//! Fetches the keys of one external issuer again and again.
//!
//! One task does all fetching. So only one fetch runs at a time, and a dropped request drops no fetch. Requests read
//! the keys of the last fetch. They wait for a fetch only when it may show more than those keys do.
//!
//! A key that the last set lacks is unknown for as long as the set may be used without a fetch (`refresh_every`). So a
//! stranger who names any keys gets 401, also between two fetches, and nothing is remembered of what they named.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, watch};

use super::jwks_source::{JwksError, JwksSource};
use crate::background_task::Background;
use crate::clock::{Clock, HostClock};
use crate::telemetry;
use crate::token::{Algorithm, KeySet, VerifyingKey};
use crate::validate::{BuildError, Setting, check_deadline};

/// The keys of one external issuer. They are kept fresh from the first request on, until this is dropped.
pub(super) struct Keys {
    shared: Arc<Shared>,
    task: Background,
}

/// What the task and the requests share.
struct Shared {
    issuer: Arc<str>,
    source: Arc<dyn JwksSource>,
    algorithms: Vec<Algorithm>,
    /// Whether its set may have keys of JWT-SVIDs.
    has_jwt_svids: bool,
    timing: Timing,
    clock: HostClock,
    fetched: ArcSwapOption<Fetched>,
    attempts: watch::Sender<Attempts>,
    wanted: Notify,
    /// Whether a request named an unknown key since the last attempt, too soon for the next one.
    is_next_wanted: AtomicBool,
}

/// How often the keys are fetched, and for how long they are used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    pub(super) interval: Duration,
    pub(super) floor: Duration,
    pub(super) stale_for: Duration,
    pub(super) deadline: Duration,
}

struct Fetched {
    keys: KeySet,
    /// When the fetch began, by the host's clock.
    at: Duration,
    /// How many fetches removed a key. A token that was verified in an earlier generation must be verified again.
    generation: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Attempts {
    /// When the last attempt began, by the host's clock.
    began: Option<Duration>,
    is_running: bool,
    has_failed: bool,
    finished: u64,
}

/// It is not known now which keys the issuer has.
#[derive(Debug)]
pub(super) struct KeysUnavailable;

impl Keys {
    pub(super) fn new(
        issuer: Arc<str>,
        source: Arc<dyn JwksSource>,
        algorithms: Vec<Algorithm>,
        has_jwt_svids: bool,
        timing: Timing,
        clock: HostClock,
    ) -> Self {
        let shared = Shared {
            issuer,
            source,
            algorithms,
            has_jwt_svids,
            timing,
            clock,
            fetched: ArcSwapOption::empty(),
            attempts: watch::Sender::default(),
            wanted: Notify::new(),
            is_next_wanted: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared), task: Background::default() }
    }

    /// The key with this id, and the generation of the keys. `None`: a fetch has shown that the issuer has no such key.
    ///
    /// A fetch that this call waited for shows it, and so does an earlier one for as long as the keys need not be fetched
    /// again.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves the fetch to the requests that wait with it.
    pub(super) async fn find(&self, key_id: &str) -> Result<Option<(VerifyingKey, u64)>, KeysUnavailable> {
        let named = |fetched: &Fetched| Some((fetched.keys.find(key_id)?.clone(), fetched.generation));
        if let Some(found) = self.shared.usable().as_deref().and_then(named) {
            return Ok(Some(found));
        }
        let has_fetched = self.fetch_again().await.is_ok();
        let fetched = self.shared.usable().ok_or(KeysUnavailable)?;
        let is_proof = has_fetched || self.shared.age(&fetched) <= self.shared.timing.interval;
        match named(&fetched) {
            None if !is_proof => Err(KeysUnavailable),
            found => Ok(found),
        }
    }

    /// Whether a token that was verified in `generation` still counts: no key was removed since, and the keys are not
    /// too old.
    pub(super) fn vouch_for(&self, generation: u64) -> bool {
        let fetched = self.shared.usable();
        if fetched.as_ref().is_some_and(|fetched| self.shared.age(fetched) > self.shared.timing.interval) {
            self.keep_running();
        }
        fetched.is_some_and(|fetched| fetched.generation == generation)
    }

    /// Returns when a fetch has succeeded that ended after this call began.
    async fn fetch_again(&self) -> Result<(), KeysUnavailable> {
        let mut attempts = self.shared.attempts.subscribe();
        let before = attempts.borrow_and_update().finished;
        self.keep_running();
        if !self.shared.ask(before) {
            return Err(KeysUnavailable);
        }
        let next = attempts.wait_for(|attempts| attempts.finished > before);
        match tokio::time::timeout(self.shared.timing.deadline, next).await {
            Ok(Ok(attempts)) if !attempts.has_failed => Ok(()),
            _ => Err(KeysUnavailable),
        }
    }

    /// Starts the task, unless it runs: at the first request, or before.
    pub(super) fn keep_running(&self) {
        self.task.ensure(|| keep_fresh(self.shared.clone()));
    }

    /// Ends the task.
    pub(super) fn stop(&self) {
        self.task.stop();
    }
}

impl Shared {
    /// How long a source may take, whatever source it is.
    const FETCH_DEADLINE: Duration = Duration::from_secs(10);

    /// The keys of the last fetch, unless they are too old.
    fn usable(&self) -> Option<Arc<Fetched>> {
        self.fetched.load_full().filter(|fetched| self.age(fetched) <= self.timing.stale_for)
    }

    /// How long ago the fetch began. Zero when the clock was set back since then.
    fn age(&self, fetched: &Fetched) -> Duration {
        self.clock.now().saturating_sub(fetched.at)
    }

    /// Makes sure that an attempt ends after attempt number `before`. `false`: the last attempt began too short a time
    /// ago, and the next one begins as soon as it may.
    fn ask(&self, before: u64) -> bool {
        // Read once, because an attempt may begin and end meanwhile.
        let attempts = *self.attempts.borrow();
        if attempts.is_running || attempts.finished > before {
            return true;
        }
        let may_begin = self.too_soon_after(attempts).is_none();
        // Of all who come too soon, one wakes the task.
        if may_begin || !self.is_next_wanted.swap(true, Ordering::Relaxed) {
            self.wanted.notify_one();
        }
        may_begin
    }

    /// How long the next attempt must wait.
    fn too_soon_after(&self, attempts: Attempts) -> Option<Duration> {
        let since = self.clock.now().checked_sub(attempts.began?)?;
        self.timing.floor.checked_sub(since).filter(|wait| !wait.is_zero())
    }

    /// How long the task waits for the next fetch, when nobody asks for one meanwhile.
    fn pause(&self) -> Duration {
        let attempts = *self.attempts.borrow();
        if self.is_next_wanted.load(Ordering::Relaxed) {
            return self.too_soon_after(attempts).unwrap_or_default();
        }
        if attempts.has_failed { self.timing.floor } else { self.timing.interval }
    }

    async fn fetch(&self) {
        self.is_next_wanted.store(false, Ordering::Relaxed);
        let running = Running::begin(self);
        let fetching = tokio::time::timeout(Self::FETCH_DEADLINE, self.source.fetch());
        let set = fetching.await.unwrap_or(Err(JwksError::TimedOut)).and_then(|json| self.read(&json));
        match set {
            Ok(keys) => {
                self.take(keys, running.began);
                running.succeed();
            }
            Err(error) => {
                telemetry::count("bridge_auth_jwks_fetches_total", "failed");
                let error: &dyn std::error::Error = &error;
                tracing::warn!(
                    issuer = %self.issuer,
                    error,
                    "the keys of an external issuer could not be fetched: its tokens are judged with the last keys for \
                     `stale_for`, then refused with 503"
                );
            }
        }
    }

    fn read(&self, json: &[u8]) -> Result<KeySet, JwksError> {
        if json.len() > JwksError::MAX_BYTES {
            return Err(JwksError::TooLarge);
        }
        KeySet::from_json(json, &self.algorithms, self.has_jwt_svids).ok_or(JwksError::Malformed)
    }

    fn take(&self, keys: KeySet, at: Duration) {
        let before = self.fetched.load_full();
        let is_complete = before.as_ref().is_none_or(|before| keys.keeps_all_of(&before.keys));
        let generation = before.as_ref().map_or(0, |before| before.generation) + u64::from(!is_complete);
        telemetry::count("bridge_auth_jwks_fetches_total", "fetched");
        if before.is_none_or(|before| !is_complete || keys.len() != before.keys.len()) {
            let (keys, skipped) = (keys.len(), keys.skipped());
            tracing::info!(issuer = %self.issuer, keys, skipped, "the keys of an external issuer have changed");
        }
        self.fetched.store(Some(Arc::new(Fetched { keys, at, generation })));
    }
}

/// An attempt to fetch. Dropping it records its end, whatever the outcome is.
struct Running<'s> {
    shared: &'s Shared,
    began: Duration,
    has_failed: bool,
}

impl<'s> Running<'s> {
    fn begin(shared: &'s Shared) -> Self {
        let began = shared.clock.now();
        shared.attempts.send_modify(|attempts| {
            attempts.began = Some(began);
            attempts.is_running = true;
        });
        Self { shared, began, has_failed: true }
    }

    fn succeed(mut self) {
        self.has_failed = false;
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.shared.attempts.send_modify(|attempts| {
            attempts.is_running = false;
            attempts.has_failed = self.has_failed;
            attempts.finished += 1;
        });
    }
}

/// Fetches at intervals, and earlier when a request asks for it.
async fn keep_fresh(shared: Arc<Shared>) {
    loop {
        let attempts = *shared.attempts.borrow();
        if shared.too_soon_after(attempts).is_none() {
            shared.fetch().await;
        }
        tokio::select! {
            () = tokio::time::sleep(shared.pause()) => {}
            () = shared.wanted.notified() => {}
        }
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(600),
            floor: Duration::from_secs(30),
            stale_for: Duration::from_secs(24 * 3600),
            deadline: Duration::from_secs(2),
        }
    }
}

impl Timing {
    pub(super) fn check(&self) -> Result<(), BuildError> {
        let day = Duration::from_secs(24 * 3600);
        let interval = Setting::new("refresh_every", "ExternalIssuer::refresh_every");
        let floor = Setting::new("refresh_at_most_every", "ExternalIssuer::refresh_at_most_every");
        let stale_for = Setting::new("stale_for", "ExternalIssuer::stale_for");
        let deadline = Setting::new("keys_deadline", "ExternalIssuer::keys_deadline");
        for (setting, value, most, allowed) in [
            (interval, self.interval, day, "above 0, at most 24 hours"),
            (floor, self.floor, self.interval, "above 0, at most refresh_every"),
            (stale_for, self.stale_for, day * 7, "at least refresh_every, at most 7 days"),
        ] {
            if value.is_zero() || value > most {
                return Err(setting.duration_out_of_range(value, allowed));
            }
        }
        if self.stale_for < self.interval {
            let allowed = "at least refresh_every, at most 7 days";
            return Err(stale_for.duration_out_of_range(self.stale_for, allowed));
        }
        check_deadline(deadline, self.deadline)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("source", &self.shared.source).finish_non_exhaustive()
    }
}
