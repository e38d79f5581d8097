//! The settings of a file, and how it is opened.

use std::path::PathBuf;
use std::time::Duration;

use tokio::runtime::Handle;

use super::connect;
use super::connections::Connections;
use super::revocation_hints::Hints;
use super::store::SqliteStore;
use crate::store::{StoreError, StoreErrorKind};

/// Settings of a [`SqliteStore`].
#[derive(Debug, Clone)]
#[must_use = "call `open`"]
pub struct SqliteStoreBuilder {
    path: PathBuf,
    readers: usize,
    timeout: Duration,
}

impl SqliteStore {
    /// Opens the file at `path` with the default settings; see [`SqliteStoreBuilder::open`].
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the path names no file, or when the file cannot be made, opened or migrated.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        Self::builder(path).open().await
    }

    /// Settings for the file at `path`.
    pub fn builder(path: impl Into<PathBuf>) -> SqliteStoreBuilder {
        SqliteStoreBuilder::new(path.into())
    }
}

impl SqliteStoreBuilder {
    fn new(path: PathBuf) -> Self {
        Self { path, readers: 4, timeout: Duration::from_secs(5) }
    }

    /// How many reads may run at once; 4 by default, at least 1. Look-ups of sessions and readings of the revocation
    /// log do not count: they have three connections of their own.
    pub fn readers(mut self, readers: usize) -> Self {
        self.readers = readers.max(1);
        self
    }

    /// How long an operation waits for its person's turn to write, then for a connection, and then for the end of
    /// another process's write; 5 s each by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Opens the file, and applies the migrations that it lacks. A missing file and its folder are made; only the owner
    /// can read a file that is made here.
    ///
    /// Any number of processes may do so at once. They take turns under a lock on a file beside it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the path names no file (`:memory:` and similar names: the error's source says what to write
    /// instead), or when the file cannot be made, opened or migrated.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped, a migration that has begun runs to its end.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    pub async fn open(self) -> Result<SqliteStore, StoreError> {
        let Self { path, readers, timeout } = self;
        let prepared = tokio::task::spawn_blocking(move || connect::prepare(&path, timeout));
        let opened = prepared.await.map_err(|e| StoreError::new(StoreErrorKind::Failed, e))??;
        let hints = Hints::new(opened.path.clone());
        let connections = Connections::new(opened, readers, timeout)?;
        Ok(SqliteStore { connections, runtime: Handle::current(), hints })
    }
}
