//! PostgreSQL: for real use, many gateways on one database.
//!
//! Every operation is one statement, and so one transaction and one round trip; what takes several
//! steps is a function that the migrations make (`migrations/postgres`). Everything lives in a schema
//! of its own, `bridge_auth`, beside the host's tables. PostgreSQL 13 or later.

mod builder;
mod client;
mod code;
mod connect;
mod connections;
mod device;
mod error;
mod migrate;
mod migration_lock;
mod operations;
mod preflight;
mod refresh_rotation;
mod revocation;
mod rights;
mod row;
mod session;
mod tick_connection;
mod timeline;
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
use uuid::Uuid;

use self::connections::Connections;
use self::tick_connection::{ConnectionSource, TickConnection};
use self::timeline::Timeline;
use super::write_queue::WriteQueue;
use super::{
    Client, ClientKey, ClientProof, DevicePage, DeviceQuery, GrantRefusal, IssueCodeError, KeyQuery,
    KnownUser, NewCode, OpenSession, OpenSessionError, OpenedSession, PoolStatus, Proof, ProvisionClient,
    ProvisionClientError, ProvisionedClient, RedeemCode, RedeemError, RefreshRefusal, RefreshSession,
    RefreshSessionError, RefreshStatus, RevocationCursor, RevocationPage, Revoke, RowStates, SessionKey,
    SessionStatuses, Store, StoreError, Swept,
};
use crate::id::{AssertionHash, ClientId, RefreshHash, SessionId, UserId};

/// A [`Store`] on PostgreSQL.
///
/// Clones share one pool. Every operation has a deadline: a server that is slow, stopped or
/// unreachable is a [`StoreError`] within the sum of the builder's waits, and the store recovers by itself. A write waits for
/// its person's turn no longer than for a connection. [`Revoke::Client`] alone may take a minute: it may touch every session
/// there is.
/// A statement that nobody waits for any more keeps its connection until the server has ended it, so that there are never more
/// connections than the pool's size. A connection that failed is closed, never lent again.
///
/// # The primary
///
/// Every answer that lets somebody in comes from a server that takes writes and shows the newest [`tick`](Store::tick). One that does
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
    connections: Connections,
    turns: WriteQueue<UserId>,
    line: Arc<TickConnection>,
    /// However many ask whether the server answers, one at a time does.
    ping: Arc<Mutex<()>>,
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

    fn new(connections: Connections, dial: ConnectionSource) -> Self {
        let (connect, patience) =
            (connections.rest.acquire, (connections.look_ups.statement / 2).max(Duration::from_millis(500)));
        let line = TickConnection::new(dial, connections.clone(), connect, patience);
        Self { connections, turns: WriteQueue::default(), line: Arc::new(line), ping: Arc::default() }
    }

    /// A store on a pool the host made, with a deadline of 3 s for a connection and 10 s for a
    /// statement. Of its connections it leaves three, but never more than half, to look-ups, and takes one more for its
    /// [ticks](Store::tick), beside those of the pool. Lease [`PostgresStore::migrate`] or [`PostgresStore::check`] once before
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
        let settings = format!("{}; {}", builder::OWN_SETTINGS, builder::limits(statement));
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
    /// may run with; and that the settings of the connections reach the server.
    ///
    /// [`connect`](PostgresStoreBuilder::connect) checks the same. Lease it on a store that was made
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

#[async_trait]
impl Store for PostgresStore {
    async fn put_user(&self, user: &KnownUser) -> Result<(), StoreError> {
        let (person, user) = (user.id.clone(), user.clone());
        self.write_for(&person, |db| async move { user::put(&db, &user).await }).await
    }

    async fn issue_code(&self, code: NewCode) -> Result<SystemTime, IssueCodeError> {
        let person = code.user.clone();
        let issued = self.write_for(&person, |db| async move { code::issue(&db, &code).await });
        self.certain(issued, |issued| issued.as_ref().is_err_and(|e| !matches!(e, IssueCodeError::Store(_))))
            .await
    }

