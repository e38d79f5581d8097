//! Proof that what a server says is not out of date: between two servers that both take writes, only one can give it.

use super::{RowState, SessionStatus};

/// One write that a store made to prove that it still can: it has a place in the order of all of its lease.
///
/// A *lease* is one connection to one server. A server that shows a tick has everything that was acknowledged before that tick
/// began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Tick {
    pub(crate) lease: u128,
    pub(crate) number: u64,
}

/// A tick that the server has acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proof {
    /// Which one.
    pub tick: Tick,
    /// Which life of the database: another one after a crash, and on another server.
    pub era: i64,
    /// What the acknowledgement is worth when a server is lost.
    pub replication: Replication,
}

/// Where a write is once it is acknowledged, and so what is promised when another server takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Replication {
    /// On this server alone: no other can take over.
    OneNode,
    /// On this server, and on its replicas a little later: when one of them takes over, what was acknowledged last may be
    /// undone, and a primary that was cut off does not know that it is one no longer.
    Asynchronous,
    /// On this server and on a synchronous standby: when that takes over, nothing acknowledged is lost, and the
    /// primary that was cut off can prove nothing.
    Synchronous,
}

/// What a store says of sessions, and how fresh its word is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SessionStatuses {
    /// The sessions that have a row.
    pub found: Vec<SessionStatus>,
    /// The newest tick that the server showed in the same answer.
    pub tick: Tick,
}

/// What a store says of rows that were seen before, and how fresh its word is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RowStates {
    /// Those that there are.
    pub found: Vec<RowState>,
    /// The newest tick that the server showed in the same answer.
    pub tick: Tick,
}

impl Tick {
    /// The `number`th of `lease`: a lease is one connection to one server, or the whole store where it has one server for good.
    #[must_use]
    pub const fn new(lease: u128, number: u64) -> Self {
        Self { lease, number }
    }
}

impl Proof {
    /// An acknowledged tick of the database's life `era`.
    #[must_use]
    pub const fn new(tick: Tick, era: i64, replication: Replication) -> Self {
        Self { tick, era, replication }
    }
}

impl Replication {
    /// A stable word for it, for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OneNode => "one_node",
            Self::Asynchronous => "asynchronous",
            Self::Synchronous => "synchronous",
        }
    }

    /// What is promised when another server takes over.
    #[cfg(feature = "postgres")]
    pub(crate) const fn promise(self) -> &'static str {
        match self {
            Self::OneNode => {
                "freshness: the database is one node, no replica is seen. Revocations hold as promised while no other server \
                 takes its place"
            }
            Self::Asynchronous => {
                "freshness: the database has asynchronous replicas. When one takes over, the last revocations may be undone, \
                 and gateways that still reach the old primary do not notice"
            }
            Self::Synchronous => {
                "freshness: the database has a synchronous standby. Revocations hold as promised when it takes over too"
            }
        }
    }
}
