//! Who gets which connection: look-ups have their own, and the writes of one person take turns.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};
use tokio::runtime::Handle;

use super::connect::{self, Opened, Role};
use super::file_identity::OpenedFiles;
use super::pool::Pool;
use super::transaction::Transaction;
use super::write_probe::Probe;
use crate::id::UserId;
use crate::store::pool_usage::PoolUsage;
use crate::store::write_queue::{Turn, WriteQueue};
use crate::store::{PoolStatus, StoreError, StoreErrorKind};

/// How many look-ups may go on at once.
const LOOKUPS: usize = 3;

/// Whose connection is taken.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lane {
    LookUp,
    Read,
    Write,
}

impl Lane {
    /// How many there are.
    const ALL: usize = 3;
}

/// All connections to one file.
#[derive(Debug)]
pub(super) struct Connections {
    pub(super) writer: Pool,
    pub(super) readers: Pool,
    /// For what every request needs: nothing else takes them.
    lookups: Pool,
    /// What each lane's pool has lent.
    lending: [Arc<PoolUsage>; Lane::ALL],
    pub(super) turns: WriteQueue<UserId>,
    place: Arc<OpenedFiles>,
    probe: Probe,
    pub(super) timeout: Duration,
}

impl Connections {
    pub(super) fn new(opened: Opened, readers: usize, timeout: Duration) -> Result<Self, StoreError> {
        Ok(Self {
            writer: connect::pool(&opened, Role::Writer, 1, timeout)?,
            readers: connect::pool(&opened, Role::Reader, readers, timeout)?,
            lookups: connect::pool(&opened, Role::Reader, LOOKUPS, timeout)?,
            lending: Default::default(),
            turns: WriteQueue::default(),
            place: Arc::clone(&opened.place),
            probe: Probe::new(opened),
            timeout,
        })
    }

    /// Closes those that are idle.
    pub(super) fn close(&self, runtime: &Handle) {
        for pool in [&self.writer, &self.readers, &self.lookups] {
            pool.close();
        }
        self.probe.close(runtime);
    }

    /// Whether the file can be written, as found out less than a second ago.
    pub(super) async fn can_write(&self) -> Result<(), StoreError> {
        self.probe.can_write().await
    }

    pub(super) fn status(&self) -> PoolStatus {
        let pools = [&self.writer, &self.readers, &self.lookups];
        PoolStatus {
            size: pools.iter().map(|pool| pool.status().max_size).sum(),
            connections_out: self.lending.iter().map(|lending| lending.out()).sum(),
            last_wait: self.lending.iter().map(|lending| lending.last_wait()).max().unwrap_or_default(),
        }
    }

    fn pool(&self, lane: Lane) -> &Pool {
        match lane {
            Lane::LookUp => &self.lookups,
            Lane::Read => &self.readers,
            Lane::Write => &self.writer,
        }
    }

    /// Runs `operation` in one transaction, which an error rolls back.
    ///
    /// Nothing that it answers, a refusal neither, comes from a file that is not in its place.
    pub(super) async fn run<T, E>(
        &self,
        lane: Lane,
        turn: Option<Turn<UserId>>,
        operation: impl Operation<T, E>,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (asked, lending) = (Instant::now(), &self.lending[lane as usize]);
        let connection = self.pool(lane).get().await;
        lending.waited(asked.elapsed());
        let connection = connection.map_err(|e| self.place.explain(connect::pool_fault(e)))?;
        let (place, lent) = (Arc::clone(&self.place), lending.lend());
        let done = connection.interact(move |connection| {
            // The transaction goes on when its future is dropped, and so do the turn and the loan.
            let _turn = turn;
            let done = in_place(&place, connection, lane, operation);
            (done, lent)
        });
        let (done, _lent) = done.await.map_err(|e| StoreError::new(StoreErrorKind::Failed, e.to_string()))?;
        done
    }
}

/// What is done in one transaction, on another thread.
pub(super) trait Operation<T, E>: FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static {}

impl<F, T, E> Operation<T, E> for F where F: FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static {}

fn in_place<T, E: From<StoreError>>(
    place: &OpenedFiles,
    connection: &mut Connection,
    lane: Lane,
    operation: impl Operation<T, E>,
) -> Result<T, E> {
    if matches!(lane, Lane::Write) {
        // It would be written beside another database, whose log it might spoil.
        place.check()?;
    }
    let done = transact(connection, lane, operation);
    place.check()?;
    done
}

fn transact<T, E: From<StoreError>>(
    connection: &mut Connection,
    lane: Lane,
    operation: impl Operation<T, E>,
) -> Result<T, E> {
    let behavior = match lane {
        Lane::Write => TransactionBehavior::Immediate,
        Lane::LookUp | Lane::Read => TransactionBehavior::Deferred,
    };
    let transaction = Transaction::begin(connection, behavior)?;
    let done = operation(&transaction)?;
    transaction.commit()?;
    Ok(done)
}