    async fn redeem_code(&self, redeem: RedeemCode) -> Result<OpenedSession, RedeemError> {
        let hash = redeem.hash;
        let owner = self.read(|db| async move { code::owner(&db, &hash).await });
        let Some(person) = self.certain(owner, |owner| matches!(owner, Ok(None))).await? else {
            return Err(RedeemError::Refused(GrantRefusal::Unknown));
        };
        let redeem = |db: Connections| {
            self.hinting(async move { code::redeem(&db, &redeem).await }, |redeemed| match redeemed {
                Ok(opened) => !opened.evicted.is_empty(),
                Err(error) => matches!(error, RedeemError::Refused(GrantRefusal::Replayed { .. })),
            })
        };
        let redeemed = self.write_for(&person, redeem);
        self.certain(redeemed, |redeemed| {
            redeemed.as_ref().is_err_and(|e| !matches!(e, RedeemError::Store(_)))
        })
        .await
    }

    async fn open_session(&self, open: OpenSession) -> Result<OpenedSession, OpenSessionError> {
        let person = open.person().clone();
        let open = |db: Connections| {
            self.hinting(async move { session::open(&db, &open).await }, |opened| {
                opened.as_ref().is_ok_and(|opened| !opened.evicted.is_empty())
            })
        };
        let opened = self.write_for(&person, open);
        self.certain(opened, |opened| {
            opened.as_ref().is_err_and(|e| !matches!(e, OpenSessionError::Store(_)))
        })
        .await
    }

    async fn refresh_session(&self, refresh: RefreshSession) -> Result<OpenedSession, RefreshSessionError> {
        let token = refresh.presented;
        let owner = self.read(|db| async move { refresh_rotation::owner(&db, &token).await });
        let Some(person) = self.certain(owner, |owner| matches!(owner, Ok(None))).await? else {
            return Err(RefreshSessionError::Refused(RefreshRefusal::Unknown));
        };
        let refresh = |db: Connections| {
            self.hinting(async move { refresh_rotation::refresh(&db, &refresh).await }, |refreshed| {
                matches!(refreshed, Err(RefreshSessionError::Refused(RefreshRefusal::Reused { .. })))
            })
        };
        let refreshed = self.write_for(&person, refresh);
        let denies = |e: &RefreshSessionError| !matches!(e, RefreshSessionError::Store(_));
        self.certain(refreshed, |refreshed| refreshed.as_ref().is_err_and(denies)).await
    }

    async fn refresh_status(&self, token: &RefreshHash) -> Result<Option<RefreshStatus>, StoreError> {
        let token = *token;
        let status = self.read(|db| async move { refresh_rotation::look(&db, &token).await });
        self.certain(status, |status| matches!(status, Ok(None))).await
    }

    async fn session_statuses(&self, ids: &[SessionId]) -> Result<SessionStatuses, StoreError> {
        let (db, ids, lease) = (self.connections.clone(), ids.to_vec(), self.line.lease());
        let answer = self.connections.look_ups.run(async move { session::statuses(&db, &ids, lease).await });
        answer.await.inspect_err(|fault| self.forget_if_unknown(lease, fault))
    }

    async fn row_states(&self, sessions: &[SessionKey]) -> Result<RowStates, StoreError> {
        let (db, lease) = (self.connections.clone(), self.line.lease());
        let keys = sessions.iter().map(|session| Uuid::from_u128(session.digest())).collect();
        let look_up = async move { session::row_states(&db, keys, lease).await };
        let answer = self.connections.look_ups.run(look_up);
        answer.await.inspect_err(|fault| self.forget_if_unknown(lease, fault))
    }

    async fn tick(&self) -> Result<Proof, StoreError> {
        self.line.tick(self.tick_deadline()).await
    }

    async fn devices_of(&self, user: &UserId, query: &DeviceQuery) -> Result<DevicePage, StoreError> {
        let (user, query) = (user.clone(), query.clone());
        self.read(|db| async move { device::of_user(&db, &user, &query).await }).await
    }

