//! Refreshing sessions, and the state of a refresh token.

use rusqlite::named_params;

use super::refresh_tokens::{self, PossibleUse, Round, Token};
use super::sessions::{self, Written};
use super::transaction::{Transaction, millis, system_time};
use super::{codes, end_sessions, users};
use crate::id::{RefreshHash, Scopes};
use crate::store::{
    OpenedSession, RefreshRefusal, RefreshSession, RefreshSessionError, RefreshStatus, SessionState,
    SessionStatus, StoreError,
};

/// What the use of a token led to. All of it is committed.
pub(super) enum Refreshed {
    Extended(OpenedSession),
    /// Two parties hold it. Its session was revoked.
    Reused(RefreshRefusal),
}

/// Answers a token with a successor, and extends its session.
pub(super) fn refresh(tx: &Transaction<'_>, new: &RefreshSession) -> Result<Refreshed, RefreshSessionError> {
    let refused = |why| Err(RefreshSessionError::Refused(why));
    let Some(token) = refresh_tokens::find(tx, &new.presented)? else {
        return refused(RefreshRefusal::Unknown);
    };
    let Some(held) = sessions::status(tx, &token.session)? else { return refused(RefreshRefusal::Unknown) };
    if held.state != SessionState::Live {
        return refused(RefreshRefusal::SessionEnded);
    }
    if held.client != new.client {
        return refused(RefreshRefusal::WrongClient);
    }
    let (round, begun) = match token.judge(tx.now, millis(new.grace)) {
        PossibleUse::Begins(round) => (round, Round { at: tx.now, from: new.origin.address }),
        PossibleUse::Joins(round, begun) => (round, begun),
        PossibleUse::Reused(by) => return Ok(Refreshed::Reused(end(tx, held, &by)?)),
    };
    let kept = match users::find(tx, &held.user)? {
        Some(user) if !user.disabled => token.scopes.intersection(&user.scopes),
        _ => return refused(RefreshRefusal::UserDisabled),
    };
    let granted = new.scopes.clone().unwrap_or_else(|| kept.clone());
    if !kept.contains_all(&granted) {
        return Err(RefreshSessionError::Scopes);
    }
    if !codes::admits(token.resource.as_ref(), new.resource.as_ref()) {
        return Err(RefreshSessionError::WrongResource);
    }
    let written = extend(tx, &token, &kept, new)?;
    refresh_tokens::succeed(tx, &new.presented, &token, (round, &begun), &new.successor)?;
    Ok(Refreshed::Extended(written.opened(tx, held.id, held.user, granted, true)))
}

/// The state of a token.
pub(super) fn look(tx: &Transaction<'_>, hash: &RefreshHash) -> Result<Option<RefreshStatus>, StoreError> {
    let Some(token) = refresh_tokens::find(tx, hash)? else { return Ok(None) };
    let session = sessions::status(tx, &token.session)?;
    Ok(session.map(|session| RefreshStatus {
        session,
        is_unused: token.is_unused(),
        issued_at: system_time(token.issued_at),
        scopes: token.scopes,
    }))
}

/// Revokes the session of a token that two parties hold.
fn end(tx: &Transaction<'_>, held: SessionStatus, by: &Round) -> Result<RefreshRefusal, StoreError> {
    end_sessions::end_session(tx, &held.id)?;
    Ok(RefreshRefusal::Reused {
        user: held.user,
        session: held.id,
        used_at: system_time(by.at),
        used_from: by.from,
    })
}

/// Writes the row of the session.
fn extend(
    tx: &Transaction<'_>,
    token: &Token,
    kept: &Scopes,
    new: &RefreshSession,
) -> Result<Written, StoreError> {
    let sql = "UPDATE sessions SET
                   scopes = :scopes, renewed_at = :now, user_agent = :user_agent, address = :address,
                   device_name = coalesce(:device_name, device_name),
                   expires_at = max(expires_at, min(coalesce(ends_at, expires_at), :expires_at)),
                   generation = max(generation, :generation)
               WHERE id = :id
               RETURNING call_source, created_at, authenticated_at, expires_at, generation, resource";
    let written = tx.row(
        sql,
        named_params! {
            ":id": token.session.as_str(),
            ":scopes": kept.to_string(),
            ":user_agent": new.origin.user_agent,
            ":address": new.origin.address.map(|address| address.to_string()),
            ":device_name": new.origin.device_name,
            ":now": tx.now,
            ":expires_at": tx.now + millis(new.life),
            ":generation": token.generation + 1,
        },
        Written::read,
    )?;
    written.ok_or_else(sessions::no_row)
}
