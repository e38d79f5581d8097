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
    // First, because they may be many to a session, and would all go with it at once.
    let refresh_tokens = tx.execute(
        "DELETE FROM refresh_tokens WHERE hash IN (
            SELECT token.hash FROM (
                SELECT id FROM sessions WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2
            ) AS dead JOIN refresh_tokens AS token ON token.session_id = dead.id LIMIT ?2)",
        params![tx.now - HOUR, limit],
    )?;
    let sessions = tx.execute(
        "DELETE FROM sessions WHERE id IN (
            SELECT id FROM sessions WHERE expires_at <= ?1
                AND NOT EXISTS (SELECT 1 FROM refresh_tokens WHERE session_id = sessions.id)
            ORDER BY expires_at LIMIT ?2)",
        params![tx.now - HOUR, limit],
    )?;
    Ok(Swept {
        codes: delete("codes", "expires_at", tx.now - DAY)?,
        sessions,
        secrets: delete("client_secrets", "expires_at", tx.now)?,
        revocations: delete("revocations", "at", tx.now - DAY)?,
        refresh_tokens,
        assertions: delete("used_assertions", "expires_at", tx.now)?,
    })
}
