//! From a path to pools of connections to a migrated file.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use deadpool_sqlite::Config;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::file_identity::{self, Identity, OpenedFiles};
use super::migrate::migrate;
use super::pool::{Hook, HookError, Manager, Pool, PoolError, QueueMode, Runtime, Timeouts};
use super::store_clock::StoreClock;
use super::transaction::fault;
use crate::store::migrations::SQLITE;
use crate::store::{StoreError, StoreErrorKind};

/// What a connection is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Role {
    Writer,
    Reader,
}

/// How long the probe waits for another writer: less than its callers wait.
const PROBE_WAIT: Duration = Duration::from_millis(250);

/// A file whose tables are up to date.
#[derive(Debug)]
pub(super) struct Opened {
    /// What SQLite opens: the path, in a form that makes no file, or the name of a database in memory.
    pub(super) name: PathBuf,
    /// An absolute path without links. `None`: the database is in memory.
    pub(super) path: Option<PathBuf>,
    pub(super) files: Arc<OpenedFiles>,
    pub(super) clock: StoreClock,
    /// The probe writes on it. While it is open, the files stay the same.
    pub(super) connection: Connection,
}

/// Makes the file and its folder if they are missing, and migrates its tables.
pub(super) fn prepare(name: &Path, timeout: Duration) -> Result<Opened, StoreError> {
    let name = file_identity::named(name)?;
    let path = absolute(name).map_err(unavailable)?;
    let _lock = lock(&path).map_err(unavailable)?;
    create(&path).map_err(unavailable)?;
    let made = Identity::of(&path).map_err(unavailable)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(&path, flags).map_err(fault)?;
    configure(&connection, Role::Writer, timeout).map_err(fault)?;
    connection.pragma_update(None, "journal_mode", "wal").map_err(fault)?;
    migrate(&mut connection, SQLITE)?;
    connection.busy_timeout(timeout.min(PROBE_WAIT)).map_err(fault)?;
    let files = OpenedFiles::of(name, &path).map_err(unavailable)?;
    if Identity::of(&path).map_err(unavailable)? != made {
        return Err(StoreError::new(
            StoreErrorKind::Moved,
            "the database file was replaced while it was opened",
        ));
    }
    let (name, files) = (existing(&path), Arc::new(files));
    Ok(Opened { name, path: Some(path), files, clock: StoreClock::default(), connection })
}

/// Makes a database in memory that no other store has, for a test that moves its time. All connections share it, and it
/// ends with the last one.
#[cfg(feature = "testing")]
pub(super) fn prepare_in_memory(
    files: OpenedFiles,
    clock: StoreClock,
    timeout: Duration,
) -> Result<Opened, StoreError> {
    let name = format!("file:/{}?vfs=memdb", &*crate::id::random_hex::<16>());
    let mut connection = Connection::open(&name).map_err(fault)?;
    configure(&connection, Role::Writer, timeout).map_err(fault)?;
    migrate(&mut connection, SQLITE)?;
    connection.busy_timeout(timeout.min(PROBE_WAIT)).map_err(fault)?;
    Ok(Opened { name: name.into(), path: None, files: Arc::new(files), clock, connection })
}

/// A pool of at most `size` connections to the file.
pub(super) fn pool(opened: &Opened, role: Role, size: usize, timeout: Duration) -> Result<Pool, StoreError> {
    let files = Arc::clone(&opened.files);
    let configured = Hook::async_fn(move |connection, _| {
        let files = Arc::clone(&files);
        Box::pin(async move {
            let configured = connection.interact(move |connection| {
                // Before anything is read: otherwise SQLite would apply the log of one file to another file.
                let check = || files.check().map_err(|e| HookError::message(e.to_string()));
                check()?;
                configure(connection, role, timeout).map_err(HookError::Backend)?;
                // And afterwards: `configure` opened the log.
                check()
            });
            configured.await.map_err(|e| HookError::message(e.to_string()))?
        })
    });
    Pool::builder(Manager::new(&Config::new(opened.name.clone())))
        .max_size(size)
        // The connection that was used last has the most in its cache.
        .queue_mode(QueueMode::Lifo)
        .timeouts(Timeouts { wait: Some(timeout), create: Some(timeout), recycle: Some(timeout) })
        .runtime(Runtime::Tokio1)
        .post_create(configured)
        .build()
        .map_err(|e| StoreError::new(StoreErrorKind::Failed, e))
}

