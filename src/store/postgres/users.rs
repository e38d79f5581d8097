//! Users: made known, disabled, enabled, found.

use tokio_postgres::Row;

use super::connections::Connections;
use super::row::Columns;
use crate::id::UserId;
use crate::store::user_search::UserSearch;
use crate::store::{KnownUser, StoreError, UserPage, UserQuery, UserRecord, revocation_mark};

/// Writes nothing when nothing changes, because hosts call it at every login.
pub(super) async fn put(db: &Connections, user: &KnownUser) -> Result<(), StoreError> {
    let label = user.stored_label();
    db.query(
        "SELECT bridge_auth.put_user($1, $2, $3, $4, $5)",
        &[
            &user.id.as_str(),
            &user.scopes.to_string(),
            &user.hook_scopes.as_ref().map(ToString::to_string),
            &label.as_ref().map(|label| &*label.text),
            &label.as_ref().map(|label| &*label.key),
        ],
    )
    .await
    .map(drop)
}

/// Makes somebody known whom nobody has made known before.
pub(super) async fn add(db: &Connections, user: &KnownUser) -> Result<(), StoreError> {
    let label = user.stored_label();
    db.query(
        "SELECT bridge_auth.add_user($1, $2, $3, $4, $5, $6)",
        &[
            &user.id.as_str(),
            &user.scopes.to_string(),
            &user.hook_scopes.as_ref().map(ToString::to_string),
            &label.as_ref().map(|label| &*label.text),
            &label.as_ref().map(|label| &*label.key),
            &revocation_mark(&user.id).as_bytes().as_slice(),
        ],
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

/// Finds people by their ids and by their labels, each by an index.
pub(super) async fn list(db: &Connections, query: &UserQuery) -> Result<UserPage, StoreError> {
    let Some(UserSearch { ids, labels, first, people }) = query.search() else {
        return Ok(UserPage::default());
    };
    let rows = db
        .query(
            "SELECT id AS user_id, label, disabled FROM (
                (
                    SELECT id, label, disabled FROM bridge_auth.users WHERE id >= $1 AND id < $2 ORDER BY id LIMIT $3
                ) UNION (
                    SELECT id, label, disabled FROM (
                        SELECT id, label, disabled FROM bridge_auth.users
                        WHERE label_key >= $4 AND label_key < $5 ORDER BY label_key, id LIMIT $6
                    ) AS labelled WHERE id >= $7 ORDER BY id LIMIT $3
                )
            ) AS page ORDER BY id LIMIT $3",
            &[
                &ids.0,
                &ids.1,
                &i64::from(people),
                &labels.0,
                &labels.1,
                &i64::from(UserSearch::LABELS),
                &first,
            ],
        )
        .await?;
    Ok(UserPage::of(rows.iter().map(record).collect::<Result<_, _>>()?, query))
}

fn record(row: &Row) -> Result<UserRecord, StoreError> {
    let label = row.column::<Option<String>>("label")?;
    Ok(UserRecord {
        id: row.user()?,
        label: label.filter(|label| !label.is_empty()),
        disabled: row.column("disabled")?,
    })
}
