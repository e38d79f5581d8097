//! Which look-ups share a query.
//!
//! No I/O and no waiting is done here, so that every order of events can be gone through (`model.rs`).

use std::mem;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use super::sync::{Mutex, MutexGuard};
use crate::store::SessionKey;

/// The look-ups that wait for a query, and how many queries run.
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
    /// Whether somebody has not seen the row of his session before.
    has_unseen: bool,
    /// When the first of them joined; nothing before that.
    since: Option<Instant>,
    answer: Arc<A>,
}

/// Where the answer of a query is left for those who wait for it.
pub(super) trait Answer: Default {
    /// The query will never be answered.
    fn abandon(&self);
}

/// One of the queries that may run at once, and then the next in its place.
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

    /// Joins the query that starts next, whose answer this is. When there is room for one more query, it is the caller's to
    /// run.
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

    /// A panic elsewhere leaves nothing half done in the state.
    fn lock(&self) -> MutexGuard<'_, State<A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: Default> State<A> {
    /// Those who wait. The next batch has room for as many.
    fn take(&mut self) -> Batch<A> {
        let sessions = Vec::with_capacity(self.waiting.sessions.len());
        mem::replace(&mut self.waiting, Batch { sessions, ..Batch::default() })
    }
}

impl<A> Batch<A> {
    /// Those to ask for.
    pub(super) fn sessions(&self) -> &[SessionKey] {
        &self.sessions
    }

    /// Whether all have seen the rows of their sessions before.
    pub(super) const fn is_seen(&self) -> bool {
        !self.has_unseen
    }

    /// When the first of them joined.
    pub(super) fn since(&self) -> Instant {
        self.since.unwrap_or_else(Instant::now)
    }

    pub(super) fn answer(&self) -> &A {
        &self.answer
    }

    /// In the order of their digests, and each once.
    fn sort(&mut self) {
        let by_digest = |a: &SessionKey, b: &SessionKey| a.digest().cmp(&b.digest());
        self.sessions.sort_unstable_by(|a, b| by_digest(a, b).then_with(|| a.id().cmp(b.id())));
        self.sessions.dedup();
    }
}

impl<A: Answer> Running<A> {
    /// Whether no other query ran when it was begun: then nobody but its beginner waits for it.
    pub(super) fn is_alone(&self) -> bool {
        self.is_alone
    }

    /// What to ask now; `None` when nobody waits any more.
    pub(super) fn batch(&mut self) -> Option<&Batch<A>> {
        let batch = self.batch.as_mut()?;
        batch.sort();
        Some(batch)
    }

    /// Takes up what has gathered meanwhile, or gives its place back: in one step, so that nobody joins a
    /// batch that no one will run.
    pub(super) fn next(&mut self) {
        let mut state = self.batches.lock();
        let next = if state.waiting.sessions.is_empty() {
            state.running -= 1;
            None
        } else {
            Some(state.take())
        };
        drop(state);
        // Dropped outside the lock: it may be large.
        self.batch = next;
    }
}

/// A query that ends early, by a panic or with its runtime, leaves nobody waiting and its place free. Those who wait for the next one
/// are not left to another that runs: whoever runs that may have stopped polling.
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
