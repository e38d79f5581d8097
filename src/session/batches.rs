//! Which look-ups share a query.
//!
//! This file does no I/O and does not wait. So `model.rs` can try every order of events.

use std::mem;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use super::sync::{Mutex, MutexGuard};
use crate::store::SessionKey;

/// The look-ups that wait for the next query, and the number of queries that run.
pub(super) struct Batches<A> {
    max_running: usize,
    state: Mutex<State<A>>,
}

struct State<A> {
    running: usize,
    waiting: Batch<A>,
}

/// The look-ups of one query.
#[derive(Default)]
pub(super) struct Batch<A> {
    sessions: Vec<SessionKey>,
    /// Whether one of the look-ups has not seen the row of its session before.
    has_unseen: bool,
    /// When the first look-up joined; `None` before that.
    since: Option<Instant>,
    answer: Arc<A>,
}

/// Where a query leaves its answer for the look-ups that wait for it.
pub(super) trait Answer: Default {
    /// Says that the query will never be answered.
    fn abandon(&self);
}

/// The right to run one query, and then the next one in its place.
pub(super) struct Running<A: Answer> {
    batches: Arc<Batches<A>>,
    batch: Option<Batch<A>>,
    is_alone: bool,
}

impl<A: Answer> Batches<A> {
    pub(super) fn new(max_running: usize) -> Arc<Self> {
        let state = State { running: 0, waiting: Batch::default() };
        Arc::new(Self { max_running, state: Mutex::new(state) })
    }

    /// Joins the query that starts next, and returns where its answer will be.
    ///
    /// When one more query may run, the caller gets a [`Running`] and must run it.
    pub(super) fn join(
        self: &Arc<Self>,
        session: &SessionKey,
        is_seen: bool,
    ) -> (Arc<A>, Option<Running<A>>) {
        let session = session.clone();
        let mut state = self.lock();
        let waiting = &mut state.waiting;
        waiting.sessions.push(session);
        waiting.has_unseen |= !is_seen;
        waiting.since.get_or_insert_with(Instant::now);
        let answer = waiting.answer.clone();
        let running = (state.running < self.max_running).then(|| {
            state.running += 1;
            let is_alone = state.running == 1;
            Running { batches: self.clone(), batch: Some(state.take()), is_alone }
        });
        (answer, running)
    }

    /// A panic elsewhere leaves the state whole: so the lock is taken even when it is poisoned.
    fn lock(&self) -> MutexGuard<'_, State<A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: Default> State<A> {
    /// Takes the waiting look-ups. The next batch reserves room for as many.
    fn take(&mut self) -> Batch<A> {
        let sessions = Vec::with_capacity(self.waiting.sessions.len());
        mem::replace(&mut self.waiting, Batch { sessions, ..Batch::default() })
    }
}

impl<A> Batch<A> {
    /// The sessions to ask for.
    pub(super) fn sessions(&self) -> &[SessionKey] {
        &self.sessions
    }

    /// Whether every look-up has seen the row of its session before.
    pub(super) const fn is_seen(&self) -> bool {
        !self.has_unseen
    }

    /// When the first look-up joined.
    pub(super) fn since(&self) -> Instant {
        self.since.unwrap_or_else(Instant::now)
    }

    pub(super) fn answer(&self) -> &A {
        &self.answer
    }

    /// Sorts the sessions by digest, and removes duplicates.
    fn sort(&mut self) {
        let by_digest = |a: &SessionKey, b: &SessionKey| a.digest().cmp(&b.digest());
        self.sessions.sort_unstable_by(|a, b| by_digest(a, b).then_with(|| a.id().cmp(b.id())));
        self.sessions.dedup();
    }
}

impl<A: Answer> Running<A> {
    /// Whether no other query ran when this one began: then only the request that began it waits for it.
    pub(super) fn is_alone(&self) -> bool {
        self.is_alone
    }

    /// What to ask now; `None` when no look-up waits.
    pub(super) fn batch(&mut self) -> Option<&Batch<A>> {
        let batch = self.batch.as_mut()?;
        batch.sort();
        Some(batch)
    }

    /// Takes the look-ups that gathered meanwhile, or ends the run. Both happen under one lock, so no look-up joins a
    /// batch that nobody will run.
    pub(super) fn next(&mut self) {
        let mut state = self.batches.lock();
        let next = if state.waiting.sessions.is_empty() {
            state.running -= 1;
            None
        } else {
            Some(state.take())
        };
        drop(state);
        // The old batch may be large: it is dropped outside the lock.
        self.batch = next;
    }
}

/// A query may end early: it panics, or its runtime stops. Then its look-ups get an error, and another query may run in
/// its place.
///
/// The look-ups that wait for the next query get the error too. They are not left to another running query, because its
/// task may no longer be polled.
impl<A: Answer> Drop for Running<A> {
    fn drop(&mut self) {
        if let Some(batch) = self.batch.take() {
            let mut state = self.batches.lock();
            state.running -= 1;
            let stranded = state.take();
            drop(state);
            batch.answer.abandon();
            stranded.answer.abandon();
        }
    }
}
