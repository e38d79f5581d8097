//! How each connection is set up.

use std::time::Duration;

/// What every connection is set to, whatever the URL says.
///
/// No statement here runs for long enough to be worth compiling, and each has its index: a plan that was made while a
/// table was empty is kept for long after. A warning must come through: it may say that a commit was not replicated.
pub(super) const OWN_SETTINGS: &str = "SET default_transaction_isolation = 'read committed'; SET jit = off; \
    SET enable_seqscan = off; SET enable_bitmapscan = off; SET client_min_messages = warning";

/// The server stops a statement that is slow, and does not wait for long for a lock.
pub(super) fn limits(statement: Duration) -> String {
    let lock = (statement / 4).clamp(Duration::from_millis(1), Duration::from_secs(1));
    format!("SET statement_timeout = {}; SET lock_timeout = {}", statement.as_millis(), lock.as_millis())
}
