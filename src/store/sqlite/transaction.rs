//! A transaction with one time, and the types of columns.

use std::error::Error;
use std::time::{Duration, SystemTime};

use rusqlite::types::Type;
use rusqlite::{CachedStatement, Connection, ErrorCode, Params, Row, TransactionBehavior};

use super::store_clock::StoreClock;
use crate::store::{StoreError, StoreErrorKind};

/// A transaction. It rolls back unless it is committed.
pub(super) struct Transaction<'c> {
    inner: rusqlite::Transaction<'c>,
    /// The time for the whole transaction, in Unix milliseconds by the store's clock.
    pub(super) now: i64,
}

impl<'c> Transaction<'c> {
    /// Begins a transaction. The clock is read after the wait for the lock.
    pub(super) fn begin(
        connection: &'c mut Connection,
        behavior: TransactionBehavior,
        clock: &StoreClock,
    ) -> Result<Self, StoreError> {
        let inner = connection.transaction_with_behavior(behavior).map_err(fault)?;
        let now = clock.read(&inner, behavior).map_err(fault)?;
        Ok(Self { inner, now })
    }

    pub(super) fn commit(self) -> Result<(), StoreError> {
        self.inner.commit().map_err(fault)
    }

    /// Runs a statement and returns how many rows it changed.
    pub(super) fn execute(&self, sql: &str, params: impl Params) -> Result<u64, StoreError> {
        let changed = self.prepare(sql).and_then(|mut statement| statement.execute(params));
        changed.map(|rows| rows as u64).map_err(fault)
    }

    /// The first row, if there is one.
    pub(super) fn row<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.rows(sql, params, read)?.into_iter().next())
    }

    /// The first row, if there is one, for each set of parameters in `all`.
    pub(super) fn row_of_each<P: Params, T>(
        &self,
        sql: &str,
        all: impl Iterator<Item = P>,
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<Option<T>>, StoreError> {
        let mut statement = self.prepare(sql).map_err(fault)?;
        let rows = all.map(|params| statement.query(params)?.next()?.map(&mut read).transpose());
        rows.collect::<Result<_, _>>().map_err(fault)
    }

    /// All rows. A statement that changes rows runs to its end.
    pub(super) fn rows<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.prepare(sql).map_err(fault)?;
        let rows = statement.query_map(params, read).and_then(Iterator::collect);
        rows.map_err(fault)
    }

    fn prepare(&self, sql: &str) -> rusqlite::Result<CachedStatement<'_>> {
        #[cfg(test)]
        super::query_plan_tests::note(sql);
        self.inner.prepare_cached(sql)
    }
}

/// The store's error for `error`. Its details are hidden from callers.
pub(super) fn fault(error: rusqlite::Error) -> StoreError {
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreErrorKind::TimedOut,
        Some(ErrorCode::CannotOpen) => StoreErrorKind::Unavailable,
        Some(ErrorCode::ReadOnly) => StoreErrorKind::ReadOnly,
        Some(ErrorCode::DiskFull) => StoreErrorKind::Full,
        _ => StoreErrorKind::Failed,
    };
    StoreError::new(kind, error)
}

/// Reads a text column, and parses it.
pub(super) fn text<'r, T, E: Error + Send + Sync + 'static>(
    row: &'r Row<'_>,
    column: &str,
    parse: impl FnOnce(&'r str) -> Result<T, E>,
) -> rusqlite::Result<T> {
    let place = row.as_ref().column_index(column)?;
    let text = row.get_ref(place)?.as_str()?;
    parse(text).map_err(|e| rusqlite::Error::FromSqlConversionFailure(place, Type::Text, Box::new(e)))
}

/// Reads a text column that may be null.
pub(super) fn optional_text<'r, T, E: Error + Send + Sync + 'static>(
    row: &'r Row<'_>,
    column: &str,
    parse: impl FnOnce(&'r str) -> Result<T, E>,
) -> rusqlite::Result<Option<T>> {
    let is_null = row.get_ref(column)?.as_str_or_null()?.is_none();
    if is_null { Ok(None) } else { text(row, column, parse).map(Some) }
}

/// A duration in milliseconds, at most a thousand years.
pub(super) fn millis(duration: Duration) -> i64 {
    const THOUSAND_YEARS: i64 = 1000 * 365 * 24 * 60 * 60 * 1000;
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX).min(THOUSAND_YEARS)
}

/// A stored number of milliseconds. A negative one counts as zero.
pub(super) fn duration(millis: i64) -> Duration {
    Duration::from_millis(millis.max(0).unsigned_abs())
}

/// A stored time.
pub(super) fn system_time(millis: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + duration(millis)
}
