//! Which look-ups share a query.
//!
//! No I/O and no waiting is done here, so that every order of events can be gone through (`model.rs`).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::mem;
use std::sync::{Arc, PoisonError};

use super::sync::{Mutex, MutexGuard};
use crate::id::SessionId;

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
    ids: Vec<SessionId>,
    places: HashMap<SessionId, usize>,
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

    /// Joins the query that starts next: the place in its answer, and the answer. When there is room for
    /// one more query, it is the caller's to run.
    pub(super) fn join(self: &Arc<Self>, id: &SessionId) -> (usize, Arc<A>, Option<Running<A>>) {
        let mut state = self.lock();
        let place = state.waiting.place(id);
        let answer = state.waiting.answer.clone();
        let running = (state.running < self.max_running).then(|| {
            state.running += 1;
            let is_alone = state.running == 1;
            Running { batches: self.clone(), batch: Some(mem::take(&mut state.waiting)), is_alone }
        });
        (place, answer, running)
    }

    /// A panic elsewhere leaves nothing half done in the state.
    fn lock(&self) -> MutexGuard<'_, State<A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A> Batch<A> {
    pub(super) fn ids(&self) -> &[SessionId] {
        &self.ids
    }

    pub(super) fn answer(&self) -> &A {
        &self.answer
    }

    /// What was found, by place: the store answers in any order and leaves out what it does not have.
    pub(super) fn sort<T: Clone>(&self, found: Vec<T>, id: impl Fn(&T) -> &SessionId) -> Vec<Option<T>> {
        let mut sorted = vec![None; self.ids.len()];
        for one in found {
            if let Some(place) = self.places.get(id(&one)) {
                sorted[*place] = Some(one);
            }
        }
        sorted
    }

    fn place(&mut self, id: &SessionId) -> usize {
        match self.places.entry(id.clone()) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                self.ids.push(id.clone());
                *new.insert(self.ids.len() - 1)
            }
        }
    }
}

impl<A: Answer> Running<A> {
    /// Whether no other query ran when it was begun: then nobody but its beginner waits for it.
    pub(super) fn is_alone(&self) -> bool {
        self.is_alone
    }

    /// What to ask now; `None` when nobody waits any more.
    pub(super) fn batch(&self) -> Option<&Batch<A>> {
        self.batch.as_ref()
    }

    /// Takes up what has gathered meanwhile, or gives its place back: in one step, so that nobody joins a
    /// batch that no one will run.
    pub(super) fn next(&mut self) {
        let mut state = self.batches.lock();
        if state.waiting.ids.is_empty() {
            state.running -= 1;
            self.batch = None;
        } else {
            self.batch = Some(mem::take(&mut state.waiting));
        }
    }
}

/// A query that ends early, by a panic or with its runtime, leaves nobody waiting and its place free.
impl<A: Answer> Drop for Running<A> {
    fn drop(&mut self) {
        if let Some(batch) = self.batch.take() {
            let mut state = self.batches.lock();
            state.running -= 1;
            // Where another query runs, those who wait are next.
            let stranded = (state.running == 0).then(|| mem::take(&mut state.waiting));
            drop(state);
            batch.answer.abandon();
            if let Some(stranded) = stranded {
                stranded.answer.abandon();
            }
        }
    }
}
