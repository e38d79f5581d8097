//! Users: made known, disabled, enabled.

use super::connections::Connections;
use super::row::Columns;
use crate::id::{Scopes, UserId};
use crate::store::StoreError;

/// Writes nothing when nothing changes: hosts call it at every login.
pub(super) async fn put(db: &Connections, user: &UserId, scopes: &Scopes) -> Result<(), StoreError> {
    db.query(
        "INSERT INTO bridge_auth.users AS held (id, scopes) VALUES ($1, $2)
        ON CONFLICT (id) DO UPDATE SET scopes = excluded.scopes WHERE held.scopes <> excluded.scopes",
        &[&user.as_str(), &scopes.to_string()],
    )
    .await
    .map(drop)
}

pub(super) async fn disable(db: &Connections, user: &UserId) -> Result<bool, StoreError> {
    let row = db.query_one("SELECT bridge_auth.revoke_user($1, true) AS revoked", &[&user.as_str()]).await?;
    Ok(row.column::<Option<i64>>("revoked")?.is_some())
}

pub(super) async fn enable(db: &Connections, user: &UserId) -> Result<bool, StoreError> {
    let rows = db
        .query("UPDATE bridge_auth.users SET disabled = false WHERE id = $1 RETURNING id", &[&user.as_str()])
        .await?;
    Ok(!rows.is_empty())
}
