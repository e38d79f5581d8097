//! A pool that hands a connection out without a query.

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use deadpool_sqlite::Config;

pub(super) use deadpool::managed::{QueueMode, Timeouts};
pub(super) use deadpool_sqlite::{HookError, PoolError, Runtime};

pub(super) type Pool = managed::Pool<Manager>;
pub(super) type Hook = managed::Hook<Manager>;

/// Opens connections as `deadpool-sqlite` does.
///
/// That crate also runs a query before a connection is used again, on another thread. An operation then costs two changes
/// of threads more. Here the query runs only when the connection is still busy.
#[derive(Debug)]
pub(super) struct Manager(deadpool_sqlite::Manager);

impl Manager {
    pub(super) fn new(config: &Config) -> Self {
        Self(deadpool_sqlite::Manager::from_config(config, Runtime::Tokio1))
    }
}

impl managed::Manager for Manager {
    type Type = <deadpool_sqlite::Manager as managed::Manager>::Type;
    type Error = rusqlite::Error;

    async fn create(&self) -> Result<Self::Type, Self::Error> {
        self.0.create().await
    }

    /// Refuses a connection whose last operation panicked: it may be in the middle of a transaction.
    ///
    /// An operation whose caller has gone may still run on the connection. Then this waits for its end, as long as the pool
    /// allows.
    async fn recycle(&self, connection: &mut Self::Type, metrics: &Metrics) -> RecycleResult<Self::Error> {
        if connection.is_mutex_poisoned() {
            return Err(RecycleError::message("its last operation panicked"));
        }
        let is_idle = connection.try_lock().is_ok();
        if is_idle { Ok(()) } else { managed::Manager::recycle(&self.0, connection, metrics).await }
    }
}
