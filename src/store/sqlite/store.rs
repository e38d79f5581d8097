//! The store itself.

use tokio::runtime::Handle;

use super::connections::Connections;
use super::hints::Hints;

/// A [`Store`](crate::store::Store) in one SQLite file, which any number of processes on the machine may share.
///
/// What it acknowledged is on the disk: the file is in WAL mode with `synchronous=FULL`. Writes take
/// turns on one connection, reads go on beside them. Its clock is the machine's.
///
/// # The file
///
/// Its path names a file. A database in memory is refused, because each connection would have one of its own: `:memory:`,
/// an empty path and every `file:` URI. Write the path of a file in a temporary folder instead.
///
/// The file must stay where it was opened, with the `-wal` and `-shm` files that SQLite keeps beside it. While one of them
/// is moved, removed or replaced by another file, every operation answers [`Moved`]: no write is acknowledged, no look-up
/// and no reading of the log answers. The error's source says which file it is and what to do.
///
/// The store looks after the commit and before it acknowledges. So a write that was answered with an error may be done or
/// lost, and what was acknowledged before goes with the file if the file does not come back. Once the same files are back
/// at their paths, the store works again. Another file is refused until the store is opened anew: a restored backup needs
/// a restart. On Unix a file is known by its device and inode, elsewhere by the time it was created.
///
/// # Readiness
///
/// [`ping`](crate::store::Store::ping) reads, and writes one page, so that it notices a disk that is [`Full`], one that is broken
/// ([`Failed`]) and a file that is [`ReadOnly`]. The page is that of `user_version`, which keeps its value. It is written at
/// most once a second by each store: the calls in between share the result, and without calls nothing is written. The write
/// waits at most 250 ms for another writer. One who writes for longer changes nothing in what was found before.
///
/// [`Moved`]: crate::store::StoreErrorKind::Moved
/// [`Full`]: crate::store::StoreErrorKind::Full
/// [`Failed`]: crate::store::StoreErrorKind::Failed
/// [`ReadOnly`]: crate::store::StoreErrorKind::ReadOnly
///
/// # Cancel safety
///
/// An operation that has begun runs to its end on its own thread when its future is dropped, and
/// only then is its connection used again.
#[derive(Debug)]
pub struct SqliteStore {
    pub(super) connections: Connections,
    pub(super) runtime: Handle,
    pub(super) hints: Hints,
}

impl Drop for SqliteStore {
    /// Closes the idle connections where they can be: on the runtime's blocking threads.
    fn drop(&mut self) {
        let _context = self.runtime.enter();
        self.connections.close(&self.runtime);
    }
}
