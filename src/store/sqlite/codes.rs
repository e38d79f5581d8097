//! Exchange codes: issued and spent.

use rusqlite::params;

use super::sessions::{self, Grant, NotOpened};
use super::transaction::{Transaction, millis, optional_text, system_time, text};
use super::{clients, end_sessions, users};
use crate::id::{Audience, ClientId, CodeChallenge, CodeHash, Scopes, SessionId, UserId};
use crate::store::{
    GrantRefusal, IssueCodeError, NewCode, OpenedSession, RedeemCode, RedeemError, StoreError,
};

/// What the use of a code led to. All of it is committed.
pub(super) enum Redeemed {
    Opened(OpenedSession),
    /// It was spent before. The session that it opened was revoked.
    Replayed(GrantRefusal),
}

struct Code {
    user: UserId,
    /// The only client that may redeem it. A code from before V6 names none.
    client: Option<ClientId>,
    redirect_uri: Option<String>,
    scopes: Scopes,
    challenge: Option<CodeChallenge>,
    resource: Option<Audience>,
    created_at: i64,
    expires_at: i64,
    /// When it was first used, and the session that this use opened.
    spent: Option<(i64, SessionId)>,
}

/// Stores a code, spends the ticket that it was allowed with, and returns when the code expires.
pub(super) fn issue(tx: &Transaction<'_>, code: &NewCode) -> Result<i64, IssueCodeError> {
    let user = users::find(tx, &code.user)?.ok_or(IssueCodeError::UnknownUser)?;
    if user.disabled {
        return Err(IssueCodeError::UserDisabled);
    }
    if let Some((ticket, life)) = &code.ticket
        && !clients::spend_assertion(tx, ticket, *life)?
    {
        return Err(IssueCodeError::TicketUsed);
    }
    let expires_at = tx.now + millis(code.life);
    let challenge = code.challenge.as_ref().map(CodeChallenge::as_str);
    tx.execute(
        "INSERT INTO codes (hash, user_id, client_id, scopes, redirect_uri, challenge, resource, created_at,
                            expires_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            code.hash.to_hex(),
            code.user.as_str(),
            code.client.as_str(),
            code.scopes.to_string(),
            code.redirect_uri,
            challenge,
            code.resource.as_ref().map(Audience::as_str),
            tx.now,
            expires_at
        ],
    )?;
    tx.execute(
        "DELETE FROM codes WHERE rowid IN (
            SELECT rowid FROM codes WHERE user_id = ? AND spent_at IS NULL AND expires_at > ?
            ORDER BY created_at DESC, rowid DESC LIMIT -1 OFFSET ?)",
        params![code.user.as_str(), tx.now, code.max_open.max(1)],
    )?;
    Ok(expires_at)
}

/// Spends a code and opens or renews a session.
pub(super) fn redeem(tx: &Transaction<'_>, redeem: &RedeemCode) -> Result<Redeemed, RedeemError> {
    let refused = |why| Err(RedeemError::Refused(why));
    let Some(code) = find(tx, &redeem.hash)? else { return refused(GrantRefusal::Unknown) };
    if let Some((spent_at, session)) = code.spent {
        end_what_it_opened(tx, &code.user, &session, spent_at)?;
        let first_used_at = system_time(spent_at);
        return Ok(Redeemed::Replayed(GrantRefusal::Replayed { user: code.user, session, first_used_at }));
    }
    if code.expires_at <= tx.now {
        return refused(GrantRefusal::Expired);
    }
    let held = match users::find(tx, &code.user)? {
        Some(user) if !user.disabled => user.scopes,
        _ => return refused(GrantRefusal::UserDisabled),
    };
    if code.challenge != redeem.challenge {
        return refused(GrantRefusal::WrongVerifier);
    }
    if code.client.is_some_and(|client| client != redeem.session.client) {
        return refused(GrantRefusal::WrongClient);
    }
    if !admits(code.redirect_uri.as_ref(), redeem.redirect_uri.as_ref()) {
        return refused(GrantRefusal::WrongRedirect);
    }
    if !admits(code.resource.as_ref(), redeem.resource.as_ref()) {
        return Err(RedeemError::WrongResource);
    }
    let grant = Grant {
        user: code.user,
        scopes: code.scopes.intersection(&held),
        authenticated_at: code.created_at,
        resource: code.resource,
        issuer: None,
    };
    let opened = sessions::open_for(tx, grant, &redeem.session)?;
    tx.execute(
        "UPDATE codes SET spent_at = ?, session_id = ? WHERE hash = ?",
        params![tx.now, opened.id.as_str(), redeem.hash.to_hex()],
    )?;
    Ok(Redeemed::Opened(opened))
}

