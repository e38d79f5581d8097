//! Hook clients: their proofs and their keys.

use std::hint::black_box;
use std::time::Duration;

use rusqlite::types::{FromSqlError, Type};
use rusqlite::{Row, params};

use super::transaction::{Transaction, millis, optional_text, text};
use super::users;
use crate::id::{AssertionHash, Audience, ClientId, KeyThumbprint, Scopes, SecretHash, SessionId, UserId};
use crate::store::{Client, ClientKey, ClientProof, KeyQuery, StoreError};

/// A client whose credential was verified, and the device of the credential.
pub(super) struct Proven {
    pub(super) client: Client,
    pub(super) device: Device,
}

/// The live session that provisioned a credential.
pub(super) struct Device {
    pub(super) session: SessionId,
    pub(super) expires_at: i64,
    /// Its absolute end.
    pub(super) ends_at: i64,
    /// The one resource that its tokens, and those of its hooks, may be for.
    pub(super) resource: Option<Audience>,
}

/// The client, when `proof` fits one of its live credentials and its owner is enabled.
pub(super) fn verify(
    tx: &Transaction<'_>,
    client: &ClientId,
    proof: &ClientProof,
) -> Result<Option<Client>, StoreError> {
    let Some(Proven { client, .. }) = prove(tx, client, proof)? else { return Ok(None) };
    let owner = users::find(tx, &client.owner)?.filter(|owner| !owner.disabled);
    Ok(owner.map(|owner| Client { scopes: owner.for_hooks(&client.scopes), ..client }))
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
        "SELECT secret.hash, secret.session_id, device.expires_at,
                coalesce(device.ends_at, device.expires_at) AS ends_at, device.resource
         FROM client_secrets AS secret CROSS JOIN sessions AS device ON device.id = secret.session_id
         WHERE secret.client_id = ?1 AND (secret.jwk IS NOT NULL) = ?2
             AND (secret.expires_at IS NULL OR secret.expires_at > ?3)
             AND device.user_id = ?4 AND device.revoked_at IS NULL AND device.expires_at > ?3",
        params![id.as_str(), proof.is_key(), tx.now, client.as_ref().map(|client| client.owner.as_str())],
        |row| Ok((Device::read(row)?, digest(row, SecretHash::from_stored)?)),
    )?;
    if live.is_empty() {
        // For an unknown client a comparison is made too.
        black_box(black_box(&presented).matches(&presented));
    }
    // Every credential is compared, so the time does not tell which one fitted.
    let found = live
        .into_iter()
        .fold(None, |found, (device, hash)| hash.matches(&presented).then_some(device).or(found));
    Ok(client.zip(found).map(|(client, device)| Proven { client, device }))
}

/// The two newest live public keys of a client that fit `query`.
pub(super) fn keys(
    tx: &Transaction<'_>,
    client: &ClientId,
    query: &KeyQuery,
) -> Result<Vec<ClientKey>, StoreError> {
    let thumbprint = query.thumbprint();
    tx.rows(
        "SELECT secret.hash, secret.jwk FROM clients AS client
         CROSS JOIN users AS owner ON owner.id = client.owner AND NOT owner.disabled
         CROSS JOIN client_secrets AS secret ON secret.client_id = client.id
             AND secret.jwk IS NOT NULL AND (secret.expires_at IS NULL OR secret.expires_at > ?1)
         CROSS JOIN sessions AS device ON device.id = secret.session_id
             AND device.user_id = client.owner AND device.revoked_at IS NULL AND device.expires_at > ?1
         WHERE client.id = ?2 AND json_extract(secret.jwk, '$.alg') = ?3
             AND (?4 IS NULL OR json_extract(secret.jwk, '$.kid') = ?4 OR secret.hash = ?5)
         ORDER BY coalesce(secret.hash = ?5, FALSE) DESC, secret.id DESC LIMIT 2",
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

impl Device {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let session = text(row, "session_id", SessionId::parse)?;
        let resource = optional_text(row, "resource", Audience::parse)?;
        Ok(Self { session, expires_at: row.get("expires_at")?, ends_at: row.get("ends_at")?, resource })
    }
}

fn digest<T>(row: &Row<'_>, read: impl FnOnce(&[u8]) -> Option<T>) -> rusqlite::Result<T> {
    let place = row.as_ref().column_index("hash")?;
    read(row.get_ref(place)?.as_blob()?).ok_or_else(|| {
        let malformed = FromSqlError::InvalidType;
        rusqlite::Error::FromSqlConversionFailure(place, Type::Blob, Box::new(malformed))
    })
}
