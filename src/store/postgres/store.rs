//! The store itself.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Pool;
use tokio::sync::Mutex;

use super::connection_settings::{OWN_SETTINGS, limits};
use super::connections::Connections;
use super::tick_connection::{ConnectionSource, TickConnection};
use super::timeline::Timeline;
use super::{migrate, preflight};
use crate::store::StoreError;
use crate::store::write_queue::{WriteQueue, Writer};

/// A [`Store`](crate::store::Store) on PostgreSQL.
///
/// Clones share one pool. Every operation has a deadline: when a server is slow, stopped or unreachable, the answer is
/// a [`StoreError`] within the sum of the builder's waits. The store recovers by itself. A write waits for its person's
/// turn no longer than for a connection. Only [`Revoke::Client`](crate::store::Revoke::Client) may take a minute,
/// because it may change every session of the database.
///
/// A statement keeps its connection until the server has ended it, also when nobody waits for the answer. So there are
/// never more connections than the pool's size. A connection that failed is closed, and never used again.
///
/// # The primary
///
/// Every answer that lets a request in comes from a server that takes writes and shows the newest
/// [`tick`](crate::store::Store::tick). The store leaves a server that does not, at once and with all connections. When
/// a tick is not acknowledged, the store leaves the server as soon as the URL leads to another one that takes writes.
///
/// ```no_run
/// # async fn example() -> Result<(), bridge_auth::store::StoreError> {
/// use bridge_auth::store::PostgresStore;
///
/// let store = PostgresStore::connect("postgres://gateway@db.example.com/gateway?sslmode=verify-full").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PostgresStore {
    pub(super) connections: Connections,
    pub(super) turns: WriteQueue<Writer>,
    pub(super) ticks: Arc<TickConnection>,
    /// Of any number of pings at the same time, one runs at a time.
    pub(super) ping: Arc<Mutex<()>>,
}

impl PostgresStore {
    pub(super) fn new(connections: Connections, source: ConnectionSource) -> Self {
        let (connect, patience) =
            (connections.rest.acquire, (connections.look_ups.statement / 2).max(Duration::from_millis(500)));
        let ticks = TickConnection::new(source, connections.clone(), connect, patience);
        Self { connections, turns: WriteQueue::default(), ticks: Arc::new(ticks), ping: Arc::default() }
    }

    /// A store on a pool that the host made, with a deadline of 3 s for a connection and 10 s for a statement.
    ///
    /// Three of the pool's connections, but never more than half, are kept for look-ups. One more connection is made
    /// for the [ticks](crate::store::Store::tick), beside those of the pool. Call [`PostgresStore::migrate`] or
    /// [`PostgresStore::check`] once before the first use. Nothing else looks for a transaction pooler, and behind a
    /// transaction pooler gateways run each other's statements.
    ///
    /// Such a store learns of revocations only by reading the log: it listens for no notification. It also does not
    /// notice when an operator cancels the wait for a synchronous standby (`pg_cancel_backend`): then it treats the
    /// commit as replicated.
    ///
    /// **Give it a pool of its own.** At its first use here each connection gets settings that stay:
    /// `statement_timeout`, `lock_timeout`, `default_transaction_isolation`, `jit`, and how statements are planned
    /// (`enable_seqscan` is off). The pool's connections should reach only the primary
    /// (`target_session_attrs=read-write`). A connection to a standby gives no answer, and is closed.
    #[must_use]
    pub fn from_pool(pool: Pool) -> Self {
        let (acquire, statement) = (Duration::from_secs(3), Duration::from_secs(10));
        let settings = format!("{}; {}", OWN_SETTINGS, limits(statement));
        let timeline = Timeline::default();
        let connections =
            Connections::of_one_pool(pool.clone(), acquire, statement, settings, timeline.clone());
        Self::new(connections, ConnectionSource::Pool(pool, timeline))
    }

    /// Applies the migrations that are missing.
    ///
    /// It takes a lock, so any number of gateways may call it at once. While it waits for another gateway, it logs which one.
    /// If no migration is missing, it changes nothing and needs no right to change the schema. First it makes the same
    /// checks as [`check`](Self::check). It takes two connections.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the server cannot be reached, or a migration fails. Its kind is
    /// [`Misconfigured`](crate::store::StoreErrorKind::Misconfigured) when somebody must correct something first. Then
    /// its [`source`](std::error::Error::source) says what to write.
    ///
    /// # Cancel safety
    ///
    /// Each migration is applied whole or not at all.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        migrate::migrate(&self.connections).await
    }

    /// Checks that a gateway can work on the database. It changes nothing in the database.
    ///
    /// - No transaction pooler stands between.
    /// - The encoding of the database is UTF8.
    /// - The role has its rights.
    /// - No migration is missing or was changed, and no migration is newer than this version may run with.
    /// - The settings of the connections reach the server.
    ///
    /// [`connect`](super::PostgresStoreBuilder::connect) makes the same checks. Call this one on a store
    /// [`from_pool`](Self::from_pool) that you do not [`migrate`](Self::migrate). It takes two connections.
    ///
    /// # Errors
    ///
    /// The same as of [`migrate`](Self::migrate).
    ///
    /// # Cancel safety
    ///
    /// It changes nothing.
    pub async fn check(&self) -> Result<(), StoreError> {
        preflight::check(&self.connections).await
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("look_ups", &self.connections.look_ups.pool.status())
            .field("rest", &self.connections.rest.pool.status())
            .finish_non_exhaustive()
    }
}
