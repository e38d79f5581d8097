//! The identity of the opened file, and whether its path still leads to it.

use std::error::Error;
use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
#[cfg(feature = "testing")]
use std::sync::Arc;
#[cfg(feature = "testing")]
use std::sync::atomic::{AtomicBool, Ordering};

use crate::store::{StoreError, StoreErrorKind};

/// Refuses a path that SQLite takes as a database in memory or as a URI.
pub(super) fn named(path: &Path) -> Result<&Path, StoreError> {
    const CURE: &str = "write the path of a file, for instance in a temporary folder";
    let text = path.to_string_lossy();
    let lower = text.to_ascii_lowercase();
    let wrong = if text.is_empty() {
        format!("the path is empty, so each connection would have a database of its own: {CURE}")
    } else if lower.starts_with(":memory:") || lower.starts_with("file::memory:") || is_memory_uri(&lower) {
        format!("{text:?} is a database in memory, so each connection would have one of its own: {CURE}")
    } else if lower.starts_with("file:") {
        format!("{text:?} is a URI, not a path: {CURE}")
    } else {
        return Ok(path);
    };
    Err(StoreError::new(StoreErrorKind::Misconfigured, wrong))
}

fn is_memory_uri(text: &str) -> bool {
    text.starts_with("file:") && (text.contains("mode=memory") || text.contains("vfs=memdb"))
}

/// The files of one database, as they were when it was opened.
///
/// A connection that stays open prevents SQLite from removing the files beside it, or making them again.
#[derive(Debug)]
pub(super) struct OpenedFiles {
    files: Vec<(PathBuf, Identity)>,
    /// Whether a test has taken the store down. A store in memory has no files.
    #[cfg(feature = "testing")]
    is_down: Arc<AtomicBool>,
}

impl OpenedFiles {
    /// The files at `path`. `name` is the path that the host gave. A connection that has read must hold them open.
    pub(super) fn of(name: &Path, path: &Path) -> io::Result<Self> {
        let beside = |ending: &str| {
            let mut beside = path.as_os_str().to_owned();
            beside.push(ending);
            PathBuf::from(beside)
        };
        let mut paths = vec![path.to_owned(), beside("-wal"), beside("-shm")];
        // If a link is changed to another file, the next start opens that file.
        let name = std::path::absolute(name)?;
        if name != path {
            paths.push(name);
        }
        let files = paths.into_iter().map(|path| Identity::of(&path).map(|identity| (path, identity)));
        Ok(Self {
            files: files.collect::<io::Result<_>>()?,
            #[cfg(feature = "testing")]
            is_down: Arc::default(),
        })
    }

    /// No files. Every check fails while `is_down` is set.
    #[cfg(feature = "testing")]
    pub(super) fn in_memory(is_down: Arc<AtomicBool>) -> Self {
        Self { files: Vec::new(), is_down }
    }

    /// Fails unless each path leads to the file that was opened. This takes about a microsecond for each path.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        #[cfg(feature = "testing")]
        if self.is_down.load(Ordering::SeqCst) {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "the test has taken the store down"));
        }
        for (path, opened) in &self.files {
            match Identity::of(path) {
                Ok(found) if found == *opened => {}
                found => return Err(moved(path, found.err())),
            }
        }
        Ok(())
    }

    /// The cause of `error`, if the cause is that a file is not in its place; otherwise `error`.
    pub(super) fn explain(&self, error: StoreError) -> StoreError {
        self.check().err().unwrap_or(error)
    }
}

/// What distinguishes one file from another.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Identity(#[cfg(unix)] (u64, u64), #[cfg(not(unix))] Option<std::time::SystemTime>);

impl Identity {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|metadata| Self::read(&metadata))
    }

    #[cfg(unix)]
    fn read(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self((metadata.dev(), metadata.ino()))
    }

    #[cfg(not(unix))]
    fn read(metadata: &Metadata) -> Self {
        Self(metadata.created().ok())
    }
}

/// The error for a path that does not lead to the file that was opened.
fn moved(path: &Path, missing: Option<io::Error>) -> StoreError {
    StoreError::new(StoreErrorKind::Moved, Moved { path: path.to_owned(), missing })
}

/// A path that does not lead to the file that was opened.
#[derive(Debug)]
struct Moved {
    path: PathBuf,
    /// Why no file is found there; `None` when there is another file.
    missing: Option<io::Error>,
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.missing {
            Some(_) => write!(
                f,
                "the database file {path} is missing: put it back, or restart to begin with an empty one. The last \
                 writes may be lost"
            ),
            None => write!(
                f,
                "the database file {path} is another file than the one that was opened: put that one back, or restart \
                 to use the other one. The last writes may be lost"
            ),
        }
    }
}

impl Error for Moved {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.missing.as_ref().map(|missing| missing as _)
    }
}
