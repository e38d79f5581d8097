//! Hook clients: provisioned, proven.

use std::hint::black_box;
use std::time::Duration;

use rusqlite::types::{FromSqlError, Type};
use rusqlite::{Row, params};

use super::transaction::{Transaction, millis, text};
use super::{sessions, users};
use crate::id::{AssertionHash, ClientId, KeyThumbprint, Scopes, SecretHash, SessionId, UserId};
use crate::store::{
    Client, ClientKey, ClientProof, KeyQuery, ProvisionClient, ProvisionError, SessionState, SessionStatus,
    StoreError, StoreErrorKind,
};

/// A client whose secret was verified, and the session that provisioned the secret.
pub(super) struct Proven {
    pub(super) client: Client,
    pub(super) session: SessionId,
}

/// The rows of a device's secrets that a call may replace.
pub(super) struct Replaced(serde_json::Value);

/// The secrets of the asking device, as they are before the call does anything: no call that
/// overlaps with it shows its own here.
pub(super) fn to_replace(tx: &Transaction<'_>, new: &ProvisionClient) -> Result<Replaced, StoreError> {
    let rows: Vec<i64> = tx.rows(
        "SELECT id FROM client_secrets
         WHERE client_id = ? AND session_id = ? AND (expires_at IS NULL OR expires_at > ?)",
        params![new.client.as_str(), new.session.as_str(), tx.now],
        |row| row.get(0),
    )?;
    Ok(Replaced(rows.into_iter().collect()))
}

/// Adds a secret or key to a client, which is made when it is new.
pub(super) fn provision(
    tx: &Transaction<'_>,
    new: &ProvisionClient,
    replaced: &Replaced,
) -> Result<(), ProvisionError> {
    let is_own = |asking: &SessionStatus| asking.user == new.owner && asking.state == SessionState::Live;
    match users::find(tx, &new.owner)? {
        Some(owner) if owner.disabled => return Err(ProvisionError::UserDisabled),
        Some(_) if sessions::status(tx, &new.session)?.is_some_and(|asking| is_own(&asking)) => {}
        _ => return Err(ProvisionError::SessionNotLive),
    }
    put(tx, new)?;
    make_room(tx, new)?;
    tx.execute(
        "UPDATE client_secrets SET expires_at = min(coalesce(expires_at, ?1), ?1)
         WHERE id IN (SELECT value FROM json_each(?2))",
        params![tx.now + millis(new.overlap), replaced.0.to_string()],
    )?;
    let (digest, jwk) = (new.credential.digest(), new.credential.jwk());
    // A key is the device's that brought it last: with the session of an earlier one it would not end.
    tx.execute(
        "DELETE FROM client_secrets WHERE client_id = ? AND hash = ? AND jwk IS NOT NULL AND ? IS NOT NULL",
        params![new.client.as_str(), digest, jwk],
    )?;
    tx.execute(
        "INSERT INTO client_secrets (client_id, session_id, hash, jwk) VALUES (?, ?, ?, ?)",
        params![new.client.as_str(), new.session.as_str(), digest, jwk],
    )?;
    Ok(())
}

/// The client, when `proof` fits one of its live credentials and its owner is enabled.
pub(super) fn verify(
    tx: &Transaction<'_>,
    client: &ClientId,
    proof: &ClientProof,
) -> Result<Option<Client>, StoreError> {
    let Some(proven) = prove(tx, client, proof)? else { return Ok(None) };
    let enabled = users::find(tx, &proven.client.owner)?.is_some_and(|owner| !owner.disabled);
    Ok(enabled.then_some(proven.client))
}

/// The client and the device, when `proof` fits one of its live credentials.
pub(super) fn prove(
    tx: &Transaction<'_>,
    id: &ClientId,
    proof: &ClientProof,
) -> Result<Option<Proven>, StoreError> {
    let presented = proof.digest();
    let client = tx.row("SELECT owner, scopes FROM clients WHERE id = ?", [id.as_str()], |row| {
        let owner = text(row, "owner", UserId::parse)?;
        Ok(Client { id: id.clone(), owner, scopes: text(row, "scopes", Scopes::parse)? })
    })?;
    let live = tx.rows(
        "SELECT session_id, hash FROM client_secrets
         WHERE client_id = ? AND (jwk IS NOT NULL) = ? AND (expires_at IS NULL OR expires_at > ?)",
        params![id.as_str(), proof.is_key(), tx.now],
        |row| Ok((text(row, "session_id", SessionId::parse)?, digest(row, SecretHash::from_stored)?)),
    )?;
    if live.is_empty() {
        // An unknown client takes a comparison too.
        black_box(black_box(&presented).matches(&presented));
    }
    // None is skipped, so that the time tells not which one it was.
    let found = live
        .into_iter()
        .fold(None, |found, (session, hash)| hash.matches(&presented).then_some(session).or(found));
    Ok(client.zip(found).map(|(client, session)| Proven { client, session }))
}

