//! An end to waiting for a store.

use std::time::Duration;

use super::StoreError;

/// What `operation` answers, or [`StoreError::timed_out`] once `deadline` has passed.
pub(crate) async fn within_deadline<T, E: From<StoreError>>(
    deadline: Duration,
    operation: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    tokio::time::timeout(deadline, operation).await.unwrap_or_else(|_| Err(StoreError::timed_out().into()))
}
