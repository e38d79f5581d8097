//! Sessions: opened, renewed, judged.

use rusqlite::{Row, named_params, params};

use super::transaction::{Transaction, duration, millis, optional_text, system_time, text};
use super::users::User;
use super::{clients, end_sessions, refresh_tokens, users};
use crate::clock::since_epoch;
use crate::id::{Audience, CallSource, ClientId, Scopes, SessionId, UserId};
use crate::store::{
    NewSession, OpenSessionError, OpenedSession, RequestedId, RowMark, RowState, SessionKey, SessionState,
    SessionStatus, SpentAssertion, StoreError, StoreErrorKind, WhenFull,
};

/// The user that a session is opened for, and what it gets.
pub(super) struct Grant {
    pub(super) user: UserId,
    pub(super) scopes: Scopes,
    pub(super) authenticated_at: i64,
    /// The one resource that its tokens may be for.
    pub(super) resource: Option<Audience>,
    /// The external issuer whose assertion opens it.
    pub(super) issuer: Option<String>,
}

/// The row of a session after it was written.
pub(super) struct Written {
    pub(super) call_source: CallSource,
    pub(super) authenticated_at: i64,
    pub(super) expires_at: i64,
    pub(super) resource: Option<Audience>,
    /// The newest generation of its refresh tokens.
    pub(super) generation: i64,
}

/// Why no session was opened.
pub(super) enum NotOpened {
    Taken,
    TooMany,
    Store(StoreError),
}

/// Opens or renews a session for a user that the host vouches for.
pub(super) fn open(
    tx: &Transaction<'_>,
    user: &UserId,
    asked: &Scopes,
    new: &NewSession,
) -> Result<OpenedSession, OpenSessionError> {
    let known = users::find(tx, user)?.ok_or(OpenSessionError::UnknownUser)?;
    if known.disabled {
        return Err(OpenSessionError::UserDisabled);
    }
    spend(tx, &known, new)?;
    let grant = Grant {
        user: user.clone(),
        scopes: asked.intersection(&known.scopes),
        authenticated_at: tx.now,
        resource: new.resource.clone(),
        issuer: new.origin.issuer.clone(),
    };
    Ok(open_for(tx, grant, new)?)
}

/// Spends the assertion that a session of `user` is opened with, if there is one. One from before the last revoke-all of
/// the user is as good as used.
pub(super) fn spend(tx: &Transaction<'_>, user: &User, new: &NewSession) -> Result<(), OpenSessionError> {
    let Some(SpentAssertion { hash, life, issued_at }) = &new.assertion else { return Ok(()) };
    let is_late = millis(since_epoch(*issued_at)) > user.not_before;
    match is_late && hash.as_ref().map_or(Ok(true), |hash| clients::spend_assertion(tx, hash, *life))? {
        true => Ok(()),
        false => Err(OpenSessionError::AssertionUsed),
    }
}

/// Opens or renews a session for a known, enabled user.
pub(super) fn open_for(
    tx: &Transaction<'_>,
    grant: Grant,
    new: &NewSession,
) -> Result<OpenedSession, NotOpened> {
    let id = new.id.id();
    let renewed = match status(tx, id)? {
        None => false,
        Some(old) => {
            let declared = matches!(new.id, RequestedId::Declared(_));
            let own = old.user == grant.user && old.client == new.client && !has_parent(tx, id)?;
            if !(declared && own && old.state == SessionState::Live) {
                return Err(NotOpened::Taken);
            }
            true
        }
    };
    // A renewal adds no session.
    let evicted = if renewed { Vec::new() } else { make_room(tx, &grant.user, new)? };
    let written = put(tx, &grant, new)?;
    if let Some(hash) = &new.refresh {
        refresh_tokens::put_first(tx, hash, id, written.generation)?;
    }
    let opened = written.opened(tx, id.clone(), grant.user, grant.scopes, renewed);
    Ok(OpenedSession { evicted, ..opened })
}

/// Judges many sessions in one query.
pub(super) fn statuses(tx: &Transaction<'_>, ids: &[SessionId]) -> Result<Vec<SessionStatus>, StoreError> {
    let sql = "SELECT id, user_id, client_id, call_source, created_at, expires_at, revoked_at FROM sessions
               WHERE id IN (SELECT value FROM json_each(?))";
    let ids: serde_json::Value = ids.iter().map(SessionId::as_str).collect();
    tx.rows(sql, [ids.to_string()], |row| {
        let revoked_at: Option<i64> = row.get("revoked_at")?;
        let expires_in = duration(row.get::<_, i64>("expires_at")? - tx.now);
        Ok(SessionStatus {
            id: text(row, "id", SessionId::parse)?,
            row: RowMark::made_at(row.get("created_at")?),
            user: text(row, "user_id", UserId::parse)?,
            client: text(row, "client_id", ClientId::parse)?,
            call_source: text(row, "call_source", CallSource::parse)?,
            expires_in,
            state: SessionState::of(revoked_at.is_some(), expires_in),
        })
    })
}

/// The same for less work. Each session is found in an index, one after the other.
pub(super) fn row_states(tx: &Transaction<'_>, sessions: &[SessionKey]) -> Result<Vec<RowState>, StoreError> {
    // This index has all columns that are asked for. By itself the planner takes the unique index, and reads the row too.
    let sql = "SELECT created_at, expires_at, revoked_at IS NOT NULL FROM sessions INDEXED BY session_states
               WHERE id = ?";
    let ids = sessions.iter().map(|session| [session.id().as_str()]);
    let found = tx.row_of_each(sql, ids, |row| {
        let expires_in = duration(row.get::<_, i64>(1)? - tx.now);
        let (row, state) = (RowMark::made_at(row.get(0)?), SessionState::of(row.get(2)?, expires_in));
        Ok((row, expires_in, state))
    })?;
    let found = sessions.iter().zip(found).filter_map(|(session, found)| {
        found.map(|(row, expires_in, state)| RowState { digest: session.digest(), row, expires_in, state })
    });
    Ok(found.collect())
}

