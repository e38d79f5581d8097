//! Devices: a person's live sessions, each with what belongs to it.

use std::time::SystemTime;

use tokio_postgres::Row;
use uuid::Uuid;

use super::connections::Connections;
use super::row::{Columns, session_key};
use super::sessions::session;
use crate::id::UserId;
use crate::store::{Device, DevicePage, DeviceQuery, HookSession, StoreError};

pub(super) async fn of_user(
    db: &Connections,
    user: &UserId,
    query: &DeviceQuery,
) -> Result<DevicePage, StoreError> {
    let after = query.after.as_ref();
    let rows = db
        .query(
            "WITH page AS MATERIALIZED (
                SELECT key, id, user_id, client_id, call_source, scopes, user_agent, address, device_name, issuer,
                    created_at, renewed_at, expires_at, coalesce(ends_at, expires_at) AS ends_at
                FROM bridge_auth.sessions
                WHERE user_id = $1 AND parent IS NULL AND revoked_at IS NULL AND expires_at > now()
                    AND ($2::timestamptz IS NULL OR (created_at, key) < ($2, $3::uuid))
                ORDER BY created_at DESC, key DESC LIMIT $4
            ), delegated AS MATERIALIZED (
                SELECT top, count(*) AS sessions
                FROM bridge_auth.hanging_on($1, ARRAY(SELECT key FROM page), now())
                WHERE depth IS NOT NULL GROUP BY top
            )
            SELECT device.*, credential.secret_since, credential.key_since,
                coalesce((SELECT sessions FROM delegated WHERE top = device.key), 0) AS delegated,
                hook.id AS hook_id, hook.created_at AS hook_created_at, hook.renewed_at AS hook_renewed_at,
                hook.expires_at AS hook_expires_at
            FROM page AS device
            LEFT JOIN LATERAL (
                SELECT max(secret.created_at) FILTER (WHERE secret.jwk IS NULL) AS secret_since,
                    max(secret.created_at) FILTER (WHERE secret.jwk IS NOT NULL) AS key_since
                FROM bridge_auth.client_secrets AS secret
                WHERE secret.session_key = device.key AND (secret.expires_at IS NULL OR secret.expires_at > now())
            ) AS credential ON true
            LEFT JOIN LATERAL (
                SELECT child.id, child.created_at, child.renewed_at, child.expires_at
                FROM bridge_auth.sessions AS child
                WHERE child.parent = device.key AND child.user_id = device.user_id
                    AND child.depth IS NULL AND child.revoked_at IS NULL AND child.expires_at > now()
                ORDER BY child.renewed_at DESC LIMIT 1
            ) AS hook ON true
            ORDER BY device.created_at DESC, device.key DESC",
            &[
                &user.as_str(),
                &after.map(|place| place.created_at),
                &after.map_or_else(Uuid::nil, |place| session_key(&place.session)),
                // One more row tells whether there are more devices.
                &(i64::from(query.limit.max(1)) + 1),
            ],
        )
        .await?;
    Ok(DevicePage::of(rows.iter().map(device).collect::<Result<_, _>>()?, query))
}

fn device(row: &Row) -> Result<Device, StoreError> {
    let has_hook = row.column::<Option<&str>>("hook_id")?.is_some();
    Ok(Device {
        session: session(row)?,
        secret_since: row.column::<Option<SystemTime>>("secret_since")?,
        key_since: row.column::<Option<SystemTime>>("key_since")?,
        delegated: row.count("delegated")?,
        hook_session: if has_hook { Some(hook_session(row)?) } else { None },
    })
}

fn hook_session(row: &Row) -> Result<HookSession, StoreError> {
    Ok(HookSession {
        id: row.session("hook_id")?,
        created_at: row.column("hook_created_at")?,
        renewed_at: row.column("hook_renewed_at")?,
        expires_at: row.column("hook_expires_at")?,
    })
}
