//! Faults of the database. Their details are hidden from callers.

use std::error::Error;
use std::fmt;

/// The store could not answer.
///
/// It says nothing about the credential of the request. Its `Display` names no table, driver or server. Its
/// [`source`](Error::source) is the cause, for logs only.
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What kept the store from answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// There was no connection, or it was lost.
    Unavailable,
    /// The answer did not come in time, or every connection was busy for too long.
    TimedOut,
    /// The database takes no writes: it was opened or made read-only, or is a standby.
    ReadOnly,
    /// There is no room for what was to be written.
    Full,
    /// The file of the database was moved, removed or replaced by another while it was in use.
    Moved,
    /// The database refused a statement or gave an unexpected answer: a broken disk, or a defect.
    Failed,
    /// The fault stays until somebody corrects it: missing rights, a missing or changed migration, a wrong encoding, a
    /// transaction pooler, a wrong password. The [`source`](Error::source) says what to write.
    Misconfigured,
    /// The server answers, but cannot prove that it is still the primary: another may have taken over.
    Unproven,
}

impl StoreError {
    /// An error of `kind` with its cause.
    pub fn new(kind: StoreErrorKind, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, source: Some(source.into()) }
    }

    /// The answer did not come in time.
    #[must_use]
    pub const fn timed_out() -> Self {
        Self::of(StoreErrorKind::TimedOut)
    }

    /// An error whose cause was logged before.
    pub(crate) const fn of(kind: StoreErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// What kept the store from answering.
    #[must_use]
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

impl StoreErrorKind {
    /// All kinds.
    pub(crate) const ALL: [Self; 8] = [
        Self::Unavailable,
        Self::TimedOut,
        Self::ReadOnly,
        Self::Full,
        Self::Moved,
        Self::Failed,
        Self::Misconfigured,
        Self::Unproven,
    ];

    /// A stable word for it, for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::TimedOut => "timed_out",
            Self::ReadOnly => "read_only",
            Self::Full => "full",
            Self::Moved => "moved",
            Self::Failed => "failed",
            Self::Misconfigured => "misconfigured",
            Self::Unproven => "unproven",
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            StoreErrorKind::Unavailable => "the store is unavailable",
            StoreErrorKind::TimedOut => "the store did not answer in time",
            StoreErrorKind::ReadOnly => "the store takes no writes",
            StoreErrorKind::Full => "the store has no room left to write",
            StoreErrorKind::Moved => "the store's file was moved, removed or replaced",
            StoreErrorKind::Failed => "the store failed",
            StoreErrorKind::Misconfigured => "the store is set up wrongly",
            StoreErrorKind::Unproven => "the store cannot prove that its answers are fresh",
        })
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
