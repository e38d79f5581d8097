//! People: made known, enabled, disabled.

use rusqlite::params;

use super::transaction::{Transaction, text};
use crate::id::{Scopes, UserId};
use crate::store::StoreError;

/// What is known of a user.
pub(super) struct User {
    pub(super) scopes: Scopes,
    pub(super) disabled: bool,
}

pub(super) fn put(tx: &Transaction<'_>, user: &UserId, scopes: &Scopes) -> Result<(), StoreError> {
    let sql = "INSERT INTO users (id, scopes) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET scopes = excluded.scopes";
    tx.execute(sql, params![user.as_str(), scopes.to_string()]).map(drop)
}

pub(super) fn find(tx: &Transaction<'_>, user: &UserId) -> Result<Option<User>, StoreError> {
    tx.row("SELECT scopes, disabled FROM users WHERE id = ?", [user.as_str()], |row| {
        Ok(User { scopes: text(row, "scopes", Scopes::parse)?, disabled: row.get("disabled")? })
    })
}

/// Sets whether the user is disabled; `false` when the user is unknown.
pub(super) fn set_disabled(tx: &Transaction<'_>, user: &UserId, disabled: bool) -> Result<bool, StoreError> {
    let changed =
        tx.execute("UPDATE users SET disabled = ? WHERE id = ?", params![disabled, user.as_str()])?;
    Ok(changed > 0)
}
