//! Devices: a person's live sessions, each with what belongs to it.

use rusqlite::{Row, params};

use super::transaction::{Transaction, millis, optional_text, system_time, text};
use crate::clock::since_epoch;
use crate::id::{CallSource, ClientId, Scopes, SessionId, UserId};
use crate::store::{Device, DevicePage, DeviceQuery, HookSession, Origin, Session, StoreError};

/// The live sessions of `user` that `query` asks for, newest first.
pub(super) fn of_user(
    tx: &Transaction<'_>,
    user: &UserId,
    query: &DeviceQuery,
) -> Result<DevicePage, StoreError> {
    // The page is cut before the rows that belong to its sessions are read.
    let sql = "WITH page AS MATERIALIZED (
                   SELECT id, user_id, client_id, call_source, scopes, user_agent, address, device_name, issuer,
                          created_at, renewed_at, expires_at, coalesce(ends_at, expires_at) AS ends_at
                   FROM sessions
                   WHERE user_id = ?1 AND revoked_at IS NULL AND expires_at > ?2 AND parent IS NULL
                       AND (?3 IS NULL OR (created_at, id) < (?3, ?4))
                   ORDER BY created_at DESC, id DESC LIMIT ?5)
               SELECT page.*,
                      (SELECT max(created_at) FROM client_secrets
                       WHERE session_id = page.id AND jwk IS NULL
                           AND (expires_at IS NULL OR expires_at > ?2)) AS secret_since,
                      (SELECT max(created_at) FROM client_secrets
                       WHERE session_id = page.id AND jwk IS NOT NULL
                           AND (expires_at IS NULL OR expires_at > ?2)) AS key_since,
                      (WITH RECURSIVE family (id, depth) AS (
                           SELECT page.id, NULL
                           UNION
                           SELECT child.id, child.depth FROM family
                           CROSS JOIN sessions AS child INDEXED BY live_sessions_by_parent
                               ON child.parent = family.id
                           WHERE child.user_id = page.user_id AND child.revoked_at IS NULL
                               AND child.expires_at > ?2)
                       SELECT count(*) FROM family WHERE depth IS NOT NULL) AS delegated,
                      hook.id AS hook_id, hook.created_at AS hook_created_at,
                      hook.renewed_at AS hook_renewed_at, hook.expires_at AS hook_expires_at
               FROM page LEFT JOIN sessions AS hook ON hook.rowid = (
                   SELECT child.rowid FROM sessions AS child INDEXED BY live_sessions_by_parent
                   WHERE child.parent = page.id AND child.revoked_at IS NULL AND child.expires_at > ?2
                       AND child.user_id = page.user_id AND child.depth IS NULL
                   ORDER BY child.created_at DESC, child.rowid DESC LIMIT 1)
               ORDER BY page.created_at DESC, page.id DESC";
    let after = query.after.as_ref();
    let devices = tx.rows(
        sql,
        params![
            user.as_str(),
            tx.now,
            after.map(|after| millis(since_epoch(after.created_at))),
            after.map(|after| after.session.as_str()),
            i64::from(query.limit.max(1)) + 1,
        ],
        device,
    )?;
    Ok(DevicePage::of(devices, query))
}

fn device(row: &Row<'_>) -> rusqlite::Result<Device> {
    let since = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(system_time));
    Ok(Device {
        session: session(row)?,
        secret_since: since("secret_since")?,
        key_since: since("key_since")?,
        delegated: row.get::<_, i64>("delegated")?.unsigned_abs(),
        hook_session: match optional_text(row, "hook_id", SessionId::parse)? {
            Some(id) => Some(HookSession {
                id,
                created_at: row.get("hook_created_at").map(system_time)?,
                renewed_at: row.get("hook_renewed_at").map(system_time)?,
                expires_at: row.get("hook_expires_at").map(system_time)?,
            }),
            None => None,
        },
    })
}

fn session(row: &Row<'_>) -> rusqlite::Result<Session> {
    let time = |column| row.get(column).map(system_time);
    Ok(Session {
        id: text(row, "id", SessionId::parse)?,
        user: text(row, "user_id", UserId::parse)?,
        client: text(row, "client_id", ClientId::parse)?,
        call_source: text(row, "call_source", CallSource::parse)?,
        scopes: text(row, "scopes", Scopes::parse)?,
        origin: Origin { issuer: row.get("issuer")?, ..origin(row)? },
        created_at: time("created_at")?,
        renewed_at: time("renewed_at")?,
        expires_at: time("expires_at")?,
        ends_at: time("ends_at")?,
    })
}

/// Reads where a session or a device grant was asked for. Today's filter of texts applies to old rows too.
pub(super) fn origin(row: &Row<'_>) -> rusqlite::Result<Origin> {
    let mut origin = Origin::unknown();
    if let Some(text) = row.get_ref("user_agent")?.as_str_or_null()? {
        origin = origin.user_agent(text);
    }
    if let Some(text) = row.get_ref("device_name")?.as_str_or_null()? {
        origin = origin.device_name(text);
    }
    if let Some(address) = optional_text(row, "address", str::parse)? {
        origin = origin.address(address);
    }
    Ok(origin)
}
