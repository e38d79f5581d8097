//! Strict look-ups that share queries.
//!
//! A request that arrives while [`Lookups::MAX_QUERIES`] queries run joins the one that starts next, together with all
//! others that wait. So a verdict always comes from a query that started after its request arrived, a lone
//! request waits for nobody, and a crowd needs a handful of queries.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::id::SessionId;
use crate::store::{SessionStatus, Store, StoreErrorKind, within_deadline};

/// Looks sessions up, many at once.
pub(super) struct Lookups {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn Store>,
    deadline: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: usize,
    waiting: Batch,
}

/// The look-ups of one query.
#[derive(Default)]
struct Batch {
    ids: Vec<SessionId>,
    places: HashMap<SessionId, usize>,
    answer: Arc<Answer>,
}

/// What a query found, by place, once it is there.
#[derive(Default)]
struct Answer {
    found: OnceLock<Result<Vec<Option<SessionStatus>>, StoreErrorKind>>,
    given: Notify,
}

impl Lookups {
    /// How many queries run at once.
    const MAX_QUERIES: usize = 2;

    pub(super) fn new(store: Arc<dyn Store>, deadline: Duration) -> Self {
        Self { shared: Arc::new(Shared { store, deadline, state: Mutex::default() }) }
    }

    /// What the store knows of the session, from a query that starts after this call.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves the query to those who wait with it.
    pub(super) async fn status(&self, id: &SessionId) -> Result<Option<SessionStatus>, StoreErrorKind> {
        let (place, answer) = self.join(id);
        let deadline = self.shared.deadline;
        match tokio::time::timeout(deadline, answer.wait()).await {
            Ok(Ok(found)) => Ok(found.get(place).cloned().flatten()),
            Ok(Err(fault)) => Err(*fault),
            Err(_) => Err(StoreErrorKind::TimedOut),
        }
    }

    /// Joins the query that starts next, and starts it when there is room for one more.
    fn join(&self, id: &SessionId) -> (usize, Arc<Answer>) {
        let mut state = self.shared.lock();
        let place = state.waiting.place(id);
        let answer = state.waiting.answer.clone();
        if state.running < Self::MAX_QUERIES {
            state.running += 1;
            let batch = Some(mem::take(&mut state.waiting));
            drop(state);
            tokio::spawn(run(Running { shared: self.shared.clone(), batch }));
        }
        (place, answer)
    }
}

impl Shared {
    /// A panic elsewhere leaves nothing half done in the state.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Batch {
    fn place(&mut self, id: &SessionId) -> usize {
        match self.places.entry(id.clone()) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                self.ids.push(id.clone());
                *new.insert(self.ids.len() - 1)
            }
        }
    }

    /// The statuses by place: the store answers in any order and leaves out what it does not have.
    fn sort(&self, statuses: Vec<SessionStatus>) -> Vec<Option<SessionStatus>> {
        let mut sorted = vec![None; self.ids.len()];
        for status in statuses {
            if let Some(place) = self.places.get(&status.id) {
                sorted[*place] = Some(status);
            }
        }
        sorted
    }
}

impl Answer {
    async fn wait(&self) -> Result<&[Option<SessionStatus>], &StoreErrorKind> {
        loop {
            let given = self.given.notified();
            if let Some(found) = self.found.get() {
                return found.as_deref();
            }
            given.await;
        }
    }

    fn give(&self, found: Result<Vec<Option<SessionStatus>>, StoreErrorKind>) {
        // The first answer stands.
        let _ = self.found.set(found);
        self.given.notify_waiters();
    }
}

/// One of the queries that may run at once.
struct Running {
    shared: Arc<Shared>,
    batch: Option<Batch>,
}

impl Running {
    /// Takes up what has gathered meanwhile, or gives its place back: in one step, so that nobody joins a
    /// batch that no one will run.
    fn next(&mut self) {
        let mut state = self.shared.lock();
        if state.waiting.ids.is_empty() {
            state.running -= 1;
            self.batch = None;
        } else {
            self.batch = Some(mem::take(&mut state.waiting));
        }
    }
}

/// A query that ends early, by a panic or with its runtime, leaves nobody waiting and its place free.
impl Drop for Running {
    fn drop(&mut self) {
        if let Some(batch) = self.batch.take() {
            let mut state = self.shared.lock();
            state.running -= 1;
            let stranded = mem::take(&mut state.waiting);
            drop(state);
            batch.answer.give(Err(StoreErrorKind::Failed));
            stranded.answer.give(Err(StoreErrorKind::Failed));
        }
    }
}

async fn run(mut running: Running) {
    while let Some(batch) = &running.batch {
        let Shared { store, deadline, .. } = &*running.shared;
        let found = within_deadline(*deadline, store.session_statuses(&batch.ids)).await;
        batch.answer.give(match found {
            Ok(statuses) => Ok(batch.sort(statuses)),
            Err(fault) => {
                tracing::warn!(error = &fault as &dyn std::error::Error, "session look-up failed");
                Err(fault.kind())
            }
        });
        running.next();
    }
}

impl fmt::Debug for Lookups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookups").field("store", &self.shared.store).finish_non_exhaustive()
    }
}
