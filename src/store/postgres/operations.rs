//! How operations run: in which turn, for how long, and what is checked afterwards.

use std::time::Duration;

use tokio::time::timeout;
use uuid::Uuid;

use super::connections::Connections;
use super::error;
use super::store::PostgresStore;
use crate::store::write_queue::{Turn, Writer};
use crate::store::{StoreError, StoreErrorKind};

/// An operation that has begun runs to its end, also when its caller has gone. A server goes on with a statement whose
/// client has gone. Until the statement ends, its connection and the person's turn are taken.
impl PostgresStore {
    /// Reads anything except sessions and the log.
    pub(super) async fn read<T, E, F>(&self, read: impl FnOnce(Connections) -> F + Send) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.connections.rest.run(read(self.connections.clone())).await
    }

    /// Writes for a person, or whoever `writer` is, in their turn. The turn comes before a connection is taken.
    pub(super) async fn write_for<T, E, F>(
        &self,
        writer: impl Into<Writer> + Send,
        write: impl FnOnce(Connections) -> F + Send,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let turn = self.turn(writer).await?;
        self.write_in(turn, write).await
    }

    /// Waits for the turn of `writer`.
    pub(super) async fn turn(&self, writer: impl Into<Writer>) -> Result<Turn<Writer>, StoreError> {
        self.turns.take_within(self.connections.rest.acquire, &writer.into()).await
    }

    /// Writes in a turn. The turn ends with the write.
    pub(super) async fn write_in<T, E, F>(
        &self,
        turn: Turn<Writer>,
        write: impl FnOnce(Connections) -> F + Send,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let written = write(self.connections.clone());
        let work = async move {
            let _turn = turn;
            written.await
        };
        self.run_to_completion(self.connections.rest.longest(), work).await
    }

    /// Writes without waiting for a turn.
    pub(super) async fn write<T, E, F>(&self, write: impl FnOnce(Connections) -> F + Send) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.run_to_completion(self.connections.rest.longest(), write(self.connections.clone())).await
    }

    /// Runs `write` in a task of its own. The caller may stop polling without dropping its future, and must not keep
    /// the turn.
    pub(super) async fn run_to_completion<T, E>(
        &self,
        longest: Duration,
        write: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        match timeout(longest, tokio::spawn(write)).await {
            Ok(written) => written.unwrap_or_else(|end| Err(error::failed(end).into())),
            Err(_) => Err(StoreError::timed_out().into()),
        }
    }

    /// Runs `write`, and sends a hint if it `revoked` something, also when nobody waits for its answer.
    pub(super) fn hinting<T, E>(
        &self,
        write: impl Future<Output = Result<T, E>> + Send + 'static,
        revoked: fn(&Result<T, E>) -> bool,
    ) -> impl Future<Output = Result<T, E>> + Send + 'static
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let ticks = self.ticks.clone();
        async move {
            let written = write.await;
            if revoked(&written) {
                ticks.notify();
            }
            written
        }
    }

    /// The answer of `outcome`. A denial counts only if the server was the primary a moment ago. A primary that was
    /// replaced does not know what the new one has written, and a read on it does not fail.
    pub(super) async fn certain<T, E: From<StoreError>>(
        &self,
        outcome: impl Future<Output = Result<T, E>>,
        denies: impl Fn(&Result<T, E>) -> bool,
    ) -> Result<T, E> {
        let outcome = outcome.await;
        if denies(&outcome) {
            self.ticks.confirm(self.tick_deadline()).await?;
        }
        outcome
    }

    /// How long a tick may take: a commit may take longer than a look-up.
    pub(super) fn tick_deadline(&self) -> Duration {
        self.connections.look_ups.statement.max(Duration::from_secs(1))
    }

    /// Forgets `lease` after an unproven answer. The server may still be the primary, and the row of the lease was
    /// swept.
    pub(super) fn forget_if_unknown(&self, lease: Uuid, fault: &StoreError) {
        if fault.kind() == StoreErrorKind::Unproven {
            self.ticks.forget(lease);
        }
    }
}