/// The two newest of a client's live public keys that `query` is about.
pub(super) fn keys(
    tx: &Transaction<'_>,
    client: &ClientId,
    query: &KeyQuery,
) -> Result<Vec<ClientKey>, StoreError> {
    let thumbprint = query.thumbprint();
    tx.rows(
        "SELECT secret.hash, secret.jwk FROM clients AS client
         JOIN users AS owner ON owner.id = client.owner AND NOT owner.disabled
         JOIN client_secrets AS secret ON secret.client_id = client.id
             AND secret.jwk IS NOT NULL AND (secret.expires_at IS NULL OR secret.expires_at > ?1)
         WHERE client.id = ?2 AND json_extract(secret.jwk, '$.alg') = ?3
             AND (?4 IS NULL OR json_extract(secret.jwk, '$.kid') = ?4 OR secret.hash = ?5)
         ORDER BY secret.id DESC LIMIT 2",
        params![
            tx.now,
            client.as_str(),
            query.algorithm,
            query.key_id,
            thumbprint.as_ref().map(KeyThumbprint::as_bytes),
        ],
        |row| {
            let thumbprint = digest(row, KeyThumbprint::from_bytes)?;
            Ok(ClientKey { thumbprint, jwk: row.get("jwk")? })
        },
    )
}

/// Remembers an assertion for `life`; `false` when it is remembered already.
pub(super) fn spend_assertion(
    tx: &Transaction<'_>,
    assertion: &AssertionHash,
    life: Duration,
) -> Result<bool, StoreError> {
    let remembered = tx.execute(
        "INSERT INTO used_assertions (hash, expires_at) VALUES (?1, ?2)
         ON CONFLICT (hash) DO UPDATE SET expires_at = excluded.expires_at WHERE expires_at <= ?3",
        params![assertion.as_bytes(), tx.now + millis(life), tx.now],
    )?;
    Ok(remembered > 0)
}

fn put(tx: &Transaction<'_>, new: &ProvisionClient) -> Result<(), StoreError> {
    let changed = tx.execute(
        "INSERT INTO clients (id, owner, scopes) VALUES (?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET scopes = excluded.scopes WHERE owner = excluded.owner",
        params![new.client.as_str(), new.owner.as_str(), new.scopes.to_string()],
    )?;
    match changed {
        0 => Err(StoreError::new(StoreErrorKind::Failed, "the client belongs to another user")),
        _ => Ok(()),
    }
}

/// Drops the secrets of the oldest devices that are no longer signed in, until there is a place.
fn make_room(tx: &Transaction<'_>, new: &ProvisionClient) -> Result<(), ProvisionError> {
    struct Device {
        session: SessionId,
        live: bool,
    }
    let others = tx.rows(
        "SELECT secret.session_id, max(session.id) IS NOT NULL AS live FROM client_secrets AS secret
         LEFT JOIN sessions AS session ON session.id = secret.session_id AND session.user_id = ?1
             AND session.revoked_at IS NULL AND session.expires_at > ?2
         WHERE secret.client_id = ?3 AND secret.session_id <> ?4
             AND (secret.expires_at IS NULL OR secret.expires_at > ?2)
         GROUP BY secret.session_id ORDER BY max(secret.id)",
        params![new.owner.as_str(), tx.now, new.client.as_str(), new.session.as_str()],
        |row| Ok(Device { session: text(row, "session_id", SessionId::parse)?, live: row.get("live")? }),
    )?;
    let places = new.max_devices.saturating_sub(1) as usize;
    let beyond = others.len().saturating_sub(places);
    let dead: Vec<_> = others.iter().filter(|device| !device.live).take(beyond).collect();
    if dead.len() < beyond {
        return Err(ProvisionError::TooManyDevices);
    }
    for device in dead {
        tx.execute(
            "DELETE FROM client_secrets WHERE client_id = ? AND session_id = ?",
            params![new.client.as_str(), device.session.as_str()],
        )?;
    }
    Ok(())
}

fn digest<T>(row: &Row<'_>, read: impl FnOnce(&[u8]) -> Option<T>) -> rusqlite::Result<T> {
    let place = row.as_ref().column_index("hash")?;
    read(row.get_ref(place)?.as_blob()?).ok_or_else(|| {
        let malformed = FromSqlError::InvalidType;
        rusqlite::Error::FromSqlConversionFailure(place, Type::Blob, Box::new(malformed))
    })
}
