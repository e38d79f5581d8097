//! The broom.

use rusqlite::params;

use super::transaction::Transaction;
use crate::store::{StoreError, Swept};

const HOUR: i64 = 60 * 60 * 1000;
const DAY: i64 = 24 * HOUR;

/// Deletes at most `limit` dead rows of each table.
pub(super) fn sweep(tx: &Transaction<'_>, limit: u32) -> Result<Swept, StoreError> {
    let delete = |table: &str, column: &str, until: i64| {
        let sql = format!(
            "DELETE FROM {table} WHERE rowid IN (
                SELECT rowid FROM {table} WHERE {column} <= ? ORDER BY {column} LIMIT ?)"
        );
        tx.execute(&sql, params![until, limit])
    };
    Ok(Swept {
        codes: delete("codes", "expires_at", tx.now - DAY)?,
        sessions: delete("sessions", "expires_at", tx.now - HOUR)?,
        secrets: delete("client_secrets", "expires_at", tx.now)?,
        revocations: delete("revocations", "at", tx.now - DAY)?,
        assertions: 0,
    })
}
