//! Connections, lent for one statement each.

use std::time::Duration;

use deadpool_postgres::{Object, Pool};
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::error::is_statement_timeout;
use crate::store::StoreError;

/// How much longer than the server the client waits: an answer that says so keeps the connection,
/// giving up costs it.
const GRACE: Duration = Duration::from_millis(200);

pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// The pool and the deadlines.
#[derive(Clone)]
pub(super) struct Connections {
    pub(super) pool: Pool,
    /// For a place in the pool and the connection that takes it.
    pub(super) acquire: Duration,
    /// For the statement, as the server was told.
    pub(super) statement: Duration,
}

impl Connections {
    /// Runs one statement, which is a transaction by itself.
    pub(super) async fn query(&self, sql: &'static str, params: Params<'_>) -> Result<Vec<Row>, StoreError> {
        let lease = self.lease().await?;
        let answer = timeout(self.statement + GRACE, async {
            let statement = lease.connection().prepare_cached(sql).await?;
            lease.connection().query(&statement, params).await
        });
        let answer = answer.await;
        lease.end(answer)
    }

    /// Runs one statement that may touch very many rows, and takes up to `deadline` for it.
    pub(super) async fn query_one_within(
        &self,
        deadline: Duration,
        sql: &'static str,
        params: Params<'_>,
    ) -> Result<Row, StoreError> {
        let mut lease = self.lease().await?;
        let answer = timeout(deadline + GRACE, async {
            let transaction = lease.connection_mut().transaction().await?;
            let allow = format!("SET LOCAL statement_timeout = {}", deadline.as_millis());
            transaction.batch_execute(&allow).await?;
            let row = transaction.query_one(sql, params).await?;
            transaction.commit().await?;
            Ok(row)
        });
        let answer = answer.await;
        lease.end(answer)
    }

    /// Runs one statement that answers with exactly one row.
    pub(super) async fn query_one(&self, sql: &'static str, params: Params<'_>) -> Result<Row, StoreError> {
        let rows = self.query(sql, params).await?;
        rows.into_iter().next().ok_or_else(|| super::error::failed("no row where there must be one"))
    }

    /// Takes a connection out of the pool.
    pub(super) async fn lease(&self) -> Result<Lease, StoreError> {
        match timeout(self.acquire, self.pool.get()).await {
            Ok(object) => Ok(Lease(Some(object?))),
            Err(_) => Err(StoreError::timed_out()),
        }
    }
}

/// A connection that goes back to the pool only when it is said to be good.
///
/// Dropped otherwise, by an error or with the future that held it, it is closed: an answer may be
/// outstanding, a prepared statement may have become invalid, a lock may be held.
pub(super) struct Lease(Option<Object>);

impl Lease {
    pub(super) fn connection(&self) -> &Object {
        self.0.as_ref().expect("taken only by what consumes the lease")
    }

    pub(super) fn connection_mut(&mut self) -> &mut Object {
        self.0.as_mut().expect("taken only by what consumes the lease")
    }

    /// Gives the connection back if nothing is outstanding and nothing is wrong with it.
    fn end<T>(mut self, answer: Result<Result<T, tokio_postgres::Error>, Elapsed>) -> Result<T, StoreError> {
        let answer = answer.map_err(|_| StoreError::timed_out())?;
        if answer.as_ref().map_or_else(is_statement_timeout, |_| true) {
            drop(self.0.take());
        }
        Ok(answer?)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            drop(Object::take(object));
        }
    }
}