/// Why a pool gave no connection.
pub(super) fn pool_fault(error: PoolError) -> StoreError {
    match error {
        PoolError::Timeout(_) => StoreError::new(StoreErrorKind::TimedOut, error),
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => fault(error),
        _ => StoreError::new(StoreErrorKind::Unavailable, error),
    }
}

fn configure(connection: &Connection, role: Role, timeout: Duration) -> rusqlite::Result<()> {
    connection.busy_timeout(timeout)?;
    connection.set_prepared_statement_cache_capacity(64);
    // Otherwise, once somebody has analysed the file, SQLite plans a statement anew for every value that is bound to it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // In WAL mode only this setting keeps an acknowledged commit when the power fails.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "query_only", matches!(role, Role::Reader))
}

/// The absolute path. Its folder is made. SQLite would take a relative path as `:memory:` or as a `file:` URI.
fn absolute(path: &Path) -> io::Result<PathBuf> {
    if path.exists() {
        return fs::canonicalize(path);
    }
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    Ok(fs::canonicalize(folder)?.join(name))
}

/// The path that SQLite opens. SQLite does not make the file if it is missing: beside an empty file it would delete the
/// log of the file that was moved away.
#[cfg(unix)]
fn existing(path: &Path) -> PathBuf {
    use std::fmt::Write as _;
    use std::os::unix::ffi::OsStrExt as _;
    let mut uri = String::from("file://");
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri.push_str("?mode=rw");
    uri.into()
}

/// Elsewhere an open file can be neither moved nor removed.
#[cfg(not(unix))]
fn existing(path: &Path) -> PathBuf {
    path.to_owned()
}

/// Waits until no other process makes or migrates the file. A migration itself takes no lock.
///
/// The lock is on a file beside the database. When the database file is closed anywhere in a process, the locks that
/// SQLite holds on it end. The lock ends with the returned value or with the process.
#[expect(clippy::incompatible_msrv, reason = "`deadpool-sqlite` needs a newer Rust than `File::lock`")]
fn lock(path: &Path) -> io::Result<File> {
    let mut beside = path.as_os_str().to_owned();
    beside.push("-lock");
    let file = owner_only().create(true).open(beside)?;
    file.lock()?;
    Ok(file)
}

/// Makes the file if it is missing, for its owner alone. SQLite gives the files beside it the same mode.
fn create(path: &Path) -> io::Result<()> {
    match owner_only().create_new(true).open(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    }
}

fn owner_only() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn unavailable(error: io::Error) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_pooled_connection_keeps_what_it_acknowledged() {
        let folder = tempfile::tempdir().unwrap();
        let timeout = Duration::from_secs(5);
        let opened = prepare(&folder.path().join("bridges.db"), timeout).unwrap();
        for (role, query_only) in [(Role::Writer, 0), (Role::Reader, 1)] {
            let connection = pool(&opened, role, 1, timeout).unwrap().get().await.unwrap();
            let pragma = async |name: &'static str| -> i64 {
                let read = move |connection: &mut Connection| {
                    connection.pragma_query_value(None, name, |row| row.get(0))
                };
                connection.interact(read).await.unwrap().unwrap()
            };
            assert_eq!(pragma("synchronous").await, 2, "FULL");
            assert_eq!(pragma("foreign_keys").await, 1);
            assert_eq!(pragma("query_only").await, query_only);
            assert_eq!(pragma("busy_timeout").await, 5000);
        }
    }
}
