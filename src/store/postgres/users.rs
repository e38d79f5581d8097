//! Users: made known, disabled, enabled.

use super::connections::Connections;
use super::row::Columns;
use crate::id::UserId;
use crate::store::{KnownUser, StoreError};

/// Writes nothing when nothing changes, because hosts call it at every login.
pub(super) async fn put(db: &Connections, user: &KnownUser) -> Result<(), StoreError> {
    db.query(
        "SELECT bridge_auth.put_user($1, $2, $3)",
        &[&user.id.as_str(), &user.scopes.to_string(), &user.hook_scopes.as_ref().map(ToString::to_string)],
    )
    .await
    .map(drop)
}

pub(super) async fn disable(db: &Connections, user: &UserId) -> Result<bool, StoreError> {
    let row = db.query_one("SELECT bridge_auth.revoke_user($1, true) AS revoked", &[&user.as_str()]).await?;
    Ok(row.column::<Option<i64>>("revoked")?.is_some())
}

pub(super) async fn enable(db: &Connections, user: &UserId) -> Result<bool, StoreError> {
    let row = db.query_one("SELECT bridge_auth.enable_user($1) AS enabled", &[&user.as_str()]).await?;
    row.column("enabled")
}
