//! A real database for one test, whichever it is.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bridge_auth::store::Store;

/// A fresh, migrated, empty database for one test; it goes with the value.
#[async_trait]
pub trait Backend: Send + Sync + Sized + 'static {
    /// Makes one.
    async fn start() -> Self;

    /// Another handle with connections of its own, as another node would have.
    async fn open(&self) -> Arc<dyn Store>;

    /// Makes every time that is stored `by` older, as if that much had passed by the database's clock.
    async fn pass_time(&self, by: Duration);

    /// How many rows `table` has.
    async fn count(&self, table: &str) -> u64;
}
