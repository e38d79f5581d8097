//! Revocations, and their log.

use rusqlite::params;

use super::end_sessions::{MARGIN, end, end_session, log, log_sessions};
use super::transaction::{Transaction, text};
use super::{clients, codes, device_grants, hanging, sessions, users};
use crate::id::{ClientId, InvalidId, SessionId, UserId};
use crate::store::{
    EventAction, EventOutcome, Revocation, RevocationCursor, RevocationPage, Revoke, SecurityEvent,
    SessionState, SessionStatus, StoreError, Tick,
};

/// Revokes, and returns how many sessions were revoked by this call.
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
        Revoke::Others { user, keep } => match users::find(tx, user)? {
            Some(_) => end_others(tx, user, keep).map(Some),
            None => Ok(None),
        },
        Revoke::Client(client) => end_client(tx, client).map(Some),
    }
}

/// Does what an event says, once.
pub(super) fn apply(tx: &Transaction<'_>, event: &SecurityEvent) -> Result<EventOutcome, StoreError> {
    if !clients::spend_assertion(tx, &event.event, event.life)? {
        return Ok(EventOutcome::DoneBefore);
    }
    let revoked = match &event.action {
        EventAction::Revoke(target) => {
            let revoked = revoke(tx, target)?;
            if let (Revoke::User(user), None) = (target, revoked) {
                users::mark_revoked(tx, user)?;
            }
            revoked
        }
        EventAction::Disable(user) => match disable(tx, user)? {
            None => {
                // Whoever is not known yet may be made known later, by something that was issued before.
                users::add_disabled(tx, user)?;
                None
            }
            ended => ended,
        },
    };
    Ok(EventOutcome::Done(revoked))
}

/// Disables a user, and revokes all of theirs. Returns as [`revoke`].
pub(super) fn disable(tx: &Transaction<'_>, user: &UserId) -> Result<Option<u64>, StoreError> {
    match users::set_disabled(tx, user, true)? {
        true => end_user(tx, user).map(Some),
        false => Ok(None),
    }
}

/// Revokes every session of a user, expires the open codes, voids what was allowed to devices, and deletes the hook
/// credentials.
fn end_user(tx: &Transaction<'_>, user: &UserId) -> Result<u64, StoreError> {
    users::set_not_before(tx, user)?;
    let ended = end(tx, "user_id = ?1 AND expires_at > ?2", user.as_str())?;
    codes::expire_open(tx, user)?;
    device_grants::void_allowed(tx, user)?;
    tx.execute(
        "DELETE FROM client_secrets WHERE client_id IN (SELECT id FROM clients WHERE owner = ?)",
        [user.as_str()],
    )?;
    log(tx, "user", user.as_str())?;
    Ok(ended.len() as u64)
}

/// As [`end_user`], but for one live session, and what hangs on it. Each session is in the log by itself, because an entry for the
/// user would say that the one which stays has ended too.
fn end_others(tx: &Transaction<'_>, user: &UserId, keep: &SessionId) -> Result<u64, StoreError> {
    let is_live = |held: &SessionStatus| held.user == *user && held.state == SessionState::Live;
    let kept = sessions::status(tx, keep)?.filter(is_live).map(|held| held.id);
    users::set_not_before(tx, user)?;
    codes::expire_open(tx, user)?;
    device_grants::void_allowed(tx, user)?;
    let stays = match &kept {
        Some(kept) => hanging::family(tx, kept, tx.now - MARGIN)?,
        None => Vec::new(),
    };
    let all = tx.rows(
        "SELECT id FROM sessions WHERE user_id = ?1 AND revoked_at IS NULL AND expires_at > ?2",
        params![user.as_str(), tx.now - MARGIN],
        |row| text(row, "id", SessionId::parse),
    )?;
    let mut ended = 0;
    for session in all.iter().filter(|session| !stays.contains(session)) {
        ended += end_session(tx, session)?;
    }
    tx.execute(
        "DELETE FROM client_secrets WHERE client_id IN (SELECT id FROM clients WHERE owner = ?1)
             AND session_id IS NOT ?2",
        params![user.as_str(), kept.as_ref().map(SessionId::as_str)],
    )?;
    Ok(ended)
}

/// Revokes every session of a client, deletes its credentials, and voids what it was given and has not collected yet.
pub(super) fn end_client(tx: &Transaction<'_>, client: &ClientId) -> Result<u64, StoreError> {
    codes::expire_open_of_client(tx, client)?;
    device_grants::void_allowed_of_client(tx, client)?;
    let ended = end(tx, "client_id = ?1 AND expires_at > ?2", client.as_str())?;
    tx.execute("DELETE FROM client_secrets WHERE client_id = ?", [client.as_str()])?;
    log(tx, "client", client.as_str())?;
    log_sessions(tx, ended.iter().filter(|ended| ended.client != *client).map(|ended| &ended.id))?;
    Ok(ended.len() as u64)
}

/// The revocations after `cursor`.
///
/// SQLite has one writer, so the ids are in the order of the commits. There is a gap only where a sweep deleted
/// entries. A reader that is so late must not conclude that nothing was revoked.
pub(super) fn since(
    tx: &Transaction<'_>,
    cursor: RevocationCursor,
    limit: u32,
) -> Result<RevocationPage, StoreError> {
    let last = tx.row("SELECT seq FROM sqlite_sequence WHERE name = 'revocations'", [], |row| row.get(0))?;
    let last: i64 = last.unwrap_or(0);
    let next = RevocationCursor { place: last.unsigned_abs(), ..RevocationCursor::default() };
    // One file: no other server can take over.
    let tick = Tick::default();
    // A cursor from beyond the log comes from another database, which a backup has replaced.
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

fn entry(kind: &str, subject: &str) -> Result<Revocation, InvalidId> {
    match kind {
        "session" => SessionId::parse(subject).map(Revocation::Session),
        "user" => UserId::parse(subject).map(Revocation::User),
        // The table allows no fourth kind.
        _ => ClientId::parse(subject).map(Revocation::Client),
    }
}
