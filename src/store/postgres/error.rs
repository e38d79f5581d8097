//! Faults of PostgreSQL, sorted by what they mean for the store.

use std::error::Error;
use std::io;

use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

use super::timeline::Timeline;
use crate::store::migrations::Migration;
use crate::store::{StoreError, StoreErrorKind};

/// Whether the statement ran into `statement_timeout` or `lock_timeout`: its connection is as good as before.
pub(super) fn leaves_connection_good(error: &tokio_postgres::Error) -> bool {
    matches!(error.code(), Some(&SqlState::QUERY_CANCELED | &SqlState::LOCK_NOT_AVAILABLE))
}

pub(super) fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> StoreError {
    StoreError::new(StoreErrorKind::Failed, error)
}

/// A fault that stays until somebody does what `advice` says.
pub(super) fn misconfigured(advice: impl Into<Box<dyn Error + Send + Sync>>) -> StoreError {
    StoreError::new(StoreErrorKind::Misconfigured, advice)
}

/// A fault that somebody must correct, and how.
#[derive(Debug, thiserror::Error)]
#[error("{advice}")]
struct Explained {
    advice: &'static str,
    source: tokio_postgres::Error,
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(advice) = error.as_db_error().and_then(|fault| advice(fault.code(), fault.message())) {
            let kind = match error.code() {
                // The database may be restored.
                Some(&SqlState::INVALID_CATALOG_NAME) => StoreErrorKind::Unavailable,
                _ => StoreErrorKind::Misconfigured,
            };
            return Self::new(kind, Explained { advice, source: error });
        }
        Self::new(kind_of_error(&error), error)
    }
}

/// A migration that failed. Nothing of it was applied.
#[derive(Debug, thiserror::Error)]
#[error("the migration {migration} was not applied")]
struct NotApplied {
    migration: Migration,
    source: StoreError,
}

/// The fault of a migration that failed.
pub(super) fn not_applied(migration: Migration, error: tokio_postgres::Error) -> StoreError {
    let source = StoreError::from(error);
    StoreError::new(source.kind(), NotApplied { migration, source })
}

/// The meaning of `fault` for a gateway that starts: nobody is restoring an absent database at that moment.
pub(super) fn at_start(fault: StoreError) -> StoreError {
    let first: &(dyn Error + 'static) = &fault;
    let is_absent = std::iter::successors(Some(first), |error| (*error).source())
        .filter_map(|error| error.downcast_ref::<tokio_postgres::Error>())
        .any(|error| error.code() == Some(&SqlState::INVALID_CATALOG_NAME));
    if is_absent { misconfigured(fault) } else { fault }
}

impl From<PoolError> for StoreError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => error.into(),
            PoolError::Timeout(_) => Self::new(StoreErrorKind::TimedOut, error),
            PoolError::NoRuntimeSpecified => Self::new(StoreErrorKind::Failed, error),
            PoolError::Closed | PoolError::PostCreateHook(_) => Self::new(StoreErrorKind::Unavailable, error),
        }
    }
}

fn kind_of_error(error: &tokio_postgres::Error) -> StoreErrorKind {
    match (error.code(), io_source(error)) {
        (Some(state), _) => kind_of(state),
        (None, Some(io)) if io.kind() == io::ErrorKind::TimedOut => StoreErrorKind::TimedOut,
        // The server does not fit `target_session_attrs`.
        (None, Some(io)) if io.kind() == io::ErrorKind::PermissionDenied => StoreErrorKind::ReadOnly,
        (None, Some(_)) => StoreErrorKind::Unavailable,
        (None, None) if error.is_closed() => StoreErrorKind::Unavailable,
        (None, None) => StoreErrorKind::Failed,
    }
}

