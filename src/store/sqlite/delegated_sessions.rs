//! Delegated sessions: each hangs on another session of the same user, and ends with it.

use rusqlite::named_params;

use super::sessions::{self, Written};
use super::transaction::{Transaction, millis, optional_text, text};
use super::{hanging, users};
use crate::id::{Audience, Scopes, SessionId, UserId};
use crate::store::{
    NewSession, OpenSessionError, OpenedSession, RequestedId, SessionState, StoreError, StoreErrorKind,
};
use crate::token::Actor;

/// A client that exchanges a token of the session `parent` for one of a new session.
pub(super) struct Exchange {
    pub(super) user: UserId,
    pub(super) parent: SessionId,
    pub(super) actor: Option<Box<Actor>>,
    pub(super) scopes: Scopes,
    pub(super) session: NewSession,
}

/// The live session that the new one hangs on.
struct Parent {
    /// The session of the device at the top.
    device: SessionId,
    /// How many delegated sessions the chain has up to this one.
    depth: u32,
    scopes: Scopes,
    resource: Option<Audience>,
    authenticated_at: i64,
    expires_at: i64,
}

/// Opens a session that hangs on its parent. Nobody can make it wider than its parent, or longer.
pub(super) fn open(tx: &Transaction<'_>, exchange: &Exchange) -> Result<OpenedSession, OpenSessionError> {
    let Exchange { user, parent, actor, scopes, session } = exchange;
    let known = users::find(tx, user)?.ok_or(OpenSessionError::UnknownUser)?;
    if known.disabled {
        return Err(OpenSessionError::UserDisabled);
    }
    sessions::spend(tx, &known, session)?;
    let parent_id = parent;
    let parent = find(tx, user, parent_id)?.ok_or(OpenSessionError::ParentEnded)?;
    if parent.depth as usize >= Actor::MAX_DEPTH {
        return Err(OpenSessionError::TooDeep);
    }
    // With a limit of zero there would be none at all.
    if hanging::delegated(tx, &parent.device)? >= i64::from(session.limit.max.max(1)) {
        return Err(OpenSessionError::TooManySessions);
    }
    let id = match &session.id {
        RequestedId::Fresh(id) if sessions::status(tx, id)?.is_none() => id,
        RequestedId::Fresh(_) | RequestedId::Declared(_) => return Err(OpenSessionError::SessionTaken),
    };
    let scopes = scopes.intersection(&known.scopes).intersection(&parent.scopes);
    let actor = actor.as_ref().map(serde_json::to_string).transpose();
    let actor = actor.map_err(|e| StoreError::new(StoreErrorKind::Failed, e))?;
    let written = insert(tx, exchange, (parent_id, parent), &scopes, actor.as_deref())?;
    Ok(written.opened(tx, id.clone(), user.clone(), scopes, false))
}

/// The parent, if it is live and the user's own. A session of hooks is no parent.
fn find(tx: &Transaction<'_>, user: &UserId, id: &SessionId) -> Result<Option<Parent>, StoreError> {
    let is_live = sessions::status(tx, id)?
        .is_some_and(|status| status.user == *user && status.state == SessionState::Live);
    if !is_live {
        return Ok(None);
    }
    let sql = "SELECT coalesce(depth, 0) AS depth, scopes, resource, expires_at,
                      coalesce(authenticated_at, created_at) AS authenticated_at
               FROM sessions WHERE id = ? AND (parent IS NULL OR depth IS NOT NULL)";
    let parent = tx.row(sql, [id.as_str()], |row| {
        Ok(Parent {
            device: id.clone(),
            depth: row.get("depth")?,
            scopes: text(row, "scopes", Scopes::parse)?,
            resource: optional_text(row, "resource", Audience::parse)?,
            authenticated_at: row.get("authenticated_at")?,
            expires_at: row.get("expires_at")?,
        })
    })?;
    let Some(mut parent) = parent else { return Ok(None) };
    for _ in 0..parent.depth {
        let above = "SELECT parent FROM sessions WHERE id = ?";
        let above = tx.row(above, [parent.device.as_str()], |row| text(row, "parent", SessionId::parse))?;
        let Some(above) = above else { return Ok(None) };
        parent.device = above;
    }
    Ok(Some(parent))
}

fn insert(
    tx: &Transaction<'_>,
    exchange: &Exchange,
    (parent_id, parent): (&SessionId, Parent),
    scopes: &Scopes,
    actor: Option<&str>,
) -> Result<Written, StoreError> {
    let sql =
        "INSERT INTO sessions (id, user_id, client_id, parent, depth, actor, call_source, scopes, user_agent,
                                     address, device_name, issuer, created_at, renewed_at, expires_at, ends_at,
                                     authenticated_at, resource)
               VALUES (:id, :user, :client, :parent, :depth, :actor, :call_source, :scopes, :user_agent,
                       :address, :device_name, :issuer, :now, :now, :expires_at, :expires_at,
                       :authenticated_at, :resource)
               RETURNING call_source, created_at, authenticated_at, expires_at, generation, resource";
    let new = &exchange.session;
    let written = tx.row(
        sql,
        named_params! {
            ":id": new.id.id().as_str(),
            ":user": exchange.user.as_str(),
            ":client": new.client.as_str(),
            ":parent": parent_id.as_str(),
            ":depth": parent.depth + 1,
            ":actor": actor,
            ":call_source": new.call_source.as_str(),
            ":scopes": scopes.to_string(),
            ":user_agent": new.origin.user_agent,
            ":address": new.origin.address.map(|address| address.to_string()),
            ":device_name": new.origin.device_name,
            ":issuer": new.origin.issuer,
            ":now": tx.now,
            ":expires_at": parent.expires_at.min(tx.now + millis(new.life)),
            ":authenticated_at": parent.authenticated_at,
            ":resource": parent.resource.as_ref().or(new.resource.as_ref()).map(Audience::as_str),
        },
        Written::read,
    )?;
    written.ok_or_else(sessions::no_row)
}
