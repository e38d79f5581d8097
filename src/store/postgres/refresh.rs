//! Refresh tokens: used, looked at.

use tokio_postgres::Row;

use super::connections::Connections;
use super::error::failed;
use super::row::{Columns, micros};
use super::session::{opened, status};
use crate::id::RefreshHash;
use crate::store::{
    OpenedSession, RefreshRefusal, RefreshSession, RefreshSessionError, RefreshStatus, StoreError,
};

pub(super) async fn refresh(
    db: &Connections,
    refresh: &RefreshSession,
) -> Result<OpenedSession, RefreshSessionError> {
    let origin = &refresh.origin;
    let row = db
        .query_one(
            "SELECT * FROM bridge_auth.refresh_session($1, $2, $3, $4, $5, $6, $7, $8, $9)",
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
            ],
        )
        .await?;
    let refusal = match row.column("outcome")? {
        "opened" => return Ok(opened(&row)?),
        "scopes" => return Err(RefreshSessionError::Scopes),
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
        rotated_at: row.column("rotated_at")?,
    })
}

/// One look, without a lock.
pub(super) async fn look(db: &Connections, token: &RefreshHash) -> Result<Option<RefreshStatus>, StoreError> {
    let rows = db
        .query(
            "SELECT session.id, session.user_id, session.client_id, session.call_source, session.scopes,
                session.revoked_at IS NOT NULL AS revoked,
                greatest(extract(epoch FROM session.expires_at - now()) * 1000000, 0)::bigint AS expires_in,
                token.generation = session.generation AS is_newest, token.issued_at
            FROM bridge_auth.refresh_tokens AS token
            JOIN bridge_auth.sessions AS session ON session.key = token.session_key
            WHERE token.hash = $1 AND token.generation >= session.first_generation",
            &[&token.as_bytes().as_slice()],
        )
        .await?;
    let read = |row: &Row| {
        Ok(RefreshStatus {
            session: status(row)?,
            scopes: row.scopes()?,
            is_newest: row.column("is_newest")?,
            issued_at: row.column("issued_at")?,
        })
    };
    rows.first().map(read).transpose()
}
