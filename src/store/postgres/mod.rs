//! PostgreSQL: for real use, many gateways on one database.
//!
//! Every operation is one statement, and so one transaction and one round trip; what takes several
//! steps is a function that the migrations make (`migrations/postgres`). Everything lives in a schema
//! of its own, `bridge_auth`, beside the host's tables. PostgreSQL 13 or later.

mod builder;
mod client;
mod code;
mod connections;
mod device;
mod error;
mod hints;
mod migrate;
mod migration_lock;
mod preflight;
mod refresh;
mod revocation;
mod rights;
mod row;
mod session;
mod tls;
mod url;
mod user;
mod version;

pub use builder::PostgresStoreBuilder;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use deadpool_postgres::Pool;
use tokio::sync::{Mutex, watch};

use self::connections::Connections;
use self::hints::Hints;
use super::turns::Turns;
use super::{
    Client, ClientKey, ClientProof, DevicePage, DeviceQuery, GrantRefusal, IssueCodeError, KeyQuery,
    KnownUser, NewCode, OpenSession, OpenSessionError, OpenedSession, ProvisionClient, ProvisionError,
    ProvisionedClient, RedeemCode, RedeemError, RefreshRefusal, RefreshSession, RefreshSessionError,
    RefreshStatus, RevocationCursor, RevocationPage, Revoke, SessionStatus, Store, StoreError, Swept,
};
use crate::id::{AssertionHash, ClientId, RefreshHash, SessionId, UserId};

/// A [`Store`] on PostgreSQL.
///
/// Clones share one pool. Every operation has a deadline: a server that is slow, stopped or
/// unreachable is a [`StoreError`] within the sum of the builder's waits, and the store recovers by itself. A write waits for
/// its person's turn no longer than for a connection. [`Revoke::Client`] alone may take a minute: it may touch every session
/// there is.
/// A connection whose answer was not awaited, or that failed, is closed, never lent again.
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
    connections: Connections,
    turns: Turns<UserId>,
    /// However many ask whether the server answers, one at a time does.
    ping: Arc<Mutex<()>>,
    hints: Option<Arc<Hints>>,
}

impl PostgresStore {
    /// Connects to `url` with the defaults of [`PostgresStore::builder`], and applies the migrations. To another machine it
    /// speaks verified TLS, unless the URL says `sslmode=disable`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the URL is malformed, the server cannot be reached, or a migration fails.
    ///
    /// # Cancel safety
    ///
    /// Each migration is applied whole or not at all.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::builder(url).connect().await
    }

    /// Sets up a store at `url` (`postgres://…`, or libpq's `key=value` form).
    ///
    /// Wherever TLS is spoken the certificate and the host name are verified: against the PEM file that
    /// `sslrootcert` names, else against the certificates that the system trusts. When that fails, the error's
    /// [`source`](std::error::Error::source) says what to write instead.
    ///
    /// | `sslmode` | this machine | any other |
    /// |---|---|---|
    /// | not given | no TLS, unless `sslrootcert` is given | verified TLS |
    /// | `allow`, `prefer` | verified TLS where the server has TLS | verified TLS |
    /// | `require`, `verify-ca`, `verify-full` | verified TLS | verified TLS |
    /// | `disable` | no TLS | no TLS: whoever stands between reads everything, the password too |
    ///
    /// This machine is `localhost`, `127.0.0.0/8`, `::1` or a Unix socket: every `host` and every `hostaddr` must be one of
    /// these.
    ///
    /// Of several hosts the first that takes writes is used, and a standby never, whatever the URL says.
    pub fn builder(url: &str) -> PostgresStoreBuilder {
        PostgresStoreBuilder::new(url)
    }

    fn new(connections: Connections, hints: Option<Arc<Hints>>) -> Self {
        Self { connections, turns: Turns::default(), ping: Arc::default(), hints }
    }

    /// A store on a pool the host made, with a deadline of 3 s for a connection and 10 s for a
    /// statement. Of its connections it leaves three, but never more than half, to look-ups. Call
    /// [`PostgresStore::migrate`] or [`PostgresStore::check`] once before the first use: nothing else looks for a transaction
    /// pooler, on which gateways run each other's statements.
    ///
    /// Such a store hears of revocations only by reading the log: it listens for no notification.
    ///
    /// The pool's connections must reach the primary alone (`target_session_attrs=read-write`): a standby
    /// may not have heard of a revocation. They must set `statement_timeout`, and should set a shorter `lock_timeout`, so that
    /// the server stops too, and must leave `default_transaction_isolation` at `read committed`: both are checked with the rest.
    #[must_use]
    pub fn from_pool(pool: Pool) -> Self {
        let (acquire, statement) = (Duration::from_secs(3), Duration::from_secs(10));
        Self::new(Connections::of_one_pool(pool, acquire, statement), None)
    }

    /// Applies the migrations that are missing, under a lock: any number of nodes may call it at once. While it waits for
    /// another node it tells the log for whom. Where nothing is missing it changes nothing, and needs no right to.
    ///
    /// First it checks what [`check`](Self::check) does. It takes two connections.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the server cannot be reached, or a migration fails. Its kind is
    /// [`Misconfigured`](super::StoreErrorKind::Misconfigured) where somebody must mend something first, and its
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
    /// may run with. The connections of a host's pool must have a `statement_timeout` and the isolation `read committed`.
    ///
    /// [`connect`](PostgresStoreBuilder::connect) checks the same. Call it on a store that was made
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

