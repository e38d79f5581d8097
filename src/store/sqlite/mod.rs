//! SQLite: one file, no server, for a single machine.

mod clients;
mod codes;
mod connect;
mod hints;
mod refresh;
mod revocations;
mod sessions;
mod sweep;
mod transaction;
mod users;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use deadpool_sqlite::Pool;
use rusqlite::TransactionBehavior;
use tokio::runtime::Handle;
use tokio::sync::watch;

use self::codes::Redeemed;
use self::connect::Role;
use self::hints::Hints;
use self::refresh::Refreshed;
use self::transaction::{Transaction, system_time};
use super::{
    Client, ClientKey, ClientProof, IssueCodeError, KeyQuery, NewCode, OpenSession, OpenSessionError,
    OpenedSession, ProvisionClient, ProvisionError, RedeemCode, RedeemError, RefreshSession,
    RefreshSessionError, RefreshStatus, RevocationCursor, RevocationPage, Revoke, Session, SessionStatus,
    Store, StoreError, StoreErrorKind, Swept,
};
use crate::id::{AssertionHash, ClientId, RefreshHash, Scopes, SessionId, UserId};

/// A [`Store`] in one SQLite file, which any number of processes on the machine may share.
///
/// What it acknowledged is on the disk: the file is in WAL mode with `synchronous=FULL`. Writes take
/// turns on one connection, reads go on beside them. Its clock is the machine's.
///
/// # Cancel safety
///
/// An operation that has begun runs to its end on its own thread when its future is dropped, and
/// only then is its connection used again.
#[derive(Debug)]
pub struct SqliteStore {
    writer: Pool,
    readers: Pool,
    runtime: Handle,
    hints: Hints,
}

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
    /// [`StoreError`] when the file cannot be made, opened or migrated.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        Self::builder(path).open().await
    }

    /// Settings for the file at `path`.
    pub fn builder(path: impl Into<PathBuf>) -> SqliteStoreBuilder {
        SqliteStoreBuilder { path: path.into(), readers: 4, timeout: Duration::from_secs(5) }
    }

    async fn read<T, E>(
        &self,
        operation: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        run(&self.readers, TransactionBehavior::Deferred, operation).await
    }

    async fn write<T, E>(
        &self,
        operation: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        run(&self.writer, TransactionBehavior::Immediate, operation).await
    }
}

impl SqliteStoreBuilder {
    /// How many reads may go on at once; 4 by default, at least 1.
    pub fn readers(mut self, readers: usize) -> Self {
        self.readers = readers.max(1);
        self
    }

    /// How long an operation waits for a connection, and then for another process's write to end;
    /// 5 s each by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Opens the file: makes it, readable to its owner alone, and its folder when they are missing,
    /// and applies the migrations it lacks.
    ///
    /// Any number of processes may do so at once: they take turns under a lock on a file beside it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the file cannot be made, opened or migrated.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped, migrations that have begun run to their end.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    pub async fn open(self) -> Result<SqliteStore, StoreError> {
        let Self { path, readers, timeout } = self;
        let prepared = tokio::task::spawn_blocking(move || connect::prepare(&path, timeout));
        let path: &Path = &prepared.await.map_err(|e| StoreError::new(StoreErrorKind::Failed, e))??;
        Ok(SqliteStore {
            writer: connect::pool(path, Role::Writer, 1, timeout)?,
            readers: connect::pool(path, Role::Reader, readers, timeout)?,
            runtime: Handle::current(),
            hints: Hints::new(path.to_owned()),
        })
    }
}

