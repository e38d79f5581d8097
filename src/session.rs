//! Whether a session is live: the one place that asks, so that how it asks can change behind it.

use std::sync::Arc;
use std::time::Duration;

use crate::id::SessionId;
use crate::store::{SessionStatus, Store, StoreError, within_deadline};

/// What "live" promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Freshness {
    /// The verdict comes from a query that started after the request arrived: a request that is sent
    /// after a revocation was acknowledged is refused, on every node.
    #[default]
    Strict,
}

/// Answers whether sessions are live, as fresh as [`Freshness`] promises.
#[derive(Debug, Clone)]
pub(crate) struct Liveness {
    store: Arc<dyn Store>,
    deadline: Duration,
}

impl Liveness {
    pub(crate) fn new(store: Arc<dyn Store>, freshness: Freshness, deadline: Duration) -> Self {
        let Freshness::Strict = freshness;
        Self { store, deadline }
    }

    /// What is known of the session, `None` when it has no row.
    ///
    /// # Cancel safety
    ///
    /// Nothing is left behind when the future is dropped.
    pub(crate) async fn status(&self, id: &SessionId) -> Result<Option<SessionStatus>, StoreError> {
        let ids = std::slice::from_ref(id);
        let statuses = within_deadline(self.deadline, self.store.session_statuses(ids)).await?;
        Ok(statuses.into_iter().find(|status| status.id == *id))
    }
}
