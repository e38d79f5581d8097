//! How operations run: on which connection, and in which turn.

use super::connections::{Connections, Lane, Operation};
use super::store::SqliteStore;
use crate::store::StoreError;
use crate::store::write_queue::{Turn, Writer};

impl SqliteStore {
    /// Reads what every request needs.
    pub(super) async fn look_up<T, E>(&self, operation: impl Operation<T, E>) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.connections.run(Lane::LookUp, None, operation).await
    }

    /// Reads anything else.
    pub(super) async fn read<T, E>(&self, operation: impl Operation<T, E>) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.connections.run(Lane::Read, None, operation).await
    }

    /// Writes without waiting for a turn.
    pub(super) async fn write<T, E>(&self, operation: impl Operation<T, E>) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.connections.run(Lane::Write, None, operation).await
    }

    /// Writes for a person, or whoever `writer` is, in their turn.
    pub(super) async fn write_for<T, E>(
        &self,
        writer: impl Into<Writer>,
        operation: impl Operation<T, E>,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let turn = self.turn(writer).await?;
        self.write_in(turn, operation).await
    }

    /// Waits for the turn of `writer`.
    pub(super) async fn turn(&self, writer: impl Into<Writer>) -> Result<Turn<Writer>, StoreError> {
        let Connections { turns, timeout, .. } = &self.connections;
        turns.take_within(*timeout, &writer.into()).await
    }

    /// Writes in a turn. The turn ends with the write.
    pub(super) async fn write_in<T, E>(
        &self,
        turn: Turn<Writer>,
        operation: impl Operation<T, E>,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.connections.run(Lane::Write, Some(turn), operation).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::id::{RefreshToken, Scopes, UserId};
    use crate::store::{KnownUser, Store as _, StoreErrorKind};

    async fn open(folder: &tempfile::TempDir) -> SqliteStore {
        let store = SqliteStore::builder(folder.path().join("bridges.db"));
        store.readers(1).timeout(Duration::from_millis(50)).open().await.unwrap()
    }

    fn person(name: &str) -> KnownUser {
        let id = UserId::parse(name).unwrap();
        KnownUser::new(id, Scopes::default())
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
        let turn = store.connections.turns.take(&Writer::from(&alice.id)).await;
        assert_eq!(store.put_user(&alice).await.unwrap_err().kind(), StoreErrorKind::TimedOut);
        store.put_user(&bob).await.unwrap();
        drop(turn);
        store.put_user(&alice).await.unwrap();
    }

    #[tokio::test]
    async fn a_connection_is_not_lent_again_after_a_panic() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder).await;
        let marks = || store.write(|tx| tx.row("SELECT 1 FROM temp.sqlite_schema", [], |_| Ok(())));
        store.write(|tx| tx.execute("CREATE TEMP TABLE mark (of_this_connection)", [])).await.unwrap();
        assert!(marks().await.unwrap().is_some());
        let panicked = store.write(|_| -> Result<(), StoreError> { panic!("as a test") }).await;
        assert_eq!(panicked.unwrap_err().kind(), StoreErrorKind::Failed);
        assert!(marks().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_connection_that_still_runs_an_abandoned_write_is_not_lent() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder).await;
        let alice = person("alice");
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let slow = store.write(move |_| -> Result<(), StoreError> {
            // The sender goes with the test.
            let _ended = ended.recv();
            Ok(())
        });
        let abandoned = tokio::time::timeout(Duration::from_millis(20), slow).await;
        assert!(abandoned.is_err(), "the write still runs");
        assert_eq!(store.put_user(&alice).await.unwrap_err().kind(), StoreErrorKind::TimedOut);
        end.send(()).unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        let id = alice.id.clone();
        let put = store.read(move |tx| super::super::users::find(tx, &id)).await;
        assert!(put.unwrap().is_none(), "what was refused did not run later");
        store.put_user(&alice).await.unwrap();
    }
}
