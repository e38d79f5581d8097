//! Strict look-ups that share queries.
//!
//! A request that arrives while [`Lookups::MAX_QUERIES`] queries run joins the one that starts next, together with all
//! others that wait. So a verdict always comes from a query that started after its request arrived, a lone
//! request waits for nobody, and a crowd needs a handful of queries.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::SetOnce;

use super::batches::{Answer, Batches, Running};
use crate::id::SessionId;
use crate::store::{SessionStatus, Store, StoreErrorKind, log_fault, within_deadline};

/// Looks sessions up, many at once.
pub(super) struct Lookups {
    store: Arc<dyn Store>,
    deadline: Duration,
    batches: Arc<Batches<Found>>,
}

/// What a query found, by place, once it is there.
type Found = SetOnce<Result<Vec<Option<SessionStatus>>, StoreErrorKind>>;

impl Lookups {
    /// How many queries run at once.
    const MAX_QUERIES: usize = 2;

    pub(super) fn new(store: Arc<dyn Store>, deadline: Duration) -> Self {
        Self { store, deadline, batches: Batches::new(Self::MAX_QUERIES) }
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
                let query = Query::new(run(running, self.store.clone(), self.deadline));
                // A lone request asks for itself: nothing has to be woken. Its query goes on without it as soon as it
                // is dropped, or others wait. No more than one does so: a request that is kept but not polled must
                // leave the others a query that runs.
                if is_alone {
                    tokio::select! { biased; () = query => {}, _ = found.wait() => {} }
                }
            }
            found.wait().await
        };
        match tokio::time::timeout(self.deadline, answered).await {
            Ok(Ok(found)) => Ok(found.get(place).cloned().flatten()),
            Ok(Err(fault)) => Err(*fault),
            Err(_) => Err(StoreErrorKind::TimedOut),
        }
    }
}

/// A query that goes on by itself once it is dropped.
struct Query(Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Query {
    fn new(query: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Some(Box::pin(query)))
    }
}

impl Future for Query {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Taken out while it is polled: one that panics (a store of the host's own) must not go on.
        if let Some(mut query) = self.0.take()
            && query.as_mut().poll(cx).is_pending()
        {
            self.0 = Some(query);
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

impl Drop for Query {
    fn drop(&mut self) {
        // Without a runtime there is nobody to wait for it either.
        if let (Some(rest), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(rest);
        }
    }
}

impl Answer for Found {
    fn abandon(&self) {
        // The first answer stands.
        let _ = self.set(Err(StoreErrorKind::Failed));
    }
}

async fn run(mut running: Running<Found>, store: Arc<dyn Store>, deadline: Duration) {
    while let Some(batch) = running.batch() {
        let found = within_deadline(deadline, store.session_statuses(batch.ids())).await;
        // Nobody else sets it while this query runs.
        let _ = batch.answer().set(match found {
            Ok(statuses) => Ok(batch.sort(statuses, |status| &status.id)),
            Err(fault) => {
                log_fault(&fault, "session look-up failed");
                Err(fault.kind())
            }
        });
        running.next();
    }
}

impl fmt::Debug for Lookups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookups").field("store", &self.store).finish_non_exhaustive()
    }
}
