//! Refresh tokens: used, and looked up.

use tokio_postgres::Row;

use super::connections::Connections;
use super::error::failed;
use super::row::{Columns, micros};
use super::sessions::{opened, status};
use crate::id::{Audience, RefreshHash, UserId};
use crate::store::{
    OpenedSession, RefreshRefusal, RefreshSession, RefreshSessionError, RefreshStatus, StoreError,
};

/// The user of the token; `None` when the token is unknown.
pub(super) async fn owner(db: &Connections, token: &RefreshHash) -> Result<Option<UserId>, StoreError> {
    let rows = db
        .query(
            "SELECT session.user_id
            FROM bridge_auth.refresh_tokens AS token
            JOIN bridge_auth.sessions AS session ON session.key = token.session_key
            WHERE token.hash = $1",
            &[&token.as_bytes().as_slice()],
        )
        .await?;
    rows.first().map(Columns::user).transpose()
}

pub(super) async fn refresh(
    db: &Connections,
    refresh: &RefreshSession,
) -> Result<OpenedSession, RefreshSessionError> {
    let origin = &refresh.origin;
    let row = db
        .query_one(
            "SELECT * FROM bridge_auth.refresh_session($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            &[
                &refresh.presented.as_bytes().as_slice(),
                &refresh.successor.as_bytes().as_slice(),
                &refresh.client.as_str(),
                &refresh.scopes.as_ref().map(ToString::to_string),
                &origin.user_agent,
                &origin.address,
                &origin.device_name,
                &micros(refresh.life),
                &micros(refresh.grace),
                &refresh.resource.as_ref().map(Audience::as_str),
            ],
        )
        .await?;
    let refusal = match row.column("outcome")? {
        "opened" => return Ok(opened(&row)?),
        "scopes" => return Err(RefreshSessionError::Scopes),
        "wrong_resource" => return Err(RefreshSessionError::WrongResource),
        "unknown" => RefreshRefusal::Unknown,
        "session_ended" => RefreshRefusal::SessionEnded,
        "wrong_client" => RefreshRefusal::WrongClient,
        "reused" => reused(&row)?,
        "user_disabled" => RefreshRefusal::UserDisabled,
        other => return Err(failed(format!("unknown outcome {other:?}")).into()),
    };
    Err(RefreshSessionError::Refused(refusal))
}

fn reused(row: &Row) -> Result<RefreshRefusal, StoreError> {
    Ok(RefreshRefusal::Reused {
        user: row.user()?,
        session: row.session("session_id")?,
        used_at: row.column("rotated_at")?,
        used_from: row.column("used_from")?,
    })
}

/// Looks a token up, without a lock.
pub(super) async fn look(db: &Connections, token: &RefreshHash) -> Result<Option<RefreshStatus>, StoreError> {
    let rows = db
        .query(
            "SELECT session.id, session.user_id, session.client_id, session.call_source, session.scopes,
                session.created_at, session.expires_at, session.revoked_at IS NOT NULL AS revoked, now() AS now,
                token.rounds = 0 AND NOT coalesce(token.parent_round < parent.rounds, false) AS is_unused,
                token.issued_at
            FROM bridge_auth.refresh_tokens AS stored
            CROSS JOIN LATERAL bridge_auth.refresh_uses(stored) AS token
            JOIN bridge_auth.sessions AS session ON session.key = token.session_key
            LEFT JOIN bridge_auth.refresh_tokens AS parent ON parent.hash = token.parent
            WHERE stored.hash = $1 AND token.generation >= session.first_generation",
            &[&token.as_bytes().as_slice()],
        )
        .await?;
    let read = |row: &Row| {
        Ok(RefreshStatus {
            session: status(row)?,
            scopes: row.scopes()?,
            is_unused: row.column("is_unused")?,
            issued_at: row.column("issued_at")?,
        })
    };
    rows.first().map(read).transpose()
}
