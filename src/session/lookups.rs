//! Strict look-ups that share queries.
//!
//! A request that arrives while [`Lookups::MAX_QUERIES`] queries run joins the one that starts next, together with all
//! others that wait. So a verdict always comes from a query that started after its request arrived, a lone
//! request waits for nobody, and a crowd needs a handful of queries.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::SetOnce;

use super::batches::{Answer, Batches, Running};
use super::epochs::Moment;
use super::figures::Figures;
use super::ticks::Ticks;
use crate::id::SessionId;
use crate::store::{
    SessionStatus, SessionStatuses, Store, StoreErrorKind, ToItsEnd, log_fault, within_deadline,
};

/// Looks sessions up, many at once.
pub(super) struct Lookups {
    asker: Arc<Asker>,
    batches: Arc<Batches<Found>>,
}

/// Asks the store, and holds its answer against the newest tick.
struct Asker {
    store: Arc<dyn Store>,
    deadline: Duration,
    ticks: Arc<Ticks>,
    /// How old a tick may be that an answer shows; nothing where that does not count.
    fence: Option<Duration>,
    figures: Arc<Figures>,
}

/// What a query found, by place, once it is there.
type Found = SetOnce<Result<Vec<Option<SessionStatus>>, StoreErrorKind>>;

impl Lookups {
    /// How many queries run at once.
    const MAX_QUERIES: usize = 2;

    pub(super) fn new(
        store: Arc<dyn Store>,
        deadline: Duration,
        ticks: Arc<Ticks>,
        fence: Option<Duration>,
        figures: Arc<Figures>,
    ) -> Self {
        let asker = Asker { store, deadline, ticks, fence, figures };
        Self { asker: Arc::new(asker), batches: Batches::new(Self::MAX_QUERIES) }
    }

    /// What the store knows of the session, from a query that starts after this call.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves the query to those who wait with it.
    pub(super) async fn status(&self, id: &SessionId) -> Result<Option<SessionStatus>, StoreErrorKind> {
        let (place, found, running) = self.batches.join(id);
        let answered = async {
            if let Some(running) = running {
                let is_alone = running.is_alone();
                let query = ToItsEnd::new(run(running, self.asker.clone()));
                // A lone request asks for itself: nothing has to be woken. Its query goes on without it as soon as it
                // is dropped, or others wait. No more than one does so: a request that is kept but not polled must
                // leave the others a query that runs.
                if is_alone {
                    tokio::select! { biased; () = query => {}, _ = found.wait() => {} }
                }
            }
            found.wait().await
        };
        match tokio::time::timeout(self.asker.deadline, answered).await {
            Ok(Ok(found)) => Ok(found.get(place).cloned().flatten()),
            Ok(Err(fault)) => Err(*fault),
            Err(_) => Err(StoreErrorKind::TimedOut),
        }
    }
}

impl Answer for Found {
    fn abandon(&self) {
        // The first answer stands.
        let _ = self.set(Err(StoreErrorKind::Failed));
    }
}

async fn run(mut running: Running<Found>, asker: Arc<Asker>) {
    while let Some(batch) = running.batch() {
        let started = Instant::now();
        let found = asker.ask(batch.ids()).await;
        asker.figures.looked_up(batch.ids().len(), started.elapsed());
        // Nobody else sets it while this query runs.
        let _ = batch.answer().set(found.map(|found| batch.sort(found, |status| &status.id)));
        running.next();
    }
}

impl Asker {
    /// What the store has of these sessions, from a query that starts now, of a server that is still the primary.
    async fn ask(&self, ids: &[SessionId]) -> Result<Vec<SessionStatus>, StoreErrorKind> {
        // Twice: the line to the server may have been made anew since the last tick, also by another bridge on this store. Then
        // that tick counts no more, and a new one is needed.
        for is_again in [false, true] {
            let asked = Moment::now();
            if let Some(fence) = self.fence {
                self.ticks.ensure(if is_again { Duration::ZERO } else { fence }, asked).await?;
            }
            let answer = within_deadline(self.deadline, self.store.session_statuses(ids)).await;
            let SessionStatuses { found, tick } = answer.map_err(|fault| {
                log_fault(&fault, "session look-up failed");
                fault.kind()
            })?;
            if self.fence.is_none_or(|fence| self.ticks.vouch_for(tick, fence, asked)) {
                return Ok(found);
            }
        }
        tracing::warn!("session look-up proves nothing: the server does not show the newest tick");
        Err(StoreErrorKind::Unproven)
    }
}

impl fmt::Debug for Lookups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookups").field("store", &self.asker.store).finish_non_exhaustive()
    }
}
