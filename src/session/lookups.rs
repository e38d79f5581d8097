//! Strict look-ups that share queries.
//!
//! While [`Lookups::MAX_QUERIES`] queries run, a request that arrives joins the query that starts next, with all the
//! others that wait. So a verdict always comes from a query that started after its request arrived. A lone request
//! waits for no other, and a crowd of requests needs a handful of queries.
//!
//! A row that was seen before, and matched the token, is asked only for its state. The answer says which row it is. If
//! it is another row, the session is asked for in full.
//!
//! A query must end within the deadline, counted from when the first of its requests joined. So no request waits for
//! longer than the deadline, and no request needs a timer of its own.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::SetOnce;
use tokio::time::timeout;

use super::batches::{Answer, Batch, Batches, Running};
use super::ticks::Ticks;
use super::watch_status::Figures;
use crate::clock::Moment;
use crate::store::{
    RowMark, RowState, RunToCompletion, SessionKey, SessionState, SessionStatus, Store, StoreError,
    StoreErrorKind, Tick, log_fault,
};

/// Looks sessions up, many at once.
pub(super) struct Lookups {
    asker: Arc<Asker>,
    batches: Arc<Batches<Answered>>,
}

/// Asks the store, and checks its answers against the newest tick.
struct Asker {
    store: Arc<dyn Store>,
    deadline: Duration,
    ticks: Arc<Ticks>,
    /// How old the tick may be that an answer shows; `None` when no tick is asked for.
    max_proof_age: Option<Duration>,
    figures: Arc<Figures>,
}

/// The answer of a query, once the query has ended.
type Answered = SetOnce<Result<Found, StoreErrorKind>>;

/// What a query found.
struct Found {
    /// When the first of its requests joined.
    since: Instant,
    rows: Rows,
}

enum Rows {
    /// In the order of the session ids.
    Full(Vec<SessionStatus>),
    /// In the order of the digests. Every look-up of the batch had seen the row of its session before.
    Brief(Vec<RowState>),
}

/// What a look-up says about the row of a session.
#[derive(Debug)]
pub(crate) enum Row {
    /// It is the row that was seen before.
    Seen {
        /// Whether it is live now.
        state: SessionState,
        /// How long the session has left.
        expires_in: Duration,
    },
    /// It was not seen before, or another row was.
    Unseen(SessionStatus),
}

impl Lookups {
    /// How many queries run at once.
    const MAX_QUERIES: usize = 2;

    pub(super) fn new(
        store: Arc<dyn Store>,
        deadline: Duration,
        ticks: Arc<Ticks>,
        max_proof_age: Option<Duration>,
        figures: Arc<Figures>,
    ) -> Self {
        let asker = Asker { store, deadline, ticks, max_proof_age, figures };
        Self { asker: Arc::new(asker), batches: Batches::new(Self::MAX_QUERIES) }
    }

    /// What the store knows about the session, from a query that starts after this call. `seen` is the row that matched
    /// the token before, if one did.
    ///
    /// # Cancel safety
    ///
    /// A dropped future does not stop the query: the other requests still get its answer.
    pub(super) async fn row(
        &self,
        session: &SessionKey,
        seen: Option<RowMark>,
    ) -> Result<Option<Row>, StoreErrorKind> {
        let answer = self.answer(session, seen.is_some()).await;
        let found = found(&answer)?;
        let Rows::Brief(rows) = &found.rows else {
            return Ok(found.status(session).map(|status| Row::of(status, seen)));
        };
        let first = rows.partition_point(|row| row.digest < session.digest());
        let mut of_digest = rows[first..].iter().take_while(|row| row.digest == session.digest());
        let Some(RowState { row, state, expires_in, .. }) = of_digest.next() else { return Ok(None) };
        // Two ids could be made to share a digest: then this answer does not say whose row it is.
        if seen == Some(*row) && of_digest.next().is_none() {
            return Ok(Some(Row::Seen { state: *state, expires_in: *expires_in }));
        }
        // The row was swept and its id declared again, or another id has its digest: the next query tells.
        let left = self.asker.deadline.saturating_sub(found.since.elapsed());
        let status = timeout(left, Box::pin(self.status(session))).await;
        Ok(status.unwrap_or(Err(StoreErrorKind::TimedOut))?.map(Row::Unseen))
    }

    /// All that the store knows about the session, otherwise as [`row`](Self::row).
    pub(super) async fn status(&self, session: &SessionKey) -> Result<Option<SessionStatus>, StoreErrorKind> {
        let answer = self.answer(session, false).await;
        Ok(found(&answer)?.status(session).cloned())
    }

