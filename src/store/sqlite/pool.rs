//! A pool that hands a connection out without a query.

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use deadpool_sqlite::Config;

pub(super) use deadpool::managed::{QueueMode, Timeouts};
pub(super) use deadpool_sqlite::{HookError, PoolError, Runtime};

pub(super) type Pool = managed::Pool<Manager>;
pub(super) type Hook = managed::Hook<Manager>;

/// Opens connections as `deadpool-sqlite` does.
///
/// That crate also runs a query before a connection is used again, on another thread: an operation then costs two changes of
/// threads more. The query reads no file, so it finds no fault that the operation would not find.
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
    async fn recycle(&self, connection: &mut Self::Type, _: &Metrics) -> RecycleResult<Self::Error> {
        match connection.is_mutex_poisoned() {
            true => Err(RecycleError::message("its last operation panicked")),
            false => Ok(()),
        }
    }
}