/// What to write if the server keeps refusing; `None` if the fault may pass.
fn advice(state: &SqlState, message: &str) -> Option<&'static str> {
    // PgBouncer has one code for everything that it refuses.
    if state.code() == "08P01" && message.contains("startup parameter") {
        return Some(
            "a pooler refuses the startup parameter `options`: remove `options` from the database's URL, and set its \
             values with ALTER ROLE … SET. (`ignore_startup_parameters = options` in pgbouncer.ini would ignore them \
             without a warning)",
        );
    }
    if state.code() == "08P01" && message.contains("statement pooling mode") {
        return Some(TRANSACTION_POOLER);
    }
    // Class 28: the login was refused.
    if state.code().starts_with("28") {
        return Some(
            "the server refused the login: check user and password in the database's URL, and the server's pg_hba.conf",
        );
    }
    match state.code() {
        "42501" => Some(
            "the gateway's role lacks a right. As the owner of the schema bridge_auth run, for that role: GRANT USAGE \
             ON SCHEMA bridge_auth TO …; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA bridge_auth TO \
             …; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA bridge_auth TO … (a gateway names the role and its missing \
             rights when it starts)",
        ),
        "42P01" | "42883" | "42703" | "42704" | "3F000" => Some(
            "a table, function or column is missing in the schema bridge_auth: run `PostgresStore::migrate` on this \
             database, or restore what was dropped",
        ),
        "3D000" => Some(
            "there is no such database: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0, or correct its name in \
             the URL",
        ),
        "22P05" => Some(
            "the database cannot store a character, because its encoding is not UTF8: CREATE DATABASE … ENCODING \
             'UTF8' TEMPLATE template0",
        ),
        // The statement was prepared on another connection, or twice on one connection.
        "26000" | "42P05" => Some(TRANSACTION_POOLER),
        _ => None,
    }
}

/// Why a transaction pooler is refused, and what to write.
pub(super) const TRANSACTION_POOLER: &str = "a pooler gives this gateway another server connection for each \
    transaction or statement. Prepared statements, LISTEN and settings need one that stays the same: otherwise \
    gateways run each other's statements. Write `pool_mode = session` for this database in pgbouncer.ini, or connect \
    to PostgreSQL directly";

fn kind_of(state: &SqlState) -> StoreErrorKind {
    // Class 08: connection exceptions.
    if state.code().starts_with("08") {
        return StoreErrorKind::Unavailable;
    }
    match *state {
        ref state if state.code() == Timeline::IS_OLDER => StoreErrorKind::Unproven,
        SqlState::QUERY_CANCELED | SqlState::LOCK_NOT_AVAILABLE => StoreErrorKind::TimedOut,
        SqlState::ADMIN_SHUTDOWN
        | SqlState::CRASH_SHUTDOWN
        | SqlState::CANNOT_CONNECT_NOW
        | SqlState::TOO_MANY_CONNECTIONS => StoreErrorKind::Unavailable,
        // A primary that became a standby.
        SqlState::READ_ONLY_SQL_TRANSACTION => StoreErrorKind::ReadOnly,
        SqlState::DISK_FULL => StoreErrorKind::Full,
        _ => StoreErrorKind::Failed,
    }
}

fn io_source(error: &tokio_postgres::Error) -> Option<&io::Error> {
    error.source()?.downcast_ref()
}

/// The server is a standby, or was made read-only.
pub(super) fn takes_no_writes() -> StoreError {
    StoreError::new(
        StoreErrorKind::ReadOnly,
        "the server takes no writes: it is a standby, or its transactions are read-only",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_goes_away_is_unavailable_and_a_slow_one_timed_out() {
        for (code, kind) in [
            ("08006", StoreErrorKind::Unavailable),
            ("57P01", StoreErrorKind::Unavailable),
            ("57P03", StoreErrorKind::Unavailable),
            ("53300", StoreErrorKind::Unavailable),
            ("25006", StoreErrorKind::ReadOnly),
            ("57014", StoreErrorKind::TimedOut),
            ("53100", StoreErrorKind::Full),
        ] {
            assert_eq!(kind_of(&SqlState::from_code(code)), kind, "{code}");
            assert_eq!(advice(&SqlState::from_code(code), ""), None, "{code}");
        }
    }

    #[test]
    fn what_stays_until_somebody_corrects_it_says_what_to_write() {
        for (code, message, to_write) in [
            ("42501", "permission denied for table sessions", "GRANT USAGE ON SCHEMA bridge_auth"),
            ("42P01", "relation does not exist", "PostgresStore::migrate"),
            ("42883", "function does not exist", "PostgresStore::migrate"),
            ("3F000", "schema does not exist", "PostgresStore::migrate"),
            ("28P01", "password authentication failed", "pg_hba.conf"),
            ("28000", "no pg_hba.conf entry", "pg_hba.conf"),
            ("3D000", "database does not exist", "ENCODING 'UTF8'"),
            ("08P01", "unsupported startup parameter: options", "remove `options`"),
            ("08P01", "transaction blocks not allowed in statement pooling mode", "pool_mode = session"),
            ("42P05", "prepared statement \"s1\" already exists", "pool_mode = session"),
        ] {
            let said = advice(&SqlState::from_code(code), message).unwrap_or_default();
            assert!(said.contains(to_write), "{code}: {said}");
        }
        assert_eq!(advice(&SqlState::from_code("08P01"), "server closed the connection"), None);
    }
}