    /// Waits for the answer of a query that starts after this call.
    async fn answer(&self, session: &SessionKey, is_seen: bool) -> Arc<Answered> {
        let (answer, running) = self.batches.join(session, is_seen);
        if let Some(running) = running {
            let is_alone = running.is_alone();
            let query = RunToCompletion::new(run(running, self.asker.clone()));
            // A lone request polls its query itself: no task has to be woken. When the request is dropped, or other
            // requests wait, the query goes on without it. Only one request polls at a time: a request that is kept but
            // not polled must leave the others a query that runs.
            if is_alone {
                tokio::select! { biased; () = query => {}, _ = answer.wait() => {} }
            }
        }
        answer.wait().await;
        answer
    }
}

fn found(answer: &Answered) -> Result<&Found, StoreErrorKind> {
    match answer.get() {
        Some(Ok(found)) => Ok(found),
        Some(Err(fault)) => Err(*fault),
        None => Err(StoreErrorKind::Failed),
    }
}

impl Found {
    /// The status of the session with exactly this id.
    fn status(&self, session: &SessionKey) -> Option<&SessionStatus> {
        let Rows::Full(statuses) = &self.rows else { return None };
        let place = statuses.binary_search_by(|status| status.id.cmp(session.id()));
        place.ok().map(|place| &statuses[place])
    }
}

impl Row {
    fn of(status: &SessionStatus, seen: Option<RowMark>) -> Self {
        match seen == Some(status.row) {
            true => Self::Seen { state: status.state, expires_in: status.expires_in },
            false => Self::Unseen(status.clone()),
        }
    }
}

impl Answer for Answered {
    fn abandon(&self) {
        // An answer that is already there stays.
        let _ = self.set(Err(StoreErrorKind::Failed));
    }
}

async fn run(mut running: Running<Answered>, asker: Arc<Asker>) {
    while let Some(batch) = running.batch() {
        let started = Instant::now();
        let found = asker.ask_in_time(batch).await;
        asker.figures.looked_up(batch.sessions().len(), started.elapsed());
        // Nothing else sets the answer while this query runs.
        let _ = batch.answer().set(found);
        running.next();
    }
}

impl Asker {
    /// Asks the store about the sessions of a batch, within the deadline of the batch.
    async fn ask_in_time(&self, batch: &Batch<Answered>) -> Result<Found, StoreErrorKind> {
        let since = batch.since();
        let left = self.deadline.saturating_sub(since.elapsed());
        match timeout(left, self.ask(batch)).await {
            Ok(rows) => Ok(Found { since, rows: rows? }),
            Err(_) => Err(told(&StoreError::timed_out())),
        }
    }

    /// Asks the store about the sessions of a batch, in a query that starts now, on a server that is still the primary.
    async fn ask(&self, batch: &Batch<Answered>) -> Result<Rows, StoreErrorKind> {
        // Two attempts: the connection that makes ticks may have been replaced since the last tick, also by another
        // bridge on this store. Then the last tick counts no more, and a new one is needed.
        for is_again in [false, true] {
            let asked = Moment::now();
            if let Some(max_proof_age) = self.max_proof_age {
                self.ticks.ensure(if is_again { Duration::ZERO } else { max_proof_age }, asked).await?;
            }
            let (rows, tick) = self.query(batch).await.map_err(|fault| told(&fault))?;
            if self.max_proof_age.is_none_or(|max_proof_age| self.ticks.vouch_for(tick, max_proof_age, asked))
            {
                return Ok(rows);
            }
        }
        tracing::warn!(
            sessions = batch.sessions().len(),
            "a session look-up is answered 503: the database does not show the newest tick. Check whether the gateways \
             reach the primary (OPERATIONS.md, \"What to watch\")"
        );
        Err(StoreErrorKind::Unproven)
    }

    async fn query(&self, batch: &Batch<Answered>) -> Result<(Rows, Tick), StoreError> {
        if batch.is_seen() {
            let mut answer = self.store.row_states(batch.sessions()).await?;
            answer.found.sort_unstable_by_key(|row| row.digest);
            Ok((Rows::Brief(answer.found), answer.tick))
        } else {
            let ids: Vec<_> = batch.sessions().iter().map(|session| session.id().clone()).collect();
            let mut answer = self.store.session_statuses(&ids).await?;
            answer.found.sort_unstable_by(|a, b| a.id.cmp(&b.id));
            Ok((Rows::Full(answer.found), answer.tick))
        }
    }
}

/// Logs a fault, and returns its kind.
fn told(fault: &StoreError) -> StoreErrorKind {
    log_fault(fault, "session look-up failed");
    fault.kind()
}

impl fmt::Debug for Lookups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookups").field("store", &self.asker.store).finish_non_exhaustive()
    }
}
