//! Revoking, and the log of it.

use rusqlite::params;

use super::transaction::{Transaction, text};
use super::{codes, sessions, users};
use crate::id::{ClientId, InvalidId, SessionId, UserId};
use crate::store::{Revocation, RevocationCursor, RevocationPage, Revoke, StoreError, Tick};

/// What expired less than this many milliseconds ago is revoked like what is live: a clock may be set back.
pub(super) const MARGIN: i64 = 60 * 1000;

/// Revokes, and returns how many sessions are revoked now that were not before.
pub(super) fn revoke(tx: &Transaction<'_>, target: &Revoke) -> Result<Option<u64>, StoreError> {
    match target {
        Revoke::Session(session) => match sessions::status(tx, session)? {
            Some(_) => end_session(tx, session).map(Some),
            None => Ok(None),
        },
        Revoke::SessionOf { user, session } => match sessions::status(tx, session)? {
            Some(found) if found.user == *user => end_session(tx, session).map(Some),
            _ => Ok(None),
        },
        Revoke::User(user) => match users::find(tx, user)? {
            Some(_) => end_user(tx, user).map(Some),
            None => Ok(None),
        },
        Revoke::Client(client) => end_client(tx, client).map(Some),
    }
}

/// Revokes a session, however long ago it expired, with all it provisioned.
pub(super) fn end_session(tx: &Transaction<'_>, session: &SessionId) -> Result<u64, StoreError> {
    let ended = end(tx, "id = ?1", session.as_str())?;
    log_sessions(tx, ended.iter().map(|ended| &ended.id))?;
    Ok(ended.len() as u64)
}

/// Revokes every session of a user, and kills the open codes and hook credentials.
pub(super) fn end_user(tx: &Transaction<'_>, user: &UserId) -> Result<u64, StoreError> {
    let ended = end(tx, "user_id = ?1 AND expires_at > ?2", user.as_str())?;
    codes::expire_open(tx, user)?;
    tx.execute(
        "DELETE FROM client_secrets WHERE client_id IN (SELECT id FROM clients WHERE owner = ?)",
        [user.as_str()],
    )?;
    log(tx, "user", user.as_str())?;
    Ok(ended.len() as u64)
}

/// Revokes every session of a client, and deletes its credentials.
pub(super) fn end_client(tx: &Transaction<'_>, client: &ClientId) -> Result<u64, StoreError> {
    let ended = end(tx, "client_id = ?1 AND expires_at > ?2", client.as_str())?;
    tx.execute("DELETE FROM client_secrets WHERE client_id = ?", [client.as_str()])?;
    log(tx, "client", client.as_str())?;
    log_sessions(tx, ended.iter().filter(|ended| ended.client != *client).map(|ended| &ended.id))?;
    Ok(ended.len() as u64)
}

/// The revocations after `cursor`.
///
/// SQLite has one writer, so ids are in the order of commits; they have no gap but what a sweep
/// deleted, which a reader so late must not take for silence.
pub(super) fn since(
    tx: &Transaction<'_>,
    cursor: RevocationCursor,
    limit: u32,
) -> Result<RevocationPage, StoreError> {
    let last = tx.row("SELECT seq FROM sqlite_sequence WHERE name = 'revocations'", [], |row| row.get(0))?;
    let last: i64 = last.unwrap_or(0);
    let next = RevocationCursor { place: last.unsigned_abs(), ..RevocationCursor::default() };
    // One file, one server for good.
    let tick = Tick::default();
    // A cursor from beyond the log comes from another database: one that a backup has replaced.
    let Some(missed) = next.place.checked_sub(cursor.place).filter(|missed| *missed <= u64::from(limit))
    else {
        return Ok(RevocationPage { entries: None, next, tick });
    };
    let entries =
        tx.rows("SELECT kind, subject FROM revocations WHERE id > ?", [cursor.place.cast_signed()], |row| {
            let kind: String = row.get("kind")?;
            text(row, "subject", |subject| entry(&kind, subject))
        })?;
    let complete = entries.len() as u64 == missed;
    Ok(RevocationPage { entries: complete.then_some(entries), next, tick })
}

struct Ended {
    id: SessionId,
    client: ClientId,
}

/// Revokes the sessions that `which` names, those of the hooks that hang on them, and deletes the credentials of both.
///
/// Only a session that `which` names by its id may have expired longer than [`MARGIN`] ago.
fn end(tx: &Transaction<'_>, which: &'static str, subject: &str) -> Result<Vec<Ended>, StoreError> {
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

fn log_sessions<'s>(
    tx: &Transaction<'_>,
    sessions: impl Iterator<Item = &'s SessionId>,
) -> Result<(), StoreError> {
    for session in sessions {
        log(tx, "session", session.as_str())?;
    }
    Ok(())
}

fn log(tx: &Transaction<'_>, kind: &str, subject: &str) -> Result<(), StoreError> {
    let sql = "INSERT INTO revocations (kind, subject, at) VALUES (?, ?, ?)";
    tx.execute(sql, params![kind, subject, tx.now]).map(drop)
}

fn entry(kind: &str, subject: &str) -> Result<Revocation, InvalidId> {
    match kind {
        "session" => SessionId::parse(subject).map(Revocation::Session),
        "user" => UserId::parse(subject).map(Revocation::User),
        // The table takes no fourth kind.
        _ => ClientId::parse(subject).map(Revocation::Client),
    }
}
