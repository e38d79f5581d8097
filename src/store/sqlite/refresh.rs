//! Refresh tokens: used, looked at.

use rusqlite::{Row, named_params, params};

use super::sessions::{self, Written};
use super::transaction::{Transaction, millis, system_time, text};
use super::{revocations, users};
use crate::id::{RefreshHash, Scopes, SessionId};
use crate::store::{
    OpenedSession, RefreshRefusal, RefreshSession, RefreshSessionError, RefreshStatus, SessionState,
    StoreError,
};

/// What using a token led to, all of which is committed.
pub(super) enum Refreshed {
    Extended(OpenedSession),
    /// It was used too often, and its session was revoked.
    Reused(RefreshRefusal),
}

/// A token, and what the row of its session says.
struct Token {
    session: SessionId,
    scopes: Scopes,
    generation: i64,
    newest: i64,
    issued_at: i64,
    /// Nothing before the first refresh.
    rotated_at: Option<i64>,
}

/// Puts the successor in the place of the token and extends its session.
pub(super) fn refresh(tx: &Transaction<'_>, new: &RefreshSession) -> Result<Refreshed, RefreshSessionError> {
    let refused = |why| Err(RefreshSessionError::Refused(why));
    let Some(token) = find(tx, &new.presented)? else { return refused(RefreshRefusal::Unknown) };
    let Some(held) = sessions::status(tx, &token.session)? else { return refused(RefreshRefusal::Unknown) };
    if held.state != SessionState::Live {
        return refused(RefreshRefusal::SessionEnded);
    }
    if held.client != new.client {
        return refused(RefreshRefusal::WrongClient);
    }
    if let Some(rotated_at) = token.copied(tx.now, millis(new.grace)) {
        revocations::end_session(tx, &token.session)?;
        let rotated_at = system_time(rotated_at);
        return Ok(Refreshed::Reused(RefreshRefusal::Reused {
            user: held.user,
            session: held.id,
            rotated_at,
        }));
    }
    let kept = match users::find(tx, &held.user)? {
        Some(user) if !user.disabled => token.scopes.intersection(&user.scopes),
        _ => return refused(RefreshRefusal::UserDisabled),
    };
    let granted = new.scopes.clone().unwrap_or_else(|| kept.clone());
    if !kept.contains_all(&granted) {
        return Err(RefreshSessionError::Scopes);
    }
    let Some(written) = extend(tx, &token, &kept, new)? else { return refused(RefreshRefusal::Unknown) };
    put(tx, &new.successor, &token.session, written.generation)?;
    Ok(Refreshed::Extended(written.opened(tx, held.id, held.user, granted, true)))
}

/// What is to say of a token.
pub(super) fn look(tx: &Transaction<'_>, hash: &RefreshHash) -> Result<Option<RefreshStatus>, StoreError> {
    let Some(token) = find(tx, hash)? else { return Ok(None) };
    let session = sessions::status(tx, &token.session)?;
    Ok(session.map(|session| RefreshStatus {
        session,
        is_newest: token.generation == token.newest,
        issued_at: system_time(token.issued_at),
        scopes: token.scopes,
    }))
}

/// Stores a token of a session.
pub(super) fn put(
    tx: &Transaction<'_>,
    hash: &RefreshHash,
    session: &SessionId,
    generation: i64,
) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO refresh_tokens (hash, session_id, generation, issued_at) VALUES (?, ?, ?, ?)",
        params![hash.as_bytes(), session.as_str(), generation, tx.now],
    )
    .map(drop)
}

fn find(tx: &Transaction<'_>, hash: &RefreshHash) -> Result<Option<Token>, StoreError> {
    let sql = "SELECT token.session_id, token.generation, token.issued_at,
                      session.scopes, session.generation AS newest, session.rotated_at
               FROM refresh_tokens AS token JOIN sessions AS session ON session.id = token.session_id
               WHERE token.hash = ? AND token.generation >= session.first_generation";
    tx.row(sql, [hash.as_bytes()], |row: &Row<'_>| {
        Ok(Token {
            session: text(row, "session_id", SessionId::parse)?,
            scopes: text(row, "scopes", Scopes::parse)?,
            generation: row.get("generation")?,
            newest: row.get("newest")?,
            issued_at: row.get("issued_at")?,
            rotated_at: row.get("rotated_at")?,
        })
    })
}

/// Writes the row of the session, as `refresh_session` of the migrations of PostgreSQL does.
fn extend(
    tx: &Transaction<'_>,
    token: &Token,
    kept: &Scopes,
    new: &RefreshSession,
) -> Result<Option<Written>, StoreError> {
    let is_newest = token.generation == token.newest;
    let sql = "UPDATE sessions SET
                   scopes = :scopes, renewed_at = :now, user_agent = :user_agent, address = :address,
                   device_name = coalesce(:device_name, device_name),
                   expires_at = max(expires_at, min(coalesce(ends_at, expires_at), :expires_at)),
                   generation = generation + :is_newest,
                   rotated_at = CASE WHEN :is_newest THEN :now ELSE rotated_at END
               WHERE id = :id RETURNING call_source, created_at, authenticated_at, expires_at, generation";
    tx.row(
        sql,
        named_params! {
            ":id": token.session.as_str(),
            ":scopes": kept.to_string(),
            ":user_agent": new.origin.user_agent,
            ":address": new.origin.address.map(|address| address.to_string()),
            ":device_name": new.origin.device_name,
            ":now": tx.now,
            ":expires_at": tx.now + millis(new.life),
            ":is_newest": is_newest,
        },
        Written::read,
    )
}

impl Token {
    /// Two of its kind must be about, when it comes again although it was replaced: when that was.
    fn copied(&self, now: i64, grace: i64) -> Option<i64> {
        let rotated_at = self.rotated_at.filter(|_| self.generation != self.newest)?;
        let in_grace = self.generation + 1 == self.newest && now < rotated_at + grace;
        (!in_grace).then_some(rotated_at)
    }
}
