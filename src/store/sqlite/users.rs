//! Users: made known, enabled, disabled, found.

use rusqlite::{Row, params};

use super::transaction::{Transaction, optional_text, text};
use crate::id::{Scopes, UserId};
use crate::store::user_search::UserSearch;
use crate::store::{KnownUser, StoreError, UserPage, UserQuery, UserRecord, revocation_mark};

/// How long a revocation of somebody who is not known is remembered: longer than any assertion is good.
const MARK_MILLIS: i64 = 10 * 60 * 1000;

/// What is known about a user.
pub(super) struct User {
    pub(super) scopes: Scopes,
    pub(super) disabled: bool,
    /// The last revoke-all.
    pub(super) not_before: i64,
    hook_scopes: Option<Scopes>,
    label: Option<String>,
}

impl User {
    /// The scopes of `scopes` that the user's hooks may ask for.
    pub(super) fn for_hooks(&self, scopes: &Scopes) -> Scopes {
        self.hook_scopes.as_ref().map_or_else(|| scopes.clone(), |held| scopes.intersection(held))
    }
}

/// Whether `user` is already stored with exactly these values.
pub(super) fn is_put(tx: &Transaction<'_>, user: &KnownUser) -> Result<bool, StoreError> {
    let label = user.stored_label();
    let known = find(tx, &user.id)?;
    Ok(known.is_some_and(|known| {
        let keeps_label = label.is_none_or(|new| known.label.is_some_and(|label| label == new.text));
        known.scopes == user.scopes && known.hook_scopes == user.hook_scopes && keeps_label
    }))
}

pub(super) fn put(tx: &Transaction<'_>, user: &KnownUser) -> Result<(), StoreError> {
    let sql = "INSERT INTO users (id, scopes, hook_scopes, label, label_key) VALUES (?, ?, ?, ?, ?)
               ON CONFLICT (id) DO UPDATE SET scopes = excluded.scopes, hook_scopes = excluded.hook_scopes,
                   label = coalesce(excluded.label, label), label_key = coalesce(excluded.label_key, label_key)
               WHERE scopes <> excluded.scopes OR hook_scopes IS NOT excluded.hook_scopes
                   OR label IS NOT coalesce(excluded.label, label)";
    let hook_scopes = user.hook_scopes.as_ref().map(Scopes::to_string);
    let (label, key) = user.stored_label().map(|label| (label.text, label.key)).unzip();
    tx.execute(sql, params![user.id.as_str(), user.scopes.to_string(), hook_scopes, label, key]).map(drop)
}

pub(super) fn find(tx: &Transaction<'_>, user: &UserId) -> Result<Option<User>, StoreError> {
    tx.row(
        "SELECT scopes, hook_scopes, disabled, not_before, label FROM users WHERE id = ?",
        [user.as_str()],
        |row| {
            Ok(User {
                scopes: text(row, "scopes", Scopes::parse)?,
                hook_scopes: optional_text(row, "hook_scopes", Scopes::parse)?,
                disabled: row.get("disabled")?,
                not_before: row.get("not_before")?,
                label: row.get("label")?,
            })
        },
    )
}

/// Sets whether the user is disabled; `false` when the user is unknown.
pub(super) fn set_disabled(tx: &Transaction<'_>, user: &UserId, disabled: bool) -> Result<bool, StoreError> {
    let changed =
        tx.execute("UPDATE users SET disabled = ? WHERE id = ?", params![disabled, user.as_str()])?;
    Ok(changed > 0)
}

/// Makes somebody known whom nobody has made known before.
pub(super) fn add(tx: &Transaction<'_>, user: &KnownUser) -> Result<(), StoreError> {
    let sql = "INSERT INTO users (id, scopes, hook_scopes, label, label_key, not_before)
               VALUES (?, ?, ?, ?, ?, coalesce((SELECT expires_at FROM used_assertions WHERE hash = ?) - ?, 0))
               ON CONFLICT (id) DO NOTHING";
    let hook_scopes = user.hook_scopes.as_ref().map(Scopes::to_string);
    let (label, key) = user.stored_label().map(|label| (label.text, label.key)).unzip();
    let (id, mark) = (user.id.as_str(), revocation_mark(&user.id));
    let params = params![
        id,
        user.scopes.to_string(),
        hook_scopes,
        label,
        key,
        mark.as_bytes().as_slice(),
        MARK_MILLIS
    ];
    tx.execute(sql, params).map(drop)
}

/// Remembers for ten minutes that all of somebody was revoked who is not known.
pub(super) fn mark_revoked(tx: &Transaction<'_>, user: &UserId) -> Result<(), StoreError> {
    let sql = "INSERT INTO used_assertions (hash, expires_at) VALUES (?, ?)
               ON CONFLICT (hash) DO UPDATE SET expires_at = excluded.expires_at";
    let mark = revocation_mark(user);
    tx.execute(sql, params![mark.as_bytes().as_slice(), tx.now + MARK_MILLIS]).map(drop)
}

/// Makes somebody known who is disabled from the beginning.
pub(super) fn add_disabled(tx: &Transaction<'_>, user: &UserId) -> Result<(), StoreError> {
    let sql = "INSERT INTO users (id, scopes, disabled) VALUES (?, '', TRUE)";
    tx.execute(sql, [user.as_str()]).map(drop)
}

/// Remembers that all of the user is revoked now.
pub(super) fn set_not_before(tx: &Transaction<'_>, user: &UserId) -> Result<(), StoreError> {
    tx.execute("UPDATE users SET not_before = ? WHERE id = ?", params![tx.now, user.as_str()]).map(drop)
}

/// Finds people by their ids and by their labels, each by an index.
pub(super) fn list(tx: &Transaction<'_>, query: &UserQuery) -> Result<UserPage, StoreError> {
    let Some(UserSearch { ids, labels, first, people }) = query.search() else {
        return Ok(UserPage::default());
    };
    let sql = "SELECT id, label, disabled FROM (
                   SELECT id, label, disabled FROM users WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3
               ) AS page
               UNION
               SELECT id, label, disabled FROM (
                   SELECT id, label, disabled FROM users INDEXED BY users_by_label
                   WHERE label_key >= ?4 AND label_key < ?5 ORDER BY label_key, id LIMIT ?6
               ) AS labelled WHERE id >= ?7
               ORDER BY id LIMIT ?3";
    let params = params![ids.0, ids.1, people, labels.0, labels.1, UserSearch::LABELS, first];
    Ok(UserPage::of(tx.rows(sql, params, record)?, query))
}

fn record(row: &Row<'_>) -> rusqlite::Result<UserRecord> {
    Ok(UserRecord {
        id: text(row, "id", UserId::parse)?,
        label: row.get::<_, Option<String>>("label")?.filter(|label| !label.is_empty()),
        disabled: row.get("disabled")?,
    })
}
