//! Ticks prove how fresh the answers of the store are, even when two servers both take themselves for the primary.
//!
//! A tick is a write that the server acknowledges only as the primary of its synchronous set. An answer that shows a
//! tick holds all that was acknowledged, anywhere, before that tick **began**. So an answer is as old as the newest
//! acknowledged tick that it shows, and no older. One tick serves all requests of a gateway. A tick is made when a
//! request needs one, and a little before the last one is too old.

use std::collections::VecDeque;
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use crate::background_task::Background;
use crate::clock::Moment;
use crate::store::{Proof, Replication, Store, StoreError, StoreErrorKind, Tick, log_fault};

/// Makes ticks for as long as it is kept, and knows when each one began.
pub(super) struct Ticks {
    shared: Arc<Shared>,
    task: Background,
}

struct Shared {
    store: Arc<dyn Store>,
    deadline: Duration,
    state: Mutex<State>,
    wanted: Notify,
    /// Changes after each attempt.
    attempted: watch::Sender<()>,
}

/// What is known about the lease of the last acknowledged tick. Earlier leases count no more.
#[derive(Default)]
struct State {
    lease: Option<u128>,
    /// The number of each acknowledged tick, oldest first, and when it began.
    proved: VecDeque<(u64, Moment)>,
    last: Option<Proof>,
    fault: Option<Fault>,
    faults: u64,
    /// How many faults since the last success did not count.
    quick_faults: u32,
}

/// Why the last attempt failed.
struct Fault {
    kind: StoreErrorKind,
    at: Moment,
}

impl Ticks {
    /// How many ticks are remembered: an answer may be judged after younger ticks were acknowledged.
    const REMEMBERED: usize = 64;
    /// The least time between two attempts: after a success, and after a fault.
    const PAUSES: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(100)];
    /// A fault is remembered for the longest time of an attempt and this much more: while attempts keep failing, no
    /// request waits for the next one.
    const FAULT_COUNTS: Duration = Duration::from_millis(500);

    /// So many lost connections in a row do not count as faults when each is lost at once. Requests wait for the next
    /// attempt: mostly the connection has been replaced by then.
    const QUICK_FAULTS: u32 = 3;

    pub(super) fn new(store: Arc<dyn Store>, deadline: Duration) -> Self {
        let (wanted, attempted) = (Notify::new(), watch::Sender::new(()));
        let shared = Shared { store, deadline, state: Mutex::default(), wanted, attempted };
        Self { shared: Arc::new(shared), task: Background::default() }
    }

    /// Waits until a tick is acknowledged that began after `asked`, or less than `max_age` before it. The next tick
    /// begins early, so mostly nothing has to wait.
    ///
    /// # Errors
    ///
    /// No tick was acknowledged in time, or the store has just said why none will be.
    ///
    /// # Cancel safety
    ///
    /// A dropped future does not stop the tick: the other requests still get it.
    pub(super) async fn ensure(&self, max_age: Duration, asked: Moment) -> Result<(), StoreErrorKind> {
        let is_young = |began, max_age| is_young(began, max_age, asked);
        let newest = self.shared.state().newest();
        if newest.is_some_and(|began| is_young(began, max_age / 4)) {
            return Ok(());
        }
        if newest.is_some_and(|began| is_young(began, max_age)) {
            self.want();
            return Ok(());
        }
        let mut attempted = self.shared.attempted.subscribe();
        let waited = timeout(self.shared.deadline, async {
            loop {
                {
                    let state = self.shared.state();
                    if state.newest().is_some_and(|began| is_young(began, max_age)) {
                        return Ok(());
                    }
                    let fault = state.fault.as_ref();
                    let counts =
                        |fault: &&Fault| asked.since(fault.at) < self.shared.deadline + Self::FAULT_COUNTS;
                    if let Some(fault) = fault.filter(counts) {
                        // A tick for the requests that come next.
                        self.want();
                        return Err(fault.kind);
                    }
                }
                self.want();
                // The sender lives as long as `self`.
                let _ = attempted.changed().await;
            }
        });
        waited.await.unwrap_or(Err(StoreErrorKind::Unproven))
    }

    /// When the newest acknowledged tick began that an answer shows; `tick` is the newest tick of that answer.
    pub(super) fn began(&self, tick: Tick) -> Option<Moment> {
        let state = self.shared.state();
        let proved = state.proved.iter().rev().filter(|_| state.lease == Some(tick.lease));
        proved.into_iter().find(|(number, _)| *number <= tick.number).map(|(_, began)| *began)
    }

    /// Whether an answer that shows `tick` is at most `max_age` older than `asked`.
    pub(super) fn vouch_for(&self, tick: Tick, max_age: Duration, asked: Moment) -> bool {
        self.began(tick).is_some_and(|began| is_young(began, max_age, asked))
    }

    pub(super) fn newest(&self) -> Option<Moment> {
        self.shared.state().newest()
    }

    pub(super) fn replication(&self) -> Option<Replication> {
        self.shared.state().last.map(|proof| proof.replication)
    }

    /// How many attempts have failed, and why the last attempt failed, if it did.
    pub(super) fn faults(&self) -> (u64, Option<StoreErrorKind>) {
        let state = self.shared.state();
        (state.faults, state.fault.as_ref().map(|fault| fault.kind))
    }

    /// Asks the task for a tick.
    fn want(&self) {
        self.task.ensure(|| make_ticks(self.shared.clone()));
        self.shared.wanted.notify_one();
    }
}

