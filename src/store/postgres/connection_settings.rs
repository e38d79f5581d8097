//! The settings of each connection.

use std::time::Duration;

/// What every connection is set to, whatever the URL says.
///
/// No statement here runs long enough to be worth compiling. Each has its index: without these settings, a plan that
/// was made while a table was empty would stay long after. Warnings must come through: one may say that a commit was
/// not replicated.
pub(super) const OWN_SETTINGS: &str = "SET default_transaction_isolation = 'read committed'; SET jit = off; \
    SET enable_seqscan = off; SET enable_bitmapscan = off; SET client_min_messages = warning";

/// Settings that make the server stop a slow statement, and a long wait for a lock.
pub(super) fn limits(statement: Duration) -> String {
    let lock = (statement / 4).clamp(Duration::from_millis(1), Duration::from_secs(1));
    format!("SET statement_timeout = {}; SET lock_timeout = {}", statement.as_millis(), lock.as_millis())
}
