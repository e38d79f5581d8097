//! Which operation gets which connection. Look-ups have their own connections, and the writes of one person take turns.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};
use tokio::runtime::Handle;

use super::connect::{self, Opened, Role};
use super::file_identity::OpenedFiles;
use super::pool::Pool;
use super::store_clock::StoreClock;
use super::transaction::Transaction;
use super::write_probe::Probe;
use crate::store::pool_usage::PoolUsage;
use crate::store::write_queue::{Turn, WriteQueue, Writer};
use crate::store::{PoolStatus, StoreError, StoreErrorKind};

/// How many look-ups may run at once.
const LOOKUPS: usize = 3;

/// The kind of work that a connection is taken for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lane {
    LookUp,
    Read,
    Write,
}

impl Lane {
    /// How many lanes there are.
    const ALL: usize = 3;
}

/// All connections to one file.
#[derive(Debug)]
pub(super) struct Connections {
    pub(super) writer: Pool,
    pub(super) readers: Pool,
    /// For what every request needs. No other work may use them.
    lookups: Pool,
    /// How much of each lane's pool is lent.
    usage: [Arc<PoolUsage>; Lane::ALL],
    pub(super) turns: WriteQueue<Writer>,
    files: Arc<OpenedFiles>,
    clock: StoreClock,
    probe: Probe,
    pub(super) timeout: Duration,
}

impl Connections {
    pub(super) fn new(opened: Opened, readers: usize, timeout: Duration) -> Result<Self, StoreError> {
        Ok(Self {
            writer: connect::pool(&opened, Role::Writer, 1, timeout)?,
            readers: connect::pool(&opened, Role::Reader, readers, timeout)?,
            lookups: connect::pool(&opened, Role::Reader, LOOKUPS, timeout)?,
            usage: Default::default(),
            turns: WriteQueue::default(),
            files: Arc::clone(&opened.files),
            clock: opened.clock.clone(),
            probe: Probe::new(opened),
            timeout,
        })
    }

    /// Closes the idle connections.
    pub(super) fn close(&self, runtime: &Handle) {
        for pool in [&self.writer, &self.readers, &self.lookups] {
            pool.close();
        }
        self.probe.close(runtime);
    }

    /// Whether the file can be written. The result may be up to a second old.
    pub(super) async fn can_write(&self) -> Result<(), StoreError> {
        self.probe.can_write().await
    }

    pub(super) fn status(&self) -> PoolStatus {
        let pools = [&self.writer, &self.readers, &self.lookups];
        PoolStatus {
            size: pools.iter().map(|pool| pool.status().max_size).sum(),
            connections_out: self.usage.iter().map(|usage| usage.out()).sum(),
            last_wait: self.usage.iter().map(|usage| usage.last_wait()).max().unwrap_or_default(),
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
    /// No answer, not even a refusal, comes from a file that is not in its place.
    pub(super) async fn run<T, E>(
        &self,
        lane: Lane,
        turn: Option<Turn<Writer>>,
        operation: impl Operation<T, E>,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (asked, usage) = (Instant::now(), &self.usage[lane as usize]);
        let connection = self.pool(lane).get().await;
        usage.waited(asked.elapsed());
        let connection = connection.map_err(|e| self.files.explain(connect::pool_fault(e)))?;
        let (files, clock, lent) = (Arc::clone(&self.files), self.clock.clone(), usage.lend());
        let done = connection.interact(move |connection| {
            // When the future is dropped, the transaction goes on, and keeps its turn and its connection.
            let _turn = turn;
            let done = in_place(&files, &clock, connection, lane, operation);
            (done, lent)
        });
        let (done, _lent) = done.await.map_err(|e| StoreError::new(StoreErrorKind::Failed, e.to_string()))?;
        done
    }
}

/// The work of one transaction. It runs on another thread.
pub(super) trait Operation<T, E>: FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static {}

impl<F, T, E> Operation<T, E> for F where F: FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static {}

fn in_place<T, E: From<StoreError>>(
    files: &OpenedFiles,
    clock: &StoreClock,
    connection: &mut Connection,
    lane: Lane,
    operation: impl Operation<T, E>,
) -> Result<T, E> {
    if matches!(lane, Lane::Write) {
        // Otherwise the write could go beside another database, and spoil its log.
        files.check()?;
    }
    let done = transact(clock, connection, lane, operation);
    files.check()?;
    done
}

fn transact<T, E: From<StoreError>>(
    clock: &StoreClock,
    connection: &mut Connection,
    lane: Lane,
    operation: impl Operation<T, E>,
) -> Result<T, E> {
    let behavior = match lane {
        Lane::Write => TransactionBehavior::Immediate,
        Lane::LookUp | Lane::Read => TransactionBehavior::Deferred,
    };
    let transaction = Transaction::begin(connection, behavior, clock)?;
    let done = operation(&transaction)?;
    transaction.commit()?;
    Ok(done)
}
