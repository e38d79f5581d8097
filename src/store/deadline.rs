//! Deadlines of store operations.

use std::time::Duration;

use super::StoreError;
use crate::validate::{BuildError, Setting, check_deadline};

/// How long a store may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadlines {
    /// For operations that only read.
    pub(crate) read: Duration,
    /// For operations that write: they may end something, so they get longer.
    pub(crate) write: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { read: Duration::from_secs(2), write: Duration::from_secs(10) }
    }
}

impl Deadlines {
    pub(crate) fn check(&self) -> Result<(), BuildError> {
        check_deadline(Setting::new("the store deadline", "BridgeBuilder::store_deadline"), self.read)?;
        check_deadline(Setting::new("the write deadline", "BridgeBuilder::write_deadline"), self.write)
    }
}

/// The answer of `operation`, or [`StoreError::timed_out`] once `deadline` has passed.
pub(crate) async fn within_deadline<T, E: From<StoreError>>(
    deadline: Duration,
    operation: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    tokio::time::timeout(deadline, operation).await.unwrap_or_else(|_| Err(StoreError::timed_out().into()))
}
