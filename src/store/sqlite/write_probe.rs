//! Whether the file can be written. One small write a second at most, and all who ask share its result.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};
use tokio::runtime::Handle;

use super::connect::Opened;
use super::file_identity::OpenedFiles;
use super::store_clock::StoreClock;
use super::transaction::Transaction;
use crate::store::{StoreError, StoreErrorKind};

/// How long a result is shared. The disk is not written more often.
const SHARED: Duration = Duration::from_secs(1);

/// Writes on a connection of its own, which keeps the file open for as long as the store exists.
#[derive(Debug)]
pub(super) struct Probe {
    inner: Arc<Inner>,
    /// Callers that wait for the turn share the result of the one that has it.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Inner {
    files: Arc<OpenedFiles>,
    /// `None` once the store is closed.
    connection: Mutex<Option<Connection>>,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    begun: Option<Instant>,
    fault: Option<Fault>,
}

impl Probe {
    pub(super) fn new(opened: Opened) -> Self {
        let Opened { connection, files, .. } = opened;
        let inner = Inner { files, connection: Mutex::new(Some(connection)), last: Mutex::default() };
        Self { inner: Arc::new(inner), turn: tokio::sync::Mutex::default() }
    }

    /// Whether the file could be written less than a second ago, or can be written now.
    ///
    /// When the future is dropped, a write that has begun goes on. The next caller gets its result.
    pub(super) async fn can_write(&self) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        if self.inner.is_due() {
            let inner = Arc::clone(&self.inner);
            let written = tokio::task::spawn_blocking(move || inner.write());
            written.await.map_err(|e| StoreError::new(StoreErrorKind::Failed, e))??;
        }
        match &lock(&self.inner.last).fault {
            None => Ok(()),
            Some(fault) => Err(StoreError::new(fault.kind(), fault.clone())),
        }
    }

    /// Closes the connection on a thread that may wait for the disk.
    pub(super) fn close(&self, runtime: &Handle) {
        let inner = Arc::clone(&self.inner);
        runtime.spawn_blocking(move || drop(lock(&inner.connection).take()));
    }
}

impl Inner {
    /// Whether it is time to write again. If so, the write counts as begun.
    fn is_due(&self) -> bool {
        let mut last = lock(&self.last);
        let is_due = last.begun.is_none_or(|begun| begun.elapsed() >= SHARED);
        if is_due {
            last.begun = Some(Instant::now());
        }
        is_due
    }

    /// Writes, and stores the result. An error means that the result is unknown.
    fn write(&self) -> Result<(), StoreError> {
        let mut connection = match self.connection.try_lock() {
            Ok(connection) => connection,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // The disk hangs. A second thread must not wait for it.
            Err(TryLockError::WouldBlock) => return Err(StoreError::timed_out()),
        };
        let Some(connection) = connection.as_mut() else { return Ok(()) };
        self.files.check()?;
        let written = rewrite(connection);
        self.files.check()?;
        let fault = match written {
            // Another process is writing: the last result stays.
            Err(error) if error.kind() == StoreErrorKind::TimedOut => return Ok(()),
            Err(error) => Some(Fault(Arc::new(error))),
            Ok(()) => None,
        };
        lock(&self.last).fault = fault;
        Ok(())
    }
}

/// Writes the number that is there already. Nobody reads it, and SQLite writes it even though it is equal, unlike a
/// row.
fn rewrite(connection: &mut Connection) -> Result<(), StoreError> {
    let tx = Transaction::begin(connection, TransactionBehavior::Immediate, &StoreClock::default())?;
    let version: Option<i64> = tx.row("PRAGMA user_version", [], |row| row.get(0))?;
    tx.execute(&format!("PRAGMA user_version = {}", version.unwrap_or(0)), [])?;
    tx.commit()
}

/// A fault that several callers get.
#[derive(Debug, Clone)]
struct Fault(Arc<StoreError>);

impl Fault {
    fn kind(&self) -> StoreErrorKind {
        self.0.kind()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the file could not be written")
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::sqlite::connect;

    fn probe(folder: &tempfile::TempDir) -> Probe {
        let opened = connect::prepare(&folder.path().join("bridges.db"), Duration::from_secs(5)).unwrap();
        Probe::new(opened)
    }

    fn query_only(probe: &Probe, on: bool) {
        let connection = lock(&probe.inner.connection);
        connection.as_ref().unwrap().pragma_update(None, "query_only", on).unwrap();
    }

    async fn becomes(probe: &Probe, kind: Option<StoreErrorKind>) {
        while probe.can_write().await.err().map(|error| error.kind()) != kind {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn a_file_that_takes_no_writes_is_told_until_it_does() {
        let folder = tempfile::tempdir().unwrap();
        let probe = probe(&folder);
        probe.can_write().await.unwrap();
        query_only(&probe, true);
        becomes(&probe, Some(StoreErrorKind::ReadOnly)).await;
        let error = probe.can_write().await.unwrap_err();
        assert_eq!(error.to_string(), "the store takes no writes");
        assert!(error.source().unwrap().source().is_some(), "the log has the cause");
        query_only(&probe, false);
        becomes(&probe, None).await;
    }

    #[tokio::test]
    async fn who_writes_for_long_changes_nothing_in_what_was_found() {
        let folder = tempfile::tempdir().unwrap();
        let probe = probe(&folder);
        let elsewhere = Connection::open(folder.path().join("bridges.db")).unwrap();
        elsewhere.execute_batch("BEGIN IMMEDIATE").unwrap();
        probe.can_write().await.unwrap();
        lock(&probe.inner.last).fault = Some(Fault(Arc::new(StoreError::new(StoreErrorKind::Full, "full"))));
        lock(&probe.inner.last).begun = None;
        assert_eq!(probe.can_write().await.unwrap_err().kind(), StoreErrorKind::Full);
        assert!(lock(&probe.inner.last).begun.is_some(), "it was asked");
        elsewhere.execute_batch("ROLLBACK").unwrap();
        becomes(&probe, None).await;
    }

    #[test]
    fn while_a_write_hangs_no_second_thread_waits_for_the_disk() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let probe = probe(&folder);
        let hanging = lock(&probe.inner.connection);
        let error = runtime.block_on(probe.can_write()).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::TimedOut);
        drop(hanging);
        runtime.block_on(becomes(&probe, None));
    }
}
