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
use crate::id::UserId;
use crate::store::StoreError;
use crate::store::write_queue::WriteQueue;

/// A [`Store`](crate::store::Store) on PostgreSQL.
///
/// Clones share one pool. Every operation has a deadline: a server that is slow, stopped or
/// unreachable is a [`StoreError`] within the sum of the builder's waits, and the store recovers by itself. A write waits for
/// its person's turn no longer than for a connection. [`Revoke::Client`](crate::store::Revoke::Client) alone may take a minute: it may touch every session
/// there is.
/// A statement that nobody waits for any more keeps its connection until the server has ended it, so that there are never more
/// connections than the pool's size. A connection that failed is closed, never lent again.
///
/// # The primary
///
/// Every answer that lets somebody in comes from a server that takes writes and shows the newest [`tick`](crate::store::Store::tick). One that does
/// not is left at once, with all connections. So is a server whose tick is not acknowledged, as soon as the URL leads to
/// another one that takes writes.
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
    pub(super) turns: WriteQueue<UserId>,
    pub(super) line: Arc<TickConnection>,
    /// However many ask whether the server answers, one at a time does.
    pub(super) ping: Arc<Mutex<()>>,
}

impl PostgresStore {
    pub(super) fn new(connections: Connections, dial: ConnectionSource) -> Self {
        let (connect, patience) =
            (connections.rest.acquire, (connections.look_ups.statement / 2).max(Duration::from_millis(500)));
        let line = TickConnection::new(dial, connections.clone(), connect, patience);
        Self { connections, turns: WriteQueue::default(), line: Arc::new(line), ping: Arc::default() }
    }

    /// A store on a pool the host made, with a deadline of 3 s for a connection and 10 s for a
    /// statement. Of its connections it leaves three, but never more than half, to look-ups, and takes one more for its
    /// [ticks](crate::store::Store::tick), beside those of the pool. Call [`PostgresStore::migrate`] or [`PostgresStore::check`] once before
    /// the first use: nothing else looks for a transaction pooler, on which gateways run each other's statements.
    ///
    /// Such a store hears of revocations only by reading the log: it listens for no notification. Nor does it hear when an operator
    /// cancels the wait for a synchronous standby (`pg_cancel_backend`): it takes the commit for replicated.
    ///
    /// **Give it a pool of its own.** Each connection is set up at its first use here, for good: `statement_timeout`,
    /// `lock_timeout`, `default_transaction_isolation`, `jit`, and how statements are planned (`enable_seqscan` is off). The pool's
    /// connections should reach the primary alone (`target_session_attrs=read-write`): one to a standby answers nothing,
    /// and is closed.
    #[must_use]
    pub fn from_pool(pool: Pool) -> Self {
        let (acquire, statement) = (Duration::from_secs(3), Duration::from_secs(10));
        let settings = format!("{}; {}", OWN_SETTINGS, limits(statement));
        let timeline = Timeline::default();
        let connections =
            Connections::of_one_pool(pool.clone(), acquire, statement, settings, timeline.clone());
        Self::new(connections, ConnectionSource::Pool(pool, timeline))
    }

    /// Applies the migrations that are missing, under a lock: any number of nodes may call it at once. While it waits for
    /// another node it tells the log for whom. Where nothing is missing it changes nothing, and needs no right to.
    ///
    /// First it checks what [`check`](Self::check) does. It takes two connections.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the server cannot be reached, or a migration fails. Its kind is
    /// [`Misconfigured`](crate::store::StoreErrorKind::Misconfigured) where somebody must mend something first, and its
    /// [`source`](std::error::Error::source) says what to write.
    ///
    /// # Cancel safety
    ///
    /// Each migration is applied whole or not at all.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        migrate::migrate(&self.connections).await
    }

    /// Checks, without a change to the database, that a gateway can work on it: no transaction pooler stands between, its
    /// encoding is UTF8, the role has its rights, no migration is missing or was changed, and none is newer than this version
    /// may run with; and that the settings of the connections reach the server.
    ///
    /// [`connect`](super::PostgresStoreBuilder::connect) checks the same. Call it on a store that was made
    /// [`from_pool`](Self::from_pool) and is not told to [`migrate`](Self::migrate). It takes two connections.
    ///
    /// # Errors
    ///
    /// As of [`migrate`](Self::migrate).
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
