//! Notices writes to the file by this process and by others. It reads SQLite's own counter of writes.

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::watch;

/// Makes channels of hints. Each channel has a thread.
#[derive(Debug)]
pub(super) struct Hints {
    /// `None`: the database is in memory, and no other process writes to it.
    path: Option<PathBuf>,
    /// Dropped with the store. Then each thread ends.
    alive: Arc<()>,
}

impl Hints {
    /// How often the counter is read. One reading takes a few microseconds.
    const PAUSE: Duration = Duration::from_millis(2);

    pub(super) fn new(path: Option<PathBuf>) -> Self {
        Self { path, alive: Arc::new(()) }
    }

    /// A channel that changes after each write; `None` when the system cannot start a thread, and in memory.
    pub(super) fn subscribe(&self) -> Option<watch::Receiver<()>> {
        let (hint, hints) = watch::channel(());
        let (path, alive) = (self.path.clone()?, Arc::downgrade(&self.alive));
        let thread = thread::Builder::new().name("bridge-auth-hints".to_owned());
        thread.spawn(move || watch_file(&path, &alive, &hint)).ok()?;
        Some(hints)
    }
}

/// Reads the counter until nobody listens, the store is dropped, or the file cannot be read. The log is still read now
/// and then.
fn watch_file(path: &std::path::Path, alive: &Weak<()>, hint: &watch::Sender<()>) {
    let Ok(connection) = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY) else { return };
    let mut last = 0;
    while alive.strong_count() > 0 && !hint.is_closed() {
        // The counter counts the writes of other connections, and this connection writes nothing.
        let version = connection.query_row("PRAGMA data_version", [], |row| row.get::<_, i64>(0));
        match version {
            Ok(version) if version != last => {
                last = version;
                hint.send_replace(());
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(
                    file = %path.display(),
                    error = &error as &dyn std::error::Error,
                    "hints of revocations have stopped: the file cannot be read"
                );
                return;
            }
        }
        thread::sleep(Hints::PAUSE);
    }
}
