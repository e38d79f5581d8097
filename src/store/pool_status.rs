//! The state of a store's pool, for health pages and metrics.

use std::time::Duration;

/// The state of a store's pool of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PoolStatus {
    /// How many connections the store may have at once. The server must have room for so many.
    pub size: usize,
    /// How many connections are lent now. A connection is lent until its statement has ended, also when nobody waits
    /// for the answer.
    pub connections_out: usize,
    /// How long the last operation waited for a connection, whether it got one or not. Look-ups and other work with
    /// connections of their own are counted apart; this is the longest of these times.
    pub last_wait: Duration,
}