/// The user of the code; `None` when the code is not stored.
pub(super) fn user(tx: &Transaction<'_>, hash: &CodeHash) -> Result<Option<UserId>, StoreError> {
    tx.row("SELECT user_id FROM codes WHERE hash = ?", [hash.to_hex()], |row| {
        text(row, "user_id", UserId::parse)
    })
}

/// Whether a grant that is bound to one resource or redirect URI, or to none, allows the one that was asked for, if any.
pub(super) fn admits<T: PartialEq>(bound: Option<&T>, asked: Option<&T>) -> bool {
    bound.zip(asked).is_none_or(|(bound, asked)| bound == asked)
}

/// Expires every open code of `user`. The new expiry is so long ago that no code is good again when a clock is set
/// back.
pub(super) fn expire_open(tx: &Transaction<'_>, user: &UserId) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE codes SET expires_at = ?1 WHERE user_id = ?2 AND spent_at IS NULL AND expires_at > ?1",
        params![tx.now - end_sessions::MARGIN, user.as_str()],
    )
    .map(drop)
}

/// The same for every open code of `client`.
pub(super) fn expire_open_of_client(tx: &Transaction<'_>, client: &ClientId) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE codes SET expires_at = ?1 WHERE client_id = ?2 AND spent_at IS NULL AND expires_at > ?1",
        params![tx.now - end_sessions::MARGIN, client.as_str()],
    )
    .map(drop)
}

/// Revokes the session that a code opened. If it was swept and its id taken again, the newer session is left alone.
fn end_what_it_opened(
    tx: &Transaction<'_>,
    user: &UserId,
    session: &SessionId,
    spent_at: i64,
) -> Result<(), StoreError> {
    let still_there = tx.row(
        "SELECT 1 FROM sessions WHERE id = ? AND user_id = ? AND created_at <= ?",
        params![session.as_str(), user.as_str(), spent_at],
        |_| Ok(()),
    )?;
    match still_there {
        Some(()) => end_sessions::end_session(tx, session).map(drop),
        None => Ok(()),
    }
}

fn find(tx: &Transaction<'_>, hash: &CodeHash) -> Result<Option<Code>, StoreError> {
    let sql = "SELECT user_id, client_id, scopes, redirect_uri, challenge, resource, created_at, expires_at,
                      spent_at, session_id
               FROM codes WHERE hash = ?";
    tx.row(sql, [hash.to_hex()], |row| {
        let spent_at: Option<i64> = row.get("spent_at")?;
        Ok(Code {
            user: text(row, "user_id", UserId::parse)?,
            client: optional_text(row, "client_id", ClientId::parse)?,
            redirect_uri: row.get("redirect_uri")?,
            scopes: text(row, "scopes", Scopes::parse)?,
            challenge: optional_text(row, "challenge", CodeChallenge::parse)?,
            resource: optional_text(row, "resource", Audience::parse)?,
            created_at: row.get("created_at")?,
            expires_at: row.get("expires_at")?,
            spent: spent_at.zip(optional_text(row, "session_id", SessionId::parse)?),
        })
    })
}

impl From<NotOpened> for RedeemError {
    fn from(why: NotOpened) -> Self {
        match why {
            NotOpened::Taken => Self::SessionTaken,
            NotOpened::TooMany => Self::TooManySessions,
            NotOpened::Store(e) => Self::Store(e),
        }
    }
}