    async fn revoke(&self, target: &Revoke) -> Result<Option<u64>, StoreError> {
        let of = target.clone();
        let revoke = |db: Connections| {
            self.hinting(async move { revocation::revoke(&db, &of).await }, |revoked| {
                matches!(revoked, Ok(Some(_)))
            })
        };
        let revoked = async {
            match target {
                Revoke::SessionOf { user, .. } => self.write_for(user, revoke).await,
                // It may touch every session there is.
                Revoke::Client(_) => {
                    let longest = revocation::ALL_OF_A_CLIENT.saturating_add(self.connections.rest.longest());
                    self.run_to_completion(longest, revoke(self.connections.clone())).await
                }
                // An operator's word does not wait behind the person it is about.
                _ => self.write(revoke).await,
            }
        };
        // What was revoked before is written no more: that is as good as unknown here.
        self.certain(revoked, |revoked| matches!(revoked, Ok(None | Some(0)))).await
    }

    async fn disable_user(&self, user: &UserId) -> Result<bool, StoreError> {
        let user = user.clone();
        let disable = |db: Connections| {
            self.hinting(async move { user::disable(&db, &user).await }, |disabled| {
                matches!(disabled, Ok(true))
            })
        };
        self.certain(self.write(disable), |disabled| matches!(disabled, Ok(false))).await
    }

    async fn enable_user(&self, user: &UserId) -> Result<bool, StoreError> {
        let user = user.clone();
        let enabled = self.write(|db| async move { user::enable(&db, &user).await });
        self.certain(enabled, |enabled| matches!(enabled, Ok(false))).await
    }

    async fn provision_client(
        &self,
        provision: ProvisionClient,
    ) -> Result<ProvisionedClient, ProvisionClientError> {
        let person = provision.owner.clone();
        let provisioned =
            self.write_for(&person, |db| async move { client::provision(&db, &provision).await });
        let denies = |e: &ProvisionClientError| !matches!(e, ProvisionClientError::Store(_));
        self.certain(provisioned, |provisioned| provisioned.as_ref().is_err_and(denies)).await
    }

    async fn verify_client(
        &self,
        client: &ClientId,
        proof: &ClientProof,
    ) -> Result<Option<Client>, StoreError> {
        let (client, proof) = (client.clone(), *proof);
        let verified = self.read(|db| async move { client::verify(&db, &client, &proof).await });
        self.certain(verified, |verified| matches!(verified, Ok(None))).await
    }

    async fn client_keys(&self, client: &ClientId, query: &KeyQuery) -> Result<Vec<ClientKey>, StoreError> {
        let (client, query) = (client.clone(), query.clone());
        let keys = self.read(|db| async move { client::keys(&db, &client, &query).await });
        self.certain(keys, |keys| keys.as_ref().is_ok_and(Vec::is_empty)).await
    }

    async fn spend_assertion(&self, assertion: &AssertionHash, life: Duration) -> Result<bool, StoreError> {
        let assertion = *assertion;
        self.write(|db| async move { client::spend_assertion(&db, &assertion, life).await }).await
    }

    async fn revocations_since(
        &self,
        cursor: &RevocationCursor,
        limit: u32,
    ) -> Result<RevocationPage, StoreError> {
        let (db, cursor, lease) = (self.connections.clone(), *cursor, self.line.lease());
        let read = async move { revocation::since(&db, &cursor, limit, lease).await };
        let answer = self.connections.look_ups.run(read);
        answer.await.inspect_err(|fault| self.forget_if_unknown(lease, fault))
    }

    fn revocation_hints(&self) -> Option<watch::Receiver<()>> {
        self.line.hints()
    }

    async fn sweep(&self, limit: u32) -> Result<Swept, StoreError> {
        self.write(|db| async move { revocation::sweep(&db, limit).await }).await
    }

    /// A full disk is found out by [`tick`](Self::tick), which is not waited for here: without a fence, look-ups go on while a
    /// synchronous standby is gone.
    async fn ping(&self) -> Result<(), StoreError> {
        let _one = self.ping.lock().await;
        let db = self.connections.clone();
        self.connections.look_ups.run(async move { session::ping(&db).await }).await
    }

    fn pool_status(&self) -> Option<PoolStatus> {
        Some(self.connections.status())
    }
}
