//! The sweep: deletes dead rows.

use rusqlite::params;

use super::transaction::Transaction;
use crate::store::{StoreError, Swept};

const HOUR: i64 = 60 * 60 * 1000;
const DAY: i64 = 24 * HOUR;

/// Deletes at most `limit` dead rows of each table.
pub(super) fn sweep(tx: &Transaction<'_>, limit: u32) -> Result<Swept, StoreError> {
    let delete = |table: &str, column: &str, until: i64, limit: u32| {
        let sql = format!(
            "DELETE FROM {table} WHERE rowid IN (
                SELECT rowid FROM {table} WHERE {column} <= ? ORDER BY {column} LIMIT ?)"
        );
        tx.execute(&sql, params![until, limit])
    };
    // The rows that belong to sessions go first: there may be many, and they would all be deleted together with their
    // sessions.
    let hanging = |table: &str, key: &str| {
        let sql = format!(
            "DELETE FROM {table} WHERE {key} IN (
                SELECT hanging.{key} FROM (
                    SELECT id FROM sessions WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2
                ) AS dead CROSS JOIN {table} AS hanging ON hanging.session_id = dead.id LIMIT ?2)"
        );
        tx.execute(&sql, params![tx.now - HOUR, limit])
    };
    let refresh_tokens = hanging("refresh_tokens", "hash")?;
    let secrets = hanging("client_secrets", "id")?;
    // Only the same sessions: the rows of later sessions are left for later sweeps.
    let sessions = tx.execute(
        "DELETE FROM sessions WHERE id IN (
            SELECT id FROM (
                SELECT id FROM sessions WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2
            ) AS dead
            WHERE NOT EXISTS (SELECT 1 FROM refresh_tokens WHERE session_id = dead.id)
                AND NOT EXISTS (SELECT 1 FROM client_secrets WHERE session_id = dead.id))",
        params![tx.now - HOUR, limit],
    )?;
    let left = limit.saturating_sub(u32::try_from(secrets).unwrap_or(u32::MAX));
    Ok(Swept {
        codes: delete("codes", "expires_at", tx.now - DAY, limit)?,
        sessions,
        secrets: secrets + delete("client_secrets", "expires_at", tx.now, left)?,
        revocations: delete("revocations", "at", tx.now - DAY, limit)?,
        refresh_tokens,
        assertions: delete("used_assertions", "expires_at", tx.now, limit)?,
        device_grants: delete("device_grants", "expires_at", tx.now - HOUR, limit)?,
    })
}
