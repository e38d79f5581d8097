//! What hangs on a session, at any depth: sessions of hooks, and delegated sessions.

use rusqlite::params;

use super::transaction::{Transaction, text};
use crate::id::SessionId;
use crate::store::StoreError;

/// How many live delegated sessions hang on the session of a device.
pub(super) fn delegated(tx: &Transaction<'_>, device: &SessionId) -> Result<i64, StoreError> {
    let sql = "WITH RECURSIVE family (id, user_id, depth) AS (
                   SELECT id, user_id, NULL FROM sessions WHERE id = ?1
                   UNION
                   SELECT child.id, child.user_id, child.depth FROM family
                   CROSS JOIN sessions AS child INDEXED BY live_sessions_by_parent ON child.parent = family.id
                   WHERE child.user_id = family.user_id AND child.revoked_at IS NULL AND child.expires_at > ?2)
               SELECT count(*) FROM family WHERE depth IS NOT NULL";
    let count = tx.row(sql, params![device.as_str(), tx.now], |row| row.get(0))?;
    Ok(count.unwrap_or_default())
}

/// A session and all that hangs on it and was live at `since`.
pub(super) fn family(
    tx: &Transaction<'_>,
    session: &SessionId,
    since: i64,
) -> Result<Vec<SessionId>, StoreError> {
    let sql = "WITH RECURSIVE family (id, user_id) AS (
                   SELECT id, user_id FROM sessions WHERE id = ?1
                   UNION
                   SELECT child.id, child.user_id FROM family
                   CROSS JOIN sessions AS child INDEXED BY live_sessions_by_parent ON child.parent = family.id
                   WHERE child.user_id = family.user_id AND child.revoked_at IS NULL AND child.expires_at > ?2)
               SELECT id FROM family";
    tx.rows(sql, params![session.as_str(), since], |row| text(row, "id", SessionId::parse))
}
