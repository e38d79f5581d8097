//! Connections, lent for one statement each.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Object, Pool};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::error::{failed, leaves_connection_good};
use crate::store::StoreError;

/// How much longer than the server the client waits: an answer that says so keeps the connection,
/// giving up costs it.
const GRACE: Duration = Duration::from_millis(200);

pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// The connections: those for look-ups, which nothing else takes, and those for all the rest.
#[derive(Clone)]
pub(super) struct Connections {
    /// For what every request waits for: whether sessions are live, and what was revoked.
    pub(super) look_ups: Lane,
    pub(super) rest: Lane,
}

/// Connections for one purpose, and their deadlines.
#[derive(Clone)]
pub(super) struct Lane {
    pub(super) pool: Pool,
    /// How many of the pool's connections it may take at once, where it has no pool of its own.
    pub(super) places: Option<Arc<Semaphore>>,
    /// For a place in the pool and the connection that takes it.
    pub(super) acquire: Duration,
    /// For the statement, as the server was told.
    pub(super) statement: Duration,
}

impl Connections {
    /// Two queries of shared look-ups, and one that is a reading of the log or a ping.
    pub(super) const FOR_LOOK_UPS: usize = 3;

    /// All of one pool: the rest leaves as many connections as look-ups need.
    pub(super) fn of_one_pool(pool: Pool, acquire: Duration, statement: Duration) -> Self {
        let size = pool.status().max_size;
        let places = size.saturating_sub(Self::FOR_LOOK_UPS).max(size / 2).max(1);
        let look_ups = Lane { pool, places: None, acquire, statement };
        let rest = Lane { places: Some(Arc::new(Semaphore::new(places))), ..look_ups.clone() };
        Self { look_ups, rest }
    }

    /// Runs one statement, which is a transaction by itself.
    pub(super) async fn query(&self, sql: &'static str, params: Params<'_>) -> Result<Vec<Row>, StoreError> {
        self.rest.query(sql, params).await
    }

    /// Runs one statement that requests wait for, beside whatever is written.
    pub(super) async fn query_look_up(
        &self,
        sql: &'static str,
        params: Params<'_>,
    ) -> Result<Vec<Row>, StoreError> {
        self.look_ups.query(sql, params).await
    }

    /// Runs one statement that answers with exactly one row.
    pub(super) async fn query_one(&self, sql: &'static str, params: Params<'_>) -> Result<Row, StoreError> {
        let rows = self.query(sql, params).await?;
        rows.into_iter().next().ok_or_else(|| failed("no row where there must be one"))
    }

    /// Runs one statement that may touch very many rows, and takes up to `deadline` for it.
    pub(super) async fn query_one_within(
        &self,
        deadline: Duration,
        sql: &'static str,
        params: Params<'_>,
    ) -> Result<Row, StoreError> {
        let mut lease = self.rest.lease().await?;
        let answer = timeout(deadline + GRACE, async {
            let transaction = lease.connection_mut().transaction().await?;
            let allow = format!(
                "SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = {}",
                deadline.as_millis(),
                deadline.as_millis() / 4
            );
            transaction.batch_execute(&allow).await?;
            let row = transaction.query_one(sql, params).await?;
            transaction.commit().await?;
            Ok(row)
        });
        let answer = answer.await;
        lease.end(answer)
    }
}

impl Lane {
    pub(super) async fn query(&self, sql: &'static str, params: Params<'_>) -> Result<Vec<Row>, StoreError> {
        let lease = self.lease().await?;
        let answer = timeout(self.statement + GRACE, async {
            let statement = lease.connection().prepare_cached(sql).await?;
            lease.connection().query(&statement, params).await
        });
        let answer = answer.await;
        lease.end(answer)
    }

    /// Takes a connection out of the pool.
    pub(super) async fn lease(&self) -> Result<Lease, StoreError> {
        let acquired = timeout(self.acquire, async {
            let place = match &self.places {
                Some(places) => Some(places.clone().acquire_owned().await.map_err(failed)?),
                None => None,
            };
            Ok(Lease { object: Some(self.pool.get().await?), _place: place })
        });
        acquired.await.unwrap_or_else(|_| Err(StoreError::timed_out()))
    }
}

/// A connection that goes back to the pool only when it is said to be good.
///
/// Dropped otherwise, by an error or with the future that held it, it is closed: an answer may be
/// outstanding, a prepared statement may have become invalid, a lock may be held.
pub(super) struct Lease {
    object: Option<Object>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Lease {
    pub(super) fn connection(&self) -> &Object {
        self.object.as_ref().expect("taken only by what consumes the lease")
    }

    pub(super) fn connection_mut(&mut self) -> &mut Object {
        self.object.as_mut().expect("taken only by what consumes the lease")
    }

    /// Gives the connection back if nothing is outstanding and nothing is wrong with it.
    fn end<T>(mut self, answer: Result<Result<T, tokio_postgres::Error>, Elapsed>) -> Result<T, StoreError> {
        let answer = answer.map_err(|_| StoreError::timed_out())?;
        if answer.as_ref().map_or_else(leaves_connection_good, |_| true) {
            drop(self.object.take());
        }
        Ok(answer?)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(object) = self.object.take() {
            drop(Object::take(object));
        }
    }
}
