//! Hook clients: provisioned and verified; their keys, and the assertions that were signed with these keys.

use std::time::Duration;

use tokio_postgres::Row;

use super::connections::Connections;
use super::error::failed;
use super::row::{Columns, micros, session_key};
use crate::id::{AssertionHash, ClientId, KeyThumbprint, SecretHash};
use crate::store::{
    Client, ClientKey, ClientProof, KeyQuery, ProvisionClient, ProvisionClientError, ProvisionedClient,
    StoreError,
};

pub(super) async fn provision(
    db: &Connections,
    provision: &ProvisionClient,
) -> Result<ProvisionedClient, ProvisionClientError> {
    let row = db
        .query_one(
            "SELECT outcome, scopes, ends_at FROM bridge_auth.provision($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            &[
                &provision.client.as_str(),
                &provision.owner.as_str(),
                &session_key(&provision.session),
                &provision.session.as_str(),
                &provision.credential.digest().as_slice(),
                &provision.scopes.to_string(),
                &micros(provision.overlap),
                &i64::from(provision.max_devices),
                &provision.credential.jwk(),
            ],
        )
        .await?;
    match row.column("outcome")? {
        "provisioned" => Ok(ProvisionedClient { scopes: row.scopes()?, ends_at: row.column("ends_at")? }),
        "session_not_live" => Err(ProvisionClientError::SessionNotLive),
        "user_disabled" => Err(ProvisionClientError::UserDisabled),
        "too_many_devices" => Err(ProvisionClientError::TooManyDevices),
        "overlapped" => Err(ProvisionClientError::Overlapped),
        other => Err(failed(format!("unknown outcome {other:?}")).into()),
    }
}

/// Compares every live credential of the kind. If there is none, it still makes one comparison: so the time it takes
/// does not tell whether the client exists, or which of its secrets is most similar. A credential is live only while
/// the session of its device is live.
pub(super) async fn verify(
    db: &Connections,
    client: &ClientId,
    proof: &ClientProof,
) -> Result<Option<Client>, StoreError> {
    let presented = proof.digest();
    let rows = db
        .query(
            "SELECT client.owner AS user_id, bridge_auth.allowed_to_hooks(client.scopes, holder) AS scopes, secret.hash
            FROM bridge_auth.clients AS client
            JOIN bridge_auth.users AS holder ON holder.id = client.owner AND NOT holder.disabled
            JOIN bridge_auth.client_secrets AS secret ON secret.client_id = client.id
                AND (secret.jwk IS NOT NULL) = $2
                AND (secret.expires_at IS NULL OR secret.expires_at > now())
            JOIN bridge_auth.sessions AS device ON device.key = secret.session_key
                AND device.user_id = client.owner AND device.revoked_at IS NULL AND device.expires_at > now()
            WHERE client.id = $1",
            &[&client.as_str(), &proof.is_key()],
        )
        .await?;
    let Some(first) = rows.first() else {
        std::hint::black_box(presented.matches(&presented));
        return Ok(None);
    };
    let mut good = false;
    for row in &rows {
        let stored = SecretHash::from_stored(row.column("hash")?)
            .ok_or_else(|| failed("a stored secret hash is not 32 bytes long"))?;
        good |= stored.matches(&presented);
    }
    let found = Client { id: client.clone(), owner: first.user()?, scopes: first.scopes()? };
    Ok(good.then_some(found))
}

pub(super) async fn keys(
    db: &Connections,
    client: &ClientId,
    query: &KeyQuery,
) -> Result<Vec<ClientKey>, StoreError> {
    let thumbprint = query.thumbprint();
    let rows = db
        .query(
            "SELECT secret.hash, secret.jwk
            FROM bridge_auth.clients AS client
            JOIN bridge_auth.users AS owner ON owner.id = client.owner AND NOT owner.disabled
            JOIN bridge_auth.client_secrets AS secret ON secret.client_id = client.id
                AND secret.jwk IS NOT NULL AND (secret.expires_at IS NULL OR secret.expires_at > now())
            JOIN bridge_auth.sessions AS device ON device.key = secret.session_key
                AND device.user_id = client.owner AND device.revoked_at IS NULL AND device.expires_at > now()
            WHERE client.id = $1 AND secret.jwk::jsonb->>'alg' = $2
                AND ($3::text IS NULL OR secret.jwk::jsonb->>'kid' = $3 OR secret.hash = $4::bytea)
            ORDER BY coalesce(secret.hash = $4::bytea, false) DESC, secret.id DESC LIMIT 2",
            &[
                &client.as_str(),
                &query.algorithm,
                &query.key_id,
                &thumbprint.as_ref().map(|thumbprint| thumbprint.as_bytes().as_slice()),
            ],
        )
        .await?;
    let key = |row: &Row| {
        let thumbprint = KeyThumbprint::from_bytes(row.column("hash")?)
            .ok_or_else(|| failed("a stored thumbprint is not 32 bytes long"))?;
        Ok(ClientKey { thumbprint, jwk: row.column("jwk")? })
    };
    rows.iter().map(key).collect()
}

pub(super) async fn spend_assertion(
    db: &Connections,
    assertion: &AssertionHash,
    life: Duration,
) -> Result<bool, StoreError> {
    let row = db
        .query_one(
            "SELECT bridge_auth.spend_assertion($1, $2) AS spent",
            &[&assertion.as_bytes().as_slice(), &micros(life)],
        )
        .await?;
    row.column("spent")
}