/// The status of one session.
pub(super) fn status(tx: &Transaction<'_>, id: &SessionId) -> Result<Option<SessionStatus>, StoreError> {
    Ok(statuses(tx, std::slice::from_ref(id))?.pop())
}

/// Revokes as many sessions of `user` as a new one needs to keep the limit; sessions of hook clients do not count. What
/// assertions opened goes first: an agent that sends one for each call signs no bridge out.
/// Returns the revoked sessions in the order in which they went.
fn make_room(tx: &Transaction<'_>, user: &UserId, new: &NewSession) -> Result<Vec<SessionId>, NotOpened> {
    let others = new.limit.max.saturating_sub(1);
    let mut beyond = tx.rows(
        "SELECT id FROM sessions
         WHERE user_id = ? AND parent IS NULL AND revoked_at IS NULL AND expires_at > ?
         ORDER BY issuer IS NOT NULL, renewed_at DESC, rowid DESC LIMIT -1 OFFSET ?",
        params![user.as_str(), tx.now, others],
        |row| text(row, "id", SessionId::parse),
    )?;
    if !beyond.is_empty() && new.limit.when_full == WhenFull::Refuse {
        return Err(NotOpened::TooMany);
    }
    beyond.reverse();
    for session in &beyond {
        end_sessions::end_session(tx, session)?;
    }
    Ok(beyond)
}

/// Whether a session hangs on another one.
fn has_parent(tx: &Transaction<'_>, id: &SessionId) -> Result<bool, StoreError> {
    let sql = "SELECT parent IS NOT NULL FROM sessions WHERE id = ?";
    Ok(tx.row(sql, [id.as_str()], |row| row.get(0))?.unwrap_or(false))
}

/// Writes the row. The refresh tokens that the session had are forgotten. Of two codes, the one that was issued first
/// may be redeemed last.
fn put(tx: &Transaction<'_>, grant: &Grant, new: &NewSession) -> Result<Written, StoreError> {
    let sql =
        "INSERT INTO sessions (id, user_id, client_id, call_source, scopes, user_agent, address, device_name,
                                     created_at, renewed_at, expires_at, ends_at, authenticated_at, resource,
                                     issuer)
               VALUES (:id, :user, :client, :call_source, :scopes, :user_agent, :address, :device_name,
                       :now, :now, min(:expires_at, :ends_at), :ends_at, :authenticated_at, :resource,
                       :issuer)
               ON CONFLICT (id) DO UPDATE SET
                   scopes = excluded.scopes, resource = excluded.resource,
                   issuer = coalesce(excluded.issuer, issuer),
                   user_agent = excluded.user_agent, address = excluded.address,
                   device_name = excluded.device_name, renewed_at = excluded.renewed_at,
                   expires_at = max(expires_at, excluded.expires_at),
                   ends_at = max(expires_at, coalesce(ends_at, 0), excluded.ends_at),
                   authenticated_at = max(coalesce(authenticated_at, 0), excluded.authenticated_at),
                   generation = generation + 1, first_generation = generation + 1
               RETURNING call_source, created_at, authenticated_at, expires_at, generation, resource";
    let written = tx.row(
        sql,
        named_params! {
            ":id": new.id.id().as_str(),
            ":user": grant.user.as_str(),
            ":client": new.client.as_str(),
            ":call_source": new.call_source.as_str(),
            ":scopes": grant.scopes.to_string(),
            ":user_agent": new.origin.user_agent,
            ":address": new.origin.address.map(|address| address.to_string()),
            ":device_name": new.origin.device_name,
            ":now": tx.now,
            ":expires_at": tx.now + millis(new.life),
            ":ends_at": tx.now + millis(new.max_life),
            ":authenticated_at": grant.authenticated_at,
            ":resource": grant.resource.as_ref().map(Audience::as_str),
            ":issuer": grant.issuer,
        },
        Written::read,
    )?;
    written.ok_or_else(no_row)
}

/// The error for a statement that should return the row it wrote, and returned none.
pub(super) fn no_row() -> StoreError {
    StoreError::new(StoreErrorKind::Failed, "the answer has no row")
}

impl Written {
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let authenticated_at: Option<i64> = row.get("authenticated_at")?;
        Ok(Self {
            call_source: text(row, "call_source", CallSource::parse)?,
            authenticated_at: authenticated_at.map_or_else(|| row.get("created_at"), Ok)?,
            expires_at: row.get("expires_at")?,
            resource: optional_text(row, "resource", Audience::parse)?,
            generation: row.get("generation")?,
        })
    }

    pub(super) fn opened(
        self,
        tx: &Transaction<'_>,
        id: SessionId,
        user: UserId,
        scopes: Scopes,
        renewed: bool,
    ) -> OpenedSession {
        OpenedSession {
            id,
            user,
            call_source: self.call_source,
            scopes,
            authenticated_at: system_time(self.authenticated_at),
            expires_in: duration(self.expires_at - tx.now),
            renewed,
            resource: self.resource,
            evicted: Vec::new(),
        }
    }
}

impl From<StoreError> for NotOpened {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<NotOpened> for OpenSessionError {
    fn from(why: NotOpened) -> Self {
        match why {
            NotOpened::Taken => Self::SessionTaken,
            NotOpened::TooMany => Self::TooManySessions,
            NotOpened::Store(e) => Self::Store(e),
        }
    }
}
