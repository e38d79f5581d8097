//! Revocation, its log, and the broom.

use std::time::Duration;

use tokio_postgres::Row;

use super::connections::Connections;
use super::error::failed;
use super::row::{Columns, session_key};
use crate::id::{ClientId, SessionId, UserId};
use crate::store::{Revocation, RevocationCursor, RevocationPage, Revoke, StoreError, Swept};

/// The client of all bridges may have millions of sessions, and must be revoked whole or not at all.
const ALL_OF_A_CLIENT: Duration = Duration::from_secs(60);

pub(super) async fn revoke(db: &Connections, target: &Revoke) -> Result<Option<u64>, StoreError> {
    let row = match target {
        Revoke::Session(session) => revoke_session(db, session, None).await?,
        Revoke::SessionOf { user, session } => revoke_session(db, session, Some(user)).await?,
        Revoke::User(user) => {
            db.query_one("SELECT bridge_auth.revoke_user($1, false) AS revoked", &[&user.as_str()]).await?
        }
        Revoke::Client(client) => {
            let sql = "SELECT bridge_auth.revoke_client($1) AS revoked";
            db.query_one_within(ALL_OF_A_CLIENT, sql, &[&client.as_str()]).await?
        }
    };
    row.column::<Option<i64>>("revoked")?.map(|count| u64::try_from(count).map_err(failed)).transpose()
}

async fn revoke_session(
    db: &Connections,
    session: &SessionId,
    user: Option<&UserId>,
) -> Result<Row, StoreError> {
    db.query_one(
        "SELECT bridge_auth.revoke_session($1, $2, $3) AS revoked",
        &[&session_key(session), &session.as_str(), &user.map(UserId::as_str)],
    )
    .await
}

/// The cursor is the oldest transaction that was running when the page before was read: every one that
/// page could not see has that number or a higher one.
///
/// So a transaction that stays open makes entries come again, and hides none. A reader who was away
/// while entries were swept has missed them. A cursor from the future stems from a database that was
/// since restored or failed over: everything may have changed. So may it in a new era: after a crash, or on
/// another server, numbers come again that were passed before.
pub(super) async fn since(
    db: &Connections,
    cursor: &RevocationCursor,
    limit: u32,
) -> Result<RevocationPage, StoreError> {
    let rows = db
        .query_look_up(
            "WITH begun AS (
                INSERT INTO bridge_auth.log_era (era)
                SELECT $4::bigint WHERE NOT EXISTS (SELECT FROM bridge_auth.log_era)
                ON CONFLICT DO NOTHING RETURNING era
            )
            SELECT pg_snapshot_xmin(seen)::text AS next, coalesce(log.era, begun.era) AS era,
                log.era IS DISTINCT FROM $3::bigint OR pg_snapshot_xmax(seen) < $1::text::xid8
                    OR coalesce(swept.newest >= $1::text::xid8, false) AS lost,
                page.kind, page.subject
            FROM pg_current_snapshot() AS seen
            LEFT JOIN bridge_auth.log_era AS log ON true
            LEFT JOIN begun ON true
            CROSS JOIN bridge_auth.swept_log AS swept
            LEFT JOIN (
                SELECT kind, subject FROM bridge_auth.revocations
                WHERE xid >= $1::text::xid8 ORDER BY xid LIMIT $2
            ) AS page ON true",
            &[
                &cursor.place.to_string(),
                &(i64::from(limit) + 1),
                &cursor.era,
                &rand::random_range(1..i64::MAX),
            ],
        )
        .await?;
    let first = rows.first().ok_or_else(|| failed("no snapshot"))?;
    // None when another reader was just beginning one: the next reading sees it, and forgets once more.
    let era = first.column::<Option<i64>>("era")?.unwrap_or_default();
    let next = RevocationCursor { place: first.column::<&str>("next")?.parse().map_err(failed)?, era };
    let entries: Vec<Revocation> =
        rows.iter().filter_map(|row| entry(row).transpose()).collect::<Result<_, _>>()?;
    let complete = entries.len() <= limit as usize && !first.column::<bool>("lost")?;
    Ok(RevocationPage { entries: complete.then_some(entries), next })
}

/// The entry of a row; `None` in the row that stands for an empty page.
fn entry(row: &Row) -> Result<Option<Revocation>, StoreError> {
    let Some(kind) = row.column::<Option<&str>>("kind")? else { return Ok(None) };
    let subject = row.column::<&str>("subject")?;
    match kind {
        "session" => SessionId::parse(subject).map(Revocation::Session).map_err(failed),
        "user" => UserId::parse(subject).map(Revocation::User).map_err(failed),
        "client" => ClientId::parse(subject).map(Revocation::Client).map_err(failed),
        other => Err(failed(format!("unknown kind of revocation {other:?}"))),
    }
    .map(Some)
}

pub(super) async fn sweep(db: &Connections, limit: u32) -> Result<Swept, StoreError> {
    let row = db
        .query_one(
            "SELECT codes, sessions, secrets, revocations, refresh_tokens, assertions FROM bridge_auth.sweep($1)",
            &[&i64::from(limit)],
        )
        .await?;
    Ok(Swept {
        codes: row.count("codes")?,
        sessions: row.count("sessions")?,
        secrets: row.count("secrets")?,
        revocations: row.count("revocations")?,
        refresh_tokens: row.count("refresh_tokens")?,
        assertions: row.count("assertions")?,
    })
}
