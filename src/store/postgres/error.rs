//! Faults of PostgreSQL, sorted by what they say about the store.

use std::error::Error;
use std::io;

use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

use crate::store::{StoreError, StoreErrorKind};

/// The statement ran into `statement_timeout` or `lock_timeout`: its connection is as good as before.
pub(super) fn leaves_connection_good(error: &tokio_postgres::Error) -> bool {
    matches!(error.code(), Some(&SqlState::QUERY_CANCELED | &SqlState::LOCK_NOT_AVAILABLE))
}

pub(super) fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> StoreError {
    StoreError::new(StoreErrorKind::Failed, error)
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        let kind = match (error.code(), io_source(&error)) {
            (Some(state), _) => kind_of(state),
            (None, Some(io)) if io.kind() == io::ErrorKind::TimedOut => StoreErrorKind::TimedOut,
            (None, Some(_)) => StoreErrorKind::Unavailable,
            (None, None) if error.is_closed() => StoreErrorKind::Unavailable,
            (None, None) => StoreErrorKind::Failed,
        };
        Self::new(kind, error)
    }
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

fn kind_of(state: &SqlState) -> StoreErrorKind {
    // Class 08: connection exceptions.
    if state.code().starts_with("08") {
        return StoreErrorKind::Unavailable;
    }
    match *state {
        SqlState::QUERY_CANCELED | SqlState::LOCK_NOT_AVAILABLE => StoreErrorKind::TimedOut,
        SqlState::ADMIN_SHUTDOWN
        | SqlState::CRASH_SHUTDOWN
        | SqlState::CANNOT_CONNECT_NOW
        | SqlState::TOO_MANY_CONNECTIONS
        // A primary that became a standby.
        | SqlState::READ_ONLY_SQL_TRANSACTION => StoreErrorKind::Unavailable,
        _ => StoreErrorKind::Failed,
    }
}

fn io_source(error: &tokio_postgres::Error) -> Option<&io::Error> {
    error.source()?.downcast_ref()
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
            ("25006", StoreErrorKind::Unavailable),
            ("57014", StoreErrorKind::TimedOut),
            ("53100", StoreErrorKind::Failed),
            ("42P01", StoreErrorKind::Failed),
        ] {
            assert_eq!(kind_of(&SqlState::from_code(code)), kind, "{code}");
        }
    }
}
