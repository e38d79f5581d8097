//! The clock by which a store judges what is live.

use rusqlite::{Transaction, TransactionBehavior};

#[cfg(feature = "testing")]
use crate::clock::TestClock;

/// SQLite's clock, which is the machine's; or the clock of a test.
#[derive(Debug, Clone, Default)]
pub(super) struct StoreClock {
    #[cfg(feature = "testing")]
    test: Option<TestClock>,
}

impl StoreClock {
    #[cfg(feature = "testing")]
    pub(super) fn of_test(clock: TestClock) -> Self {
        Self { test: Some(clock) }
    }

    /// The time for a transaction that has just begun, in Unix milliseconds.
    #[cfg_attr(not(feature = "testing"), allow(unused_variables, reason = "only the clock of a test asks"))]
    pub(super) fn read(&self, tx: &Transaction<'_>, behavior: TransactionBehavior) -> rusqlite::Result<i64> {
        #[cfg(feature = "testing")]
        if let Some(clock) = &self.test {
            let writes = matches!(behavior, TransactionBehavior::Immediate);
            return Ok(i64::try_from(clock.of_transaction(writes)).unwrap_or(i64::MAX));
        }
        // Rounded, because thousandths have no exact binary form.
        tx.prepare_cached("SELECT CAST(round(unixepoch('subsec') * 1000) AS INTEGER)")?
            .query_one([], |row| row.get(0))
    }
}