/// Whether a tick began after `asked`, or less than `max_age` before it.
fn is_young(began: Moment, max_age: Duration, asked: Moment) -> bool {
    began.steady() >= asked.steady() || asked.since(began) < max_age
}

async fn make_ticks(shared: Arc<Shared>) {
    let [usual, after_fault] = Ticks::PAUSES;
    loop {
        shared.wanted.notified().await;
        let began = Moment::now();
        let ticked = timeout(shared.deadline, shared.store.tick()).await;
        let ticked = ticked.unwrap_or_else(|_| Err(StoreError::of(StoreErrorKind::Unproven)));
        let pause = match ticked {
            Ok(proof) => {
                shared.take_in(proof, began);
                usual
            }
            Err(fault) if shared.fail(&fault, began) => after_fault,
            Err(_) => usual,
        };
        // Requests that wanted a tick meanwhile have it now, or ask again when they are told of this attempt.
        pin!(shared.wanted.notified()).enable();
        shared.attempted.send_replace(());
        sleep(pause).await;
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_in(&self, proof: Proof, began: Moment) {
        let mut state = self.state();
        state.last = Some(proof);
        (state.fault, state.quick_faults) = (None, 0);
        if state.lease != Some(proof.tick.lease) {
            state.lease = Some(proof.tick.lease);
            state.proved.clear();
        }
        // A store with one server may show the same tick each time.
        if state.proved.back().is_some_and(|(number, _)| *number == proof.tick.number) {
            state.proved.pop_back();
        }
        if state.proved.len() == Ticks::REMEMBERED {
            state.proved.pop_front();
        }
        state.proved.push_back((proof.tick.number, began));
    }

    /// Records why the attempt that `began` then has failed. Returns whether it counts: a connection that was just lost
    /// does not.
    fn fail(&self, fault: &StoreError, began: Moment) -> bool {
        crate::telemetry::count("bridge_auth_tick_faults_total", fault.kind().as_str());
        let (now, mut state) = (Moment::now(), self.state());
        state.faults += 1;
        let is_loss = matches!(fault.kind(), StoreErrorKind::Unavailable | StoreErrorKind::Unproven);
        if is_loss && state.quick_faults < Ticks::QUICK_FAULTS && now.since(began) < self.deadline / 8 {
            state.quick_faults += 1;
            tracing::debug!(
                error = fault as &dyn std::error::Error,
                "a tick failed: the connection was lost; trying \
                again"
            );
            return false;
        }
        state.quick_faults = Ticks::QUICK_FAULTS;
        let is_first = state.fault.is_none();
        let kind = match fault.kind() {
            // The server may answer reads. It cannot acknowledge a write.
            StoreErrorKind::TimedOut => StoreErrorKind::Unproven,
            other => other,
        };
        state.fault = Some(Fault { kind, at: now });
        drop(state);
        if is_first {
            log_fault(
                fault,
                "requests are refused with 503: no proof that the database is still the primary",
            );
        }
        true
    }
}

impl State {
    fn newest(&self) -> Option<Moment> {
        self.proved.back().map(|(_, began)| *began)
    }
}

impl fmt::Debug for Ticks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let newest = self.newest().map(|began| Moment::now().since(began));
        f.debug_struct("Ticks").field("age", &newest).finish_non_exhaustive()
    }
}
