//! Proof that an answer of a server is not out of date. When two servers both take writes, only one of them can give
//! it.

use super::{RowState, SessionStatus};

/// One write that a store made to prove that it still can write. Its number is its place among the ticks of its lease.
///
/// A *lease* is one connection to one server. A server that shows a tick has everything that was acknowledged before
/// the tick began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Tick {
    pub(crate) lease: u128,
    pub(crate) number: u64,
}

/// A tick that the server has acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proof {
    /// The tick.
    pub tick: Tick,
    /// The life of the database. Another life begins after a crash, and on another server.
    pub era: i64,
    /// What the acknowledgement is worth when a server is lost.
    pub replication: Replication,
}

/// Where a write is once it is acknowledged. This decides what is promised when another server takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Replication {
    /// On this server alone. No other server can take over.
    OneNode,
    /// On this server, and a little later on its replicas. When a replica takes over, the last acknowledged writes may
    /// be undone. A primary that was cut off does not know that it is no longer the primary.
    Asynchronous,
    /// On this server and on a synchronous standby. When the standby takes over, nothing acknowledged is lost. The
    /// primary that was cut off can prove nothing.
    Synchronous,
}

/// What a store says about sessions, and which tick its answer shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SessionStatuses {
    /// The sessions that have a row.
    pub found: Vec<SessionStatus>,
    /// The newest tick that the server showed in the same answer.
    pub tick: Tick,
}

/// What a store says about rows that were seen before, and which tick its answer shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RowStates {
    /// The rows that exist.
    pub found: Vec<RowState>,
    /// The newest tick that the server showed in the same answer.
    pub tick: Tick,
}

impl Tick {
    /// The tick `number` of `lease`. A lease is one connection to one server, or the whole store if the store has one
    /// server for ever.
    #[must_use]
    pub const fn new(lease: u128, number: u64) -> Self {
        Self { lease, number }
    }
}

impl Proof {
    /// An acknowledged tick in the life `era` of the database.
    #[must_use]
    pub const fn new(tick: Tick, era: i64, replication: Replication) -> Self {
        Self { tick, era, replication }
    }
}

impl Replication {
    /// A stable word for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OneNode => "one_node",
            Self::Asynchronous => "asynchronous",
            Self::Synchronous => "synchronous",
        }
    }

    /// What is promised when another server takes over, as the log says it.
    #[cfg(feature = "postgres")]
    pub(crate) const fn promise(self) -> &'static str {
        match self {
            Self::OneNode => {
                "freshness: the database is one node, no replica is connected. Revocations hold as promised until \
                 another server takes its place"
            }
            Self::Asynchronous => {
                "freshness: the database has asynchronous replicas. When a replica takes over, the last revocations \
                 may be undone, and gateways that still reach the old primary do not notice"
            }
            Self::Synchronous => {
                "freshness: the database has a synchronous standby. Revocations hold as promised, also when the \
                 standby takes over"
            }
        }
    }
}
