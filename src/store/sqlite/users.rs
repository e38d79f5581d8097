//! Users: made known, enabled, disabled.

use rusqlite::params;

use super::transaction::{Transaction, optional_text, text};
use crate::id::{Scopes, UserId};
use crate::store::{KnownUser, StoreError};

/// What is known about a user.
pub(super) struct User {
    pub(super) scopes: Scopes,
    pub(super) disabled: bool,
    hook_scopes: Option<Scopes>,
}

impl User {
    /// The scopes of `scopes` that the user's hooks may ask for.
    pub(super) fn for_hooks(&self, scopes: &Scopes) -> Scopes {
        self.hook_scopes.as_ref().map_or_else(|| scopes.clone(), |held| scopes.intersection(held))
    }
}

/// Whether `user` is already stored with exactly these values.
pub(super) fn is_put(tx: &Transaction<'_>, user: &KnownUser) -> Result<bool, StoreError> {
    let known = find(tx, &user.id)?;
    Ok(known.is_some_and(|known| known.scopes == user.scopes && known.hook_scopes == user.hook_scopes))
}

pub(super) fn put(tx: &Transaction<'_>, user: &KnownUser) -> Result<(), StoreError> {
    let sql = "INSERT INTO users (id, scopes, hook_scopes) VALUES (?, ?, ?)
               ON CONFLICT (id) DO UPDATE SET scopes = excluded.scopes, hook_scopes = excluded.hook_scopes
               WHERE scopes <> excluded.scopes OR hook_scopes IS NOT excluded.hook_scopes";
    let hook_scopes = user.hook_scopes.as_ref().map(Scopes::to_string);
    tx.execute(sql, params![user.id.as_str(), user.scopes.to_string(), hook_scopes]).map(drop)
}

pub(super) fn find(tx: &Transaction<'_>, user: &UserId) -> Result<Option<User>, StoreError> {
    tx.row("SELECT scopes, hook_scopes, disabled FROM users WHERE id = ?", [user.as_str()], |row| {
        Ok(User {
            scopes: text(row, "scopes", Scopes::parse)?,
            hook_scopes: optional_text(row, "hook_scopes", Scopes::parse)?,
            disabled: row.get("disabled")?,
        })
    })
}

/// Sets whether the user is disabled; `false` when the user is unknown.
pub(super) fn set_disabled(tx: &Transaction<'_>, user: &UserId, disabled: bool) -> Result<bool, StoreError> {
    let changed =
        tx.execute("UPDATE users SET disabled = ? WHERE id = ?", params![disabled, user.as_str()])?;
    Ok(changed > 0)
}
