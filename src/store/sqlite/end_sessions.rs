//! Ends sessions with everything that belongs to them, and writes the log.

use rusqlite::params;

use super::transaction::{Transaction, text};
use crate::id::{ClientId, SessionId};
use crate::store::StoreError;

/// A session that expired less than this many milliseconds ago is revoked like a live one, because a clock may be set
/// back.
pub(super) const MARGIN: i64 = 60 * 1000;

/// Revokes a session, even if it expired long ago, with everything that it provisioned.
pub(super) fn end_session(tx: &Transaction<'_>, session: &SessionId) -> Result<u64, StoreError> {
    let ended = end(tx, "id = ?1", session.as_str())?;
    log_sessions(tx, ended.iter().map(|ended| &ended.id))?;
    Ok(ended.len() as u64)
}

pub(super) struct Ended {
    pub(super) id: SessionId,
    pub(super) client: ClientId,
}

/// Revokes the sessions that `which` names, and the sessions of their hooks. Deletes the credentials of both.
///
/// A session that expired longer than [`MARGIN`] ago is revoked only if `which` names it by its id.
pub(super) fn end(
    tx: &Transaction<'_>,
    which: &'static str,
    subject: &str,
) -> Result<Vec<Ended>, StoreError> {
    let family = format!(
        "WITH RECURSIVE family (id, user_id) AS (
            SELECT id, user_id FROM sessions WHERE {which} AND revoked_at IS NULL
            UNION
            SELECT child.id, child.user_id FROM family
            CROSS JOIN sessions AS child INDEXED BY live_sessions_by_parent ON child.parent = family.id
            -- An id may have been another user's before.
            WHERE child.user_id = family.user_id AND child.revoked_at IS NULL AND child.expires_at > ?2)"
    );
    let since = tx.now - MARGIN;
    tx.execute(
        &format!("{family} DELETE FROM client_secrets WHERE session_id IN (SELECT id FROM family)"),
        params![subject, since],
    )?;
    tx.rows(
        &format!(
            "{family} UPDATE sessions SET revoked_at = ?3 WHERE id IN (SELECT id FROM family)
             RETURNING id, client_id"
        ),
        params![subject, since, tx.now],
        |row| {
            let client = text(row, "client_id", ClientId::parse)?;
            Ok(Ended { id: text(row, "id", SessionId::parse)?, client })
        },
    )
}

pub(super) fn log_sessions<'s>(
    tx: &Transaction<'_>,
    sessions: impl Iterator<Item = &'s SessionId>,
) -> Result<(), StoreError> {
    for session in sessions {
        log(tx, "session", session.as_str())?;
    }
    Ok(())
}

pub(super) fn log(tx: &Transaction<'_>, kind: &str, subject: &str) -> Result<(), StoreError> {
    let sql = "INSERT INTO revocations (kind, subject, at) VALUES (?, ?, ?)";
    tx.execute(sql, params![kind, subject, tx.now]).map(drop)
}
