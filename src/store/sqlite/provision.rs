//! Credentials for a device's hooks.

use rusqlite::params;

use super::transaction::{Transaction, millis, system_time};
use super::users;
use crate::id::Scopes;
use crate::store::{ProvisionClient, ProvisionClientError, ProvisionedClient, StoreError, StoreErrorKind};

/// The newest credential that a device had at a certain time.
#[derive(Clone, Copy)]
pub(super) struct Newest(i64);

/// The newest credential of the asking device, before the call does anything. Ids only grow: so a credential that
/// another call adds meanwhile has a higher id.
pub(super) fn newest(tx: &Transaction<'_>, new: &ProvisionClient) -> Result<Newest, StoreError> {
    let id = tx.row(
        "SELECT max(id) FROM client_secrets WHERE client_id = ? AND session_id = ?",
        params![new.client.as_str(), new.session.as_str()],
        |row| row.get(0),
    )?;
    Ok(Newest(id.flatten().unwrap_or(0)))
}

/// Adds a credential to a client. The client is made if it is new.
pub(super) fn provision(
    tx: &Transaction<'_>,
    new: &ProvisionClient,
    before: Newest,
) -> Result<ProvisionedClient, ProvisionClientError> {
    let scopes = match users::find(tx, &new.owner)? {
        Some(owner) if owner.disabled => return Err(ProvisionClientError::UserDisabled),
        Some(owner) => owner.for_hooks(&new.scopes),
        None => return Err(ProvisionClientError::SessionNotLive),
    };
    let ends_at = device_ends_at(tx, new)?.ok_or(ProvisionClientError::SessionNotLive)?;
    if added_since(tx, new, before)? > 1 {
        return Err(ProvisionClientError::Overlapped);
    }
    put(tx, new, &scopes)?;
    drop_dead(tx, new)?;
    if other_devices(tx, new)? >= i64::from(new.max_devices) {
        return Err(ProvisionClientError::TooManyDevices);
    }
    replace(tx, new, before)?;
    tx.execute(
        "INSERT INTO client_secrets (client_id, session_id, hash, jwk, created_at) VALUES (?, ?, ?, ?, ?)",
        params![
            new.client.as_str(),
            new.session.as_str(),
            new.credential.digest(),
            new.credential.jwk(),
            tx.now
        ],
    )?;
    Ok(ProvisionedClient { scopes, ends_at: system_time(ends_at) })
}

/// The absolute end of the asking session, if it is live and belongs to the owner. A session that hangs on another one has
/// no credentials.
fn device_ends_at(tx: &Transaction<'_>, new: &ProvisionClient) -> Result<Option<i64>, StoreError> {
    tx.row(
        "SELECT coalesce(ends_at, expires_at) FROM sessions
         WHERE id = ? AND user_id = ? AND parent IS NULL AND revoked_at IS NULL AND expires_at > ?",
        params![new.session.as_str(), new.owner.as_str(), tx.now],
        |row| row.get(0),
    )
}

/// How many credentials of the device other calls have added since this call began.
fn added_since(tx: &Transaction<'_>, new: &ProvisionClient, before: Newest) -> Result<i64, StoreError> {
    let added = tx.row(
        "SELECT count(*) FROM client_secrets WHERE client_id = ? AND session_id = ? AND id > ?",
        params![new.client.as_str(), new.session.as_str(), before.0],
        |row| row.get(0),
    )?;
    Ok(added.unwrap_or(0))
}

fn put(tx: &Transaction<'_>, new: &ProvisionClient, scopes: &Scopes) -> Result<(), StoreError> {
    let changed = tx.execute(
        "INSERT INTO clients (id, owner, scopes) VALUES (?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET scopes = excluded.scopes WHERE owner = excluded.owner",
        params![new.client.as_str(), new.owner.as_str(), scopes.to_string()],
    )?;
    match changed {
        0 => Err(StoreError::new(StoreErrorKind::Failed, "the client belongs to another user")),
        _ => Ok(()),
    }
}

/// Deletes the dead credentials of the client, so that it never has more rows than it may have live credentials.
fn drop_dead(tx: &Transaction<'_>, new: &ProvisionClient) -> Result<(), StoreError> {
    tx.execute(
        "DELETE FROM client_secrets WHERE client_id = ?1 AND (
            expires_at <= ?2
            OR NOT EXISTS (
                SELECT 1 FROM sessions AS device
                WHERE device.id = client_secrets.session_id AND device.user_id = ?3
                    AND device.revoked_at IS NULL AND device.expires_at > ?2))",
        params![new.client.as_str(), tx.now, new.owner.as_str()],
    )
    .map(drop)
}

/// How many other devices have a credential. The dead credentials must be deleted before.
fn other_devices(tx: &Transaction<'_>, new: &ProvisionClient) -> Result<i64, StoreError> {
    let others = tx.row(
        "SELECT count(DISTINCT session_id) FROM client_secrets WHERE client_id = ? AND session_id <> ?",
        params![new.client.as_str(), new.session.as_str()],
        |row| row.get(0),
    )?;
    Ok(others.unwrap_or(0))
}

/// Leaves the device one credential, and takes the new key from every other device.
fn replace(tx: &Transaction<'_>, new: &ProvisionClient, before: Newest) -> Result<(), StoreError> {
    let (client, session) = (new.client.as_str(), new.session.as_str());
    // A key belongs to the device that presented it last. Otherwise it would end with the session of an earlier device.
    tx.execute(
        "DELETE FROM client_secrets WHERE client_id = ? AND hash = ? AND jwk IS NOT NULL AND ? IS NOT NULL",
        params![client, new.credential.digest(), new.credential.jwk()],
    )?;
    tx.execute(
        "DELETE FROM client_secrets WHERE client_id = ?1 AND session_id = ?2 AND id < (
            SELECT max(id) FROM client_secrets WHERE client_id = ?1 AND session_id = ?2)",
        params![client, session],
    )?;
    // A credential that was added since may not have been answered yet, so it is not replaced.
    tx.execute(
        "UPDATE client_secrets SET expires_at = min(coalesce(expires_at, ?1), ?1)
         WHERE client_id = ?2 AND session_id = ?3 AND id <= ?4",
        params![tx.now + millis(new.overlap), client, session, before.0],
    )?;
    Ok(())
}
