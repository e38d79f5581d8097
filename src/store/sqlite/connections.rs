//! Who gets which connection: look-ups have their own, and the writes of one person take turns.

use std::path::Path;
use std::time::Duration;

use deadpool_sqlite::Pool;
use rusqlite::TransactionBehavior;

use super::SqliteStore;
use super::connect::{self, Role};
use super::transaction::Transaction;
use crate::id::UserId;
use crate::store::turns::{Turn, Turns};
use crate::store::{StoreError, StoreErrorKind};

/// How many look-ups may go on at once.
const LOOKUPS: usize = 3;

/// All connections to one file.
#[derive(Debug)]
pub(super) struct Connections {
    writer: Pool,
    readers: Pool,
    /// For what every request needs: nothing else takes them.
    lookups: Pool,
    turns: Turns<UserId>,
    timeout: Duration,
}

impl Connections {
    pub(super) fn new(path: &Path, readers: usize, timeout: Duration) -> Result<Self, StoreError> {
        Ok(Self {
            writer: connect::pool(path, Role::Writer, 1, timeout)?,
            readers: connect::pool(path, Role::Reader, readers, timeout)?,
            lookups: connect::pool(path, Role::Reader, LOOKUPS, timeout)?,
            turns: Turns::default(),
            timeout,
        })
    }

    /// Closes those that are idle.
    pub(super) fn close(&self) {
        for pool in [&self.writer, &self.readers, &self.lookups] {
            pool.close();
        }
    }
}

impl SqliteStore {
    /// Reads what every request needs.
    pub(super) async fn look_up<T, E>(&self, operation: impl Operation<T, E>) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        run(&self.connections.lookups, TransactionBehavior::Deferred, None, operation).await
    }

    /// Reads anything else.
    pub(super) async fn read<T, E>(&self, operation: impl Operation<T, E>) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        run(&self.connections.readers, TransactionBehavior::Deferred, None, operation).await
    }

    /// Writes what is nobody's.
    pub(super) async fn write<T, E>(&self, operation: impl Operation<T, E>) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        run(&self.connections.writer, TransactionBehavior::Immediate, None, operation).await
    }

    /// Writes what is `person`'s, in their turn.
    pub(super) async fn write_for<T, E>(
        &self,
        person: &UserId,
        operation: impl Operation<T, E>,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let turn = self.turn(person).await?;
        self.write_in(turn, operation).await
    }

    /// The turn of `person`.
    pub(super) async fn turn(&self, person: &UserId) -> Result<Turn<UserId>, StoreError> {
        let Connections { turns, timeout, .. } = &self.connections;
        turns.take_within(*timeout, person).await
    }

    /// Writes in a turn, which ends with it.
    pub(super) async fn write_in<T, E>(
        &self,
        turn: Turn<UserId>,
        operation: impl Operation<T, E>,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        run(&self.connections.writer, TransactionBehavior::Immediate, Some(turn), operation).await
    }
}

/// What is done in one transaction, on another thread.
pub(super) trait Operation<T, E>: FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static {}

impl<F, T, E> Operation<T, E> for F where F: FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static {}

/// Runs `operation` in one transaction, which an error rolls back.
async fn run<T, E>(
    pool: &Pool,
    behavior: TransactionBehavior,
    turn: Option<Turn<UserId>>,
    operation: impl Operation<T, E>,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    let connection = pool.get().await.map_err(connect::pool_fault)?;
    let done = connection.interact(move |connection| {
        // The transaction goes on when its future is dropped, and so does the turn.
        let _turn = turn;
        let transaction = Transaction::begin(connection, behavior)?;
        let done = operation(&transaction)?;
        transaction.commit()?;
        Ok(done)
    });
    done.await.map_err(|e| StoreError::new(StoreErrorKind::Failed, e.to_string()))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{RefreshToken, Scopes};
    use crate::store::{KnownUser, Store as _};

    async fn open(folder: &tempfile::TempDir) -> SqliteStore {
        let store = SqliteStore::builder(folder.path().join("bridges.db"));
        store.readers(1).timeout(Duration::from_millis(50)).open().await.unwrap()
    }

    fn person(name: &str) -> KnownUser {
        let id = UserId::parse(name).unwrap();
        KnownUser { id, scopes: Scopes::default(), hook_scopes: None }
    }

    #[tokio::test]
    async fn look_ups_go_on_when_every_other_connection_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder).await;
        let _reader = store.connections.readers.get().await.unwrap();
        let _writer = store.connections.writer.get().await.unwrap();
        let other = store.refresh_status(&RefreshToken::random().hash()).await;
        assert_eq!(other.unwrap_err().kind(), StoreErrorKind::TimedOut);
        store.ping().await.unwrap();
        store.session_statuses(&[]).await.unwrap();
        store.revocations_since(&Default::default(), 1).await.unwrap();
    }

    #[tokio::test]
    async fn who_waits_for_their_own_turn_holds_up_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder).await;
        let (alice, bob) = (person("alice"), person("bob"));
        let turn = store.connections.turns.take(&alice.id).await;
        assert_eq!(store.put_user(&alice).await.unwrap_err().kind(), StoreErrorKind::TimedOut);
        store.put_user(&bob).await.unwrap();
        drop(turn);
        store.put_user(&alice).await.unwrap();
    }
}
