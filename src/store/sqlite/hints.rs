//! Hears of writes to the file, this process's and others', by SQLite's own counter of them.

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::watch;

/// Hands out the channel of hints, one thread for each.
#[derive(Debug)]
pub(super) struct Hints {
    path: PathBuf,
    /// Goes with the store, and with it each thread.
    alive: Arc<()>,
}

impl Hints {
    /// How often the counter is read: a few microseconds each time.
    const PAUSE: Duration = Duration::from_millis(2);

    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, alive: Arc::new(()) }
    }

    /// A channel that changes after each write; `None` when the system gives no thread.
    pub(super) fn subscribe(&self) -> Option<watch::Receiver<()>> {
        let (hint, hints) = watch::channel(());
        let (path, alive) = (self.path.clone(), Arc::downgrade(&self.alive));
        let thread = thread::Builder::new().name("bridge-auth-hints".to_owned());
        thread.spawn(move || watch_file(&path, &alive, &hint)).ok()?;
        Some(hints)
    }
}

/// Reads the counter until nobody listens, the store is gone, or the file cannot be read: the log is still read now
/// and then.
fn watch_file(path: &std::path::Path, alive: &Weak<()>, hint: &watch::Sender<()>) {
    let Ok(connection) = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY) else { return };
    let mut last = 0;
    while alive.strong_count() > 0 && !hint.is_closed() {
        // It counts the writes of other connections, and this one makes none.
        let version = connection.query_row("PRAGMA data_version", [], |row| row.get::<_, i64>(0));
        match version {
            Ok(version) if version != last => {
                last = version;
                hint.send_replace(());
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "waiting for writes was interrupted"
                );
                return;
            }
        }
        thread::sleep(Hints::PAUSE);
    }
}