/// Writes run to their end, whatever becomes of who asked: a server goes on with a statement whose client has gone, and until
/// it is done, its connection and its person's turn are taken.
impl PostgresStore {
    /// Writes what is `person`'s, in their turn, which comes before a connection is taken.
    async fn write_for<T, E, F>(
        &self,
        person: &UserId,
        write: impl FnOnce(Connections) -> F + Send,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let turn = self.turns.take_within(self.connections.rest.acquire, person).await?;
        let written = write(self.connections.clone());
        to_its_end(async move {
            let _turn = turn;
            written.await
        })
        .await
    }

    /// Writes what waits for nobody's turn.
    async fn write<T, E, F>(&self, write: impl FnOnce(Connections) -> F + Send) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        to_its_end(write(self.connections.clone())).await
    }
}

async fn to_its_end<T, E>(write: impl Future<Output = Result<T, E>> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    tokio::spawn(write).await.unwrap_or_else(|end| Err(error::failed(end).into()))
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("look_ups", &self.connections.look_ups.pool.status())
            .field("rest", &self.connections.rest.pool.status())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn put_user(&self, user: &KnownUser) -> Result<(), StoreError> {
        let (person, user) = (user.id.clone(), user.clone());
        self.write_for(&person, |db| async move { user::put(&db, &user).await }).await
    }

    async fn issue_code(&self, code: NewCode) -> Result<SystemTime, IssueCodeError> {
        let person = code.user.clone();
        self.write_for(&person, |db| async move { code::issue(&db, &code).await }).await
    }

    async fn redeem_code(&self, redeem: RedeemCode) -> Result<OpenedSession, RedeemError> {
        let Some(person) = code::owner(&self.connections, &redeem.hash).await? else {
            return Err(RedeemError::Refused(GrantRefusal::Unknown));
        };
        self.write_for(&person, |db| async move { code::redeem(&db, &redeem).await }).await
    }

    async fn open_session(&self, open: OpenSession) -> Result<OpenedSession, OpenSessionError> {
        let person = open.person().clone();
        self.write_for(&person, |db| async move { session::open(&db, &open).await }).await
    }

    async fn refresh_session(&self, refresh: RefreshSession) -> Result<OpenedSession, RefreshSessionError> {
        let Some(person) = refresh::owner(&self.connections, &refresh.presented).await? else {
            return Err(RefreshSessionError::Refused(RefreshRefusal::Unknown));
        };
        self.write_for(&person, |db| async move { refresh::refresh(&db, &refresh).await }).await
    }

    async fn refresh_status(&self, token: &RefreshHash) -> Result<Option<RefreshStatus>, StoreError> {
        refresh::look(&self.connections, token).await
    }

    async fn session_statuses(&self, ids: &[SessionId]) -> Result<Vec<SessionStatus>, StoreError> {
        session::statuses(&self.connections, ids).await
    }

    async fn devices_of(&self, user: &UserId, query: &DeviceQuery) -> Result<DevicePage, StoreError> {
        device::of_user(&self.connections, user, query).await
    }

    async fn revoke(&self, target: &Revoke) -> Result<Option<u64>, StoreError> {
        let target = target.clone();
        match &target {
            Revoke::SessionOf { user, .. } => {
                let person = user.clone();
                self.write_for(&person, |db| async move { revocation::revoke(&db, &target).await }).await
            }
            // An operator's word does not wait behind the person it is about.
            _ => self.write(|db| async move { revocation::revoke(&db, &target).await }).await,
        }
    }

    async fn disable_user(&self, user: &UserId) -> Result<bool, StoreError> {
        let user = user.clone();
        self.write(|db| async move { user::disable(&db, &user).await }).await
    }

    async fn enable_user(&self, user: &UserId) -> Result<bool, StoreError> {
        let user = user.clone();
        self.write(|db| async move { user::enable(&db, &user).await }).await
    }

    async fn provision_client(
        &self,
        provision: ProvisionClient,
    ) -> Result<ProvisionedClient, ProvisionError> {
        let person = provision.owner.clone();
        self.write_for(&person, |db| async move { client::provision(&db, &provision).await }).await
    }

    async fn verify_client(
        &self,
        client: &ClientId,
        proof: &ClientProof,
    ) -> Result<Option<Client>, StoreError> {
        client::verify(&self.connections, client, proof).await
    }

    async fn client_keys(&self, client: &ClientId, query: &KeyQuery) -> Result<Vec<ClientKey>, StoreError> {
        client::keys(&self.connections, client, query).await
    }

    async fn spend_assertion(&self, assertion: &AssertionHash, life: Duration) -> Result<bool, StoreError> {
        client::spend_assertion(&self.connections, assertion, life).await
    }

    async fn revocations_since(
        &self,
        cursor: &RevocationCursor,
        limit: u32,
    ) -> Result<RevocationPage, StoreError> {
        revocation::since(&self.connections, cursor, limit).await
    }

    fn revocation_hints(&self) -> Option<watch::Receiver<()>> {
        self.hints.as_ref().map(|hints| hints.subscribe())
    }

    async fn sweep(&self, limit: u32) -> Result<Swept, StoreError> {
        revocation::sweep(&self.connections, limit).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let _one = self.ping.lock().await;
        self.connections.query_look_up("SELECT 1", &[]).await.map(drop)
    }
}
