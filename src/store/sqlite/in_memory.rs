//! A store in memory, for tests of a host's own code.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::runtime::Handle;

use super::connect;
use super::connections::Connections;
use super::file_identity::OpenedFiles;
use super::revocation_hints::Hints;
use super::store::SqliteStore;
use super::store_clock::StoreClock;
use crate::clock::TestClock;
use crate::store::{StoreError, StoreErrorKind};

impl SqliteStore {
    const READERS: usize = 2;
    const TIMEOUT: Duration = Duration::from_secs(5);

    /// A store of its own in memory, which judges by `clock`. It cannot answer while `is_down` is set.
    ///
    /// It runs the statements of every other SQLite store.
    pub(crate) async fn in_memory(clock: TestClock, is_down: Arc<AtomicBool>) -> Result<Self, StoreError> {
        let (files, clock) = (OpenedFiles::in_memory(is_down), StoreClock::of_test(clock));
        let prepared =
            tokio::task::spawn_blocking(move || connect::prepare_in_memory(files, clock, Self::TIMEOUT));
        let opened = prepared.await.map_err(|e| StoreError::new(StoreErrorKind::Failed, e))??;
        let connections = Connections::new(opened, Self::READERS, Self::TIMEOUT)?;
        Ok(Self { connections, runtime: Handle::current(), hints: Hints::new(None) })
    }
}
