//! Hook sessions: each device has one for its hooks.

use rusqlite::named_params;

use super::clients::{self, Device};
use super::sessions::{self, Written};
use super::transaction::{Transaction, text};
use super::users;
use crate::id::{Scopes, SessionId, UserId};
use crate::store::{ClientProof, NewSession, OpenSessionError, OpenedSession, StoreError};

/// A session whose hooks ask all the time is written once in this time, in milliseconds.
const PAUSE: i64 = 60 * 1000;

/// A hook client that asks for a token.
#[derive(Clone)]
pub(super) struct Wish {
    pub(super) owner: UserId,
    pub(super) proof: ClientProof,
    pub(super) scopes: Scopes,
    pub(super) session: NewSession,
}

/// What a client that proved itself may get.
struct Grant {
    device: Device,
    /// All scopes that it may ask for. What it asks for this time belongs to its token, not to its session.
    scopes: Scopes,
}

/// The live session of a device's hooks.
struct Held {
    id: SessionId,
    row: Written,
    /// Whether a renewal would change nothing in the row.
    is_fresh: bool,
}

/// The answer, if nothing must be written for it.
pub(super) fn look(tx: &Transaction<'_>, wish: &Wish) -> Result<Option<OpenedSession>, OpenSessionError> {
    let grant = judge(tx, wish)?;
    let held = find(tx, wish, &grant)?.filter(|held| held.is_fresh);
    Ok(held.map(|held| answer(tx, wish, &grant, held.id, held.row, true)))
}

/// Renews the session of the device's hooks, or opens one.
pub(super) fn open(tx: &Transaction<'_>, wish: &Wish) -> Result<OpenedSession, OpenSessionError> {
    let grant = judge(tx, wish)?;
    let new = &wish.session;
    let (id, row, renewed) = match find(tx, wish, &grant)? {
        Some(held) if held.is_fresh => (held.id, held.row, true),
        Some(held) => (held.id.clone(), renew(tx, wish, &grant, &held.id)?, true),
        None if sessions::status(tx, new.id.id())?.is_some() => return Err(OpenSessionError::SessionTaken),
        None => (new.id.id().clone(), insert(tx, wish, &grant)?, false),
    };
    Ok(answer(tx, wish, &grant, id, row, renewed))
}

/// Checks the proof, and returns what the client may get.
fn judge(tx: &Transaction<'_>, wish: &Wish) -> Result<Grant, OpenSessionError> {
    let proven = clients::prove(tx, &wish.session.client, &wish.proof)?
        .filter(|proven| proven.client.owner == wish.owner)
        .ok_or(OpenSessionError::WrongSecret)?;
    let owner = users::find(tx, &wish.owner)?.ok_or(OpenSessionError::UnknownUser)?;
    if owner.disabled {
        return Err(OpenSessionError::UserDisabled);
    }
    Ok(Grant { device: proven.device, scopes: owner.for_hooks(&proven.client.scopes) })
}

/// The live session of the device's hooks. Older versions could open several: then it is the newest.
fn find(tx: &Transaction<'_>, wish: &Wish, grant: &Grant) -> Result<Option<Held>, StoreError> {
    let sql = "SELECT id, call_source, created_at, authenticated_at, expires_at, generation, resource,
                      renewed_at > :now - :pause AND scopes = :scopes AND user_agent IS :user_agent
                          AND address IS :address AND device_name IS :device_name
                          AND expires_at >= :expires_at AND ends_at IS max(expires_at, :ends_at) AS is_fresh
               FROM sessions INDEXED BY live_sessions_by_parent
               WHERE parent = :device AND revoked_at IS NULL AND expires_at > :now
                   AND client_id = :client AND user_id = :owner AND depth IS NULL
               ORDER BY created_at DESC, rowid DESC LIMIT 1";
    let Wish { owner, session: NewSession { client, origin, .. }, .. } = wish;
    tx.row(
        sql,
        named_params! {
            ":device": grant.device.session.as_str(),
            ":client": client.as_str(),
            ":owner": owner.as_str(),
            ":scopes": grant.scopes.to_string(),
            ":user_agent": origin.user_agent,
            ":address": origin.address.map(|address| address.to_string()),
            ":device_name": origin.device_name,
            ":expires_at": grant.device.expires_at,
            ":ends_at": grant.device.ends_at,
            ":now": tx.now,
            ":pause": PAUSE,
        },
        |row| {
            let id = text(row, "id", SessionId::parse)?;
            Ok(Held { id, is_fresh: row.get("is_fresh")?, row: Written::read(row)? })
        },
    )
}

fn renew(
    tx: &Transaction<'_>,
    wish: &Wish,
    grant: &Grant,
    session: &SessionId,
) -> Result<Written, StoreError> {
    let sql = "UPDATE sessions SET
                   scopes = :scopes, user_agent = :user_agent, address = :address, device_name = :device_name,
                   renewed_at = :now, authenticated_at = :now,
                   expires_at = max(expires_at, :expires_at),
                   ends_at = max(expires_at, :expires_at, :ends_at)
               WHERE id = :id
               RETURNING call_source, created_at, authenticated_at, expires_at, generation, resource";
    let origin = &wish.session.origin;
    let written = tx.row(
        sql,
        named_params! {
            ":id": session.as_str(),
            ":scopes": grant.scopes.to_string(),
            ":user_agent": origin.user_agent,
            ":address": origin.address.map(|address| address.to_string()),
            ":device_name": origin.device_name,
            ":expires_at": grant.device.expires_at,
            ":ends_at": grant.device.ends_at,
            ":now": tx.now,
        },
        Written::read,
    )?;
    written.ok_or_else(sessions::no_row)
}

/// The new session lives as long as the device's. The life that was asked for is the life of a token, not of the
/// session.
fn insert(tx: &Transaction<'_>, wish: &Wish, grant: &Grant) -> Result<Written, StoreError> {
    let sql = "INSERT INTO sessions (id, user_id, client_id, parent, call_source, scopes, user_agent, address,
                                     device_name, created_at, renewed_at, expires_at, ends_at, authenticated_at)
               VALUES (:id, :owner, :client, :device, :call_source, :scopes, :user_agent, :address,
                       :device_name, :now, :now, :expires_at, max(:expires_at, :ends_at), :now)
               RETURNING call_source, created_at, authenticated_at, expires_at, generation, resource";
    let Wish { owner, session, .. } = wish;
    let written = tx.row(
        sql,
        named_params! {
            ":id": session.id.id().as_str(),
            ":owner": owner.as_str(),
            ":client": session.client.as_str(),
            ":device": grant.device.session.as_str(),
            ":call_source": session.call_source.as_str(),
            ":scopes": grant.scopes.to_string(),
            ":user_agent": session.origin.user_agent,
            ":address": session.origin.address.map(|address| address.to_string()),
            ":device_name": session.origin.device_name,
            ":expires_at": grant.device.expires_at,
            ":ends_at": grant.device.ends_at,
            ":now": tx.now,
        },
        Written::read,
    )?;
    written.ok_or_else(sessions::no_row)
}

/// The owner has authenticated just now, whether this was written or not. The session has the resource of its device.
fn answer(
    tx: &Transaction<'_>,
    wish: &Wish,
    grant: &Grant,
    id: SessionId,
    row: Written,
    renewed: bool,
) -> OpenedSession {
    let row = Written { authenticated_at: tx.now, resource: grant.device.resource.clone(), ..row };
    let scopes = wish.scopes.intersection(&grant.scopes);
    row.opened(tx, id, wish.owner.clone(), scopes, renewed)
}
