//! Strict look-ups that share queries.
//!
//! A request that arrives while [`Lookups::MAX_QUERIES`] queries run joins the one that starts next, together with all
//! others that wait. So a verdict always comes from a query that started after its request arrived, a lone
//! request waits for nobody, and a crowd needs a handful of queries.
//!
//! A row that was seen before, and fitted the token, is asked for its state alone. Which row it is, the answer tells: another
//! one is asked for in full.
//!
//! A query has until the deadline has passed since the first of its requests joined. So no request waits for longer, and
//! no request needs a timer of its own.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::SetOnce;
use tokio::time::timeout;

use super::batches::{Answer, Batch, Batches, Running};
use super::figures::Figures;
use super::ticks::Ticks;
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

/// Asks the store, and holds its answer against the newest tick.
struct Asker {
    store: Arc<dyn Store>,
    deadline: Duration,
    ticks: Arc<Ticks>,
    /// How old a tick may be that an answer shows; nothing where that does not count.
    max_proof_age: Option<Duration>,
    figures: Arc<Figures>,
}

/// The answer of a query, once it is there.
type Answered = SetOnce<Result<Found, StoreErrorKind>>;

/// What a query found.
struct Found {
    /// When the first of its requests joined.
    since: Instant,
    rows: Rows,
}

enum Rows {
    /// In the order of their ids.
    Full(Vec<SessionStatus>),
    /// Of sessions whose rows all who asked had seen before, in the order of their digests.
    Brief(Vec<RowState>),
}

/// What a look-up says of the row of a session.
#[derive(Debug)]
pub(crate) enum Row {
    /// It is the one that was seen before.
    Seen {
        /// Whether it is live now.
        state: SessionState,
        /// How long it has left.
        expires_in: Duration,
    },
    /// It was not seen before.
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

    /// What the store knows of the session, from a query that starts after this call. `seen` is the row that the caller knows.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves the query to those who wait with it.
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
        // Two ids could be made to share a digest: then nothing here says whose a row is.
        if seen == Some(*row) && of_digest.next().is_none() {
            return Ok(Some(Row::Seen { state: *state, expires_in: *expires_in }));
        }
        // It was swept and its id declared again, or another id has its digest: the next query tells.
        let left = self.asker.deadline.saturating_sub(found.since.elapsed());
        let status = timeout(left, Box::pin(self.status(session))).await;
        Ok(status.unwrap_or(Err(StoreErrorKind::TimedOut))?.map(Row::Unseen))
    }

    /// All that the store knows of the session, as of [`row`](Self::row).
    pub(super) async fn status(&self, session: &SessionKey) -> Result<Option<SessionStatus>, StoreErrorKind> {
        let answer = self.answer(session, false).await;
        Ok(found(&answer)?.status(session).cloned())
    }

    /// The answer of a query that starts after this call, when it is there.
    async fn answer(&self, session: &SessionKey, is_seen: bool) -> Arc<Answered> {
        let (answer, running) = self.batches.join(session, is_seen);
        if let Some(running) = running {
            let is_alone = running.is_alone();
            let query = RunToCompletion::new(run(running, self.asker.clone()));
            // A lone request asks for itself: nothing has to be woken. Its query goes on without it as soon as it
            // is dropped, or others wait. No more than one does so: a request that is kept but not polled must
            // leave the others a query that runs.
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
    /// The status of the session with this very id.
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
        // The first answer stands.
        let _ = self.set(Err(StoreErrorKind::Failed));
    }
}

async fn run(mut running: Running<Answered>, asker: Arc<Asker>) {
    while let Some(batch) = running.batch() {
        let started = Instant::now();
        let found = asker.ask_in_time(batch).await;
        asker.figures.looked_up(batch.sessions().len(), started.elapsed());
        // Nobody else sets it while this query runs.
        let _ = batch.answer().set(found);
        running.next();
    }
}

impl Asker {
    /// What the store has of these sessions, before anyone has waited for longer than the deadline.
    async fn ask_in_time(&self, batch: &Batch<Answered>) -> Result<Found, StoreErrorKind> {
        let since = batch.since();
        let left = self.deadline.saturating_sub(since.elapsed());
        match timeout(left, self.ask(batch)).await {
            Ok(rows) => Ok(Found { since, rows: rows? }),
            Err(_) => Err(told(&StoreError::timed_out())),
        }
    }

    /// What the store has of these sessions, from a query that starts now, of a server that is still the primary.
    async fn ask(&self, batch: &Batch<Answered>) -> Result<Rows, StoreErrorKind> {
        // Twice: the line to the server may have been made anew since the last tick, also by another bridge on this store. Then
        // that tick counts no more, and a new one is needed.
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
        tracing::warn!("session look-up proves nothing: the server does not show the newest tick");
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

/// The kind of a fault that the log is told of.
fn told(fault: &StoreError) -> StoreErrorKind {
    log_fault(fault, "session look-up failed");
    fault.kind()
}

impl fmt::Debug for Lookups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookups").field("store", &self.asker.store).finish_non_exhaustive()
    }
}
