//! The store itself.

use tokio::runtime::Handle;

use super::connections::Connections;
use super::revocation_hints::Hints;

/// A [`Store`](crate::store::Store) in one SQLite file. Any number of processes on the machine may share the file.
///
/// What the store acknowledged is on the disk: the file is in WAL mode with `synchronous=FULL`. Writes take turns on
/// one connection, and reads go on beside them. Its clock is the machine's clock.
///
/// # The file
///
/// The path must name a file. A database in memory is refused, because each connection would have one of its own. So
/// the store refuses `:memory:`, an empty path and every `file:` URI. Write the path of a file in a temporary folder
/// instead.
///
/// The file must stay where it was opened, with the `-wal` and `-shm` files that SQLite keeps beside it. While one of
/// them is moved, removed or replaced by another file, every operation fails with [`Moved`]: no write is acknowledged,
/// and no look-up and no reading of the log is answered. The error's source says which file it is and what to do.
///
/// The store checks the files after the commit and before it acknowledges the write. So a write that failed with this
/// error may be done or lost. If the file does not come back, the writes that were acknowledged before are lost with
/// it. Once the same files are back at their paths, the store works again. Another file is refused until the store is
/// opened again: a restored backup needs a restart. On Unix a file is identified by its device and inode, elsewhere by
/// the time when it was created.
///
/// # Readiness
///
/// [`ping`](crate::store::Store::ping) reads, and writes one page. So it notices a disk that is [`Full`], a disk that
/// is broken ([`Failed`]) and a file that is [`ReadOnly`]. The page is that of `user_version`, which keeps its value.
/// Each store writes it once a second at most. The calls in between share the result; without calls nothing is written.
/// The write waits at most 250 ms for another writer. If the other writer takes longer, the last result stays.
///
/// [`Moved`]: crate::store::StoreErrorKind::Moved
/// [`Full`]: crate::store::StoreErrorKind::Full
/// [`Failed`]: crate::store::StoreErrorKind::Failed
/// [`ReadOnly`]: crate::store::StoreErrorKind::ReadOnly
///
/// # Cancel safety
///
/// When a future is dropped, an operation that has begun runs to its end on its own thread. Only then is its connection
/// used again.
#[derive(Debug)]
pub struct SqliteStore {
    pub(super) connections: Connections,
    pub(super) runtime: Handle,
    pub(super) hints: Hints,
}

impl Drop for SqliteStore {
    /// Closes the idle connections where this may block: on the runtime's blocking threads.
    fn drop(&mut self) {
        let _context = self.runtime.enter();
        self.connections.close(&self.runtime);
    }
}