impl Drop for SqliteStore {
    /// Closes the idle connections where they can be: on the runtime's blocking threads.
    fn drop(&mut self) {
        let _context = self.runtime.enter();
        self.writer.close();
        self.readers.close();
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn put_user(&self, user: &UserId, scopes: &Scopes) -> Result<(), StoreError> {
        let (user, scopes) = (user.clone(), scopes.clone());
        self.write(move |tx| users::put(tx, &user, &scopes)).await
    }

    async fn issue_code(&self, code: NewCode) -> Result<SystemTime, IssueCodeError> {
        self.write(move |tx| codes::issue(tx, &code)).await.map(system_time)
    }

    async fn redeem_code(&self, redeem: RedeemCode) -> Result<OpenedSession, RedeemError> {
        match self.write(move |tx| codes::redeem(tx, &redeem)).await? {
            Redeemed::Opened(session) => Ok(session),
            Redeemed::Replayed(refusal) => Err(RedeemError::Refused(refusal)),
        }
    }

    async fn open_session(&self, open: OpenSession) -> Result<OpenedSession, OpenSessionError> {
        self.write(move |tx| sessions::open(tx, &open)).await
    }

    async fn refresh_session(&self, refresh: RefreshSession) -> Result<OpenedSession, RefreshSessionError> {
        match self.write(move |tx| refresh::refresh(tx, &refresh)).await? {
            Refreshed::Extended(session) => Ok(session),
            Refreshed::Reused(refusal) => Err(RefreshSessionError::Refused(refusal)),
        }
    }

    async fn refresh_status(&self, token: &RefreshHash) -> Result<Option<RefreshStatus>, StoreError> {
        let token = *token;
        self.read(move |tx| refresh::look(tx, &token)).await
    }

    async fn session_statuses(&self, ids: &[SessionId]) -> Result<Vec<SessionStatus>, StoreError> {
        let ids = ids.to_vec();
        self.read(move |tx| sessions::statuses(tx, &ids)).await
    }

    async fn sessions_of(&self, user: &UserId) -> Result<Vec<Session>, StoreError> {
        let user = user.clone();
        self.read(move |tx| sessions::of_user(tx, &user)).await
    }

    async fn revoke(&self, target: &Revoke) -> Result<Option<u64>, StoreError> {
        let target = target.clone();
        self.write(move |tx| revocations::revoke(tx, &target)).await
    }

    async fn disable_user(&self, user: &UserId) -> Result<bool, StoreError> {
        let user = user.clone();
        self.write(move |tx| {
            let known = users::set_disabled(tx, &user, true)?;
            if known {
                revocations::end_user(tx, &user)?;
            }
            Ok(known)
        })
        .await
    }

    fn revocation_hints(&self) -> Option<watch::Receiver<()>> {
        self.hints.subscribe()
    }

    async fn enable_user(&self, user: &UserId) -> Result<bool, StoreError> {
        let user = user.clone();
        self.write(move |tx| users::set_disabled(tx, &user, false)).await
    }

    async fn provision_client(&self, provision: ProvisionClient) -> Result<(), ProvisionError> {
        let new = provision.clone();
        let replaced = self.read(move |tx| clients::to_replace(tx, &new)).await?;
        self.write(move |tx| clients::provision(tx, &provision, &replaced)).await
    }

    async fn verify_client(
        &self,
        client: &ClientId,
        proof: &ClientProof,
    ) -> Result<Option<Client>, StoreError> {
        let (client, proof) = (client.clone(), *proof);
        self.read(move |tx| clients::verify(tx, &client, &proof)).await
    }

    async fn client_keys(&self, client: &ClientId, query: &KeyQuery) -> Result<Vec<ClientKey>, StoreError> {
        let (client, query) = (client.clone(), query.clone());
        self.read(move |tx| clients::keys(tx, &client, &query)).await
    }

    async fn spend_assertion(&self, assertion: &AssertionHash, life: Duration) -> Result<bool, StoreError> {
        let assertion = *assertion;
        self.write(move |tx| clients::spend_assertion(tx, &assertion, life)).await
    }

    async fn revocations_since(
        &self,
        cursor: &RevocationCursor,
        limit: u32,
    ) -> Result<RevocationPage, StoreError> {
        let cursor = *cursor;
        self.read(move |tx| revocations::since(tx, cursor, limit)).await
    }

    async fn sweep(&self, limit: u32) -> Result<Swept, StoreError> {
        self.write(move |tx| sweep::sweep(tx, limit)).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.read(|tx| tx.row("SELECT 1 FROM users LIMIT 1", [], |_| Ok(()))).await.map(drop)
    }
}

/// Runs `operation` in one transaction, which an error rolls back.
async fn run<T, E>(
    pool: &Pool,
    behavior: TransactionBehavior,
    operation: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    let connection = pool.get().await.map_err(connect::pool_fault)?;
    let done = connection.interact(move |connection| {
        let transaction = Transaction::begin(connection, behavior)?;
        let done = operation(&transaction)?;
        transaction.commit()?;
        Ok(done)
    });
    done.await.map_err(|e| StoreError::new(StoreErrorKind::Failed, e.to_string()))?
}
