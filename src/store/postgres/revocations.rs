//! Revocations, their log, and the sweep.

use std::time::Duration;

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::connections::Connections;
use super::error::failed;
use super::row::{Columns, micros, session_key};
use super::sessions::shown_tick;
use crate::id::{ClientId, SessionId, UserId};
use crate::store::{
    EventAction, EventOutcome, Revocation, RevocationCursor, RevocationPage, Revoke, SecurityEvent,
    StoreError, Swept, revocation_mark,
};

/// A revocation of a client may take this long: the client of all bridges may have millions of sessions, and all of
/// them must be revoked together or not at all.
pub(super) const ALL_OF_A_CLIENT: Duration = Duration::from_secs(60);

pub(super) async fn revoke(db: &Connections, target: &Revoke) -> Result<Option<u64>, StoreError> {
    let row = match target {
        Revoke::Session(session) => revoke_session(db, session, None).await?,
        Revoke::SessionOf { user, session } => revoke_session(db, session, Some(user)).await?,
        Revoke::User(user) => {
            db.query_one("SELECT bridge_auth.revoke_user($1, false) AS revoked", &[&user.as_str()]).await?
        }
        Revoke::Others { user, keep } => {
            let sql = "SELECT bridge_auth.revoke_others($1, $2, $3) AS revoked";
            db.query_one(sql, &[&user.as_str(), &session_key(keep), &keep.as_str()]).await?
        }
        Revoke::Client(client) => {
            let sql = "SELECT bridge_auth.revoke_client($1) AS revoked";
            db.query_one_within(ALL_OF_A_CLIENT, sql, &[&client.as_str()]).await?
        }
    };
    row.column::<Option<i64>>("revoked")?.map(|count| u64::try_from(count).map_err(failed)).transpose()
}

/// Does what an event says, once.
pub(super) async fn apply(db: &Connections, event: &SecurityEvent) -> Result<EventOutcome, StoreError> {
    let parts = EventParts::of(&event.action);
    let session = parts.session.map(|session| (session_key(session), session.as_str()));
    let (key, id) = session.unzip();
    let sql = "SELECT outcome, revoked FROM bridge_auth.apply_event($1, $2, $3, $4, $5, $6, $7, $8)";
    let (hash, life) = (event.event.as_bytes().as_slice(), micros(event.life));
    let (user, client) = (parts.user.map(UserId::as_str), parts.client.map(ClientId::as_str));
    let mark = parts.user.map(revocation_mark);
    let mark = mark.as_ref().map(|mark| mark.as_bytes().as_slice());
    let params: [&(dyn ToSql + Sync); 8] = [&hash, &life, &parts.action, &user, &key, &id, &client, &mark];
    let row = match client {
        Some(_) => db.query_one_within(ALL_OF_A_CLIENT, sql, &params).await?,
        None => db.query_one(sql, &params).await?,
    };
    match row.column("outcome")? {
        "done" => {
            let revoked = row.column::<Option<i64>>("revoked")?;
            Ok(EventOutcome::Done(revoked.map(u64::try_from).transpose().map_err(failed)?))
        }
        "done_before" => Ok(EventOutcome::DoneBefore),
        other => Err(failed(format!("unknown outcome {other:?}"))),
    }
}

/// An action as the migrations read it.
struct EventParts<'a> {
    action: &'static str,
    user: Option<&'a UserId>,
    session: Option<&'a SessionId>,
    client: Option<&'a ClientId>,
}

impl<'a> EventParts<'a> {
    fn of(action: &'a EventAction) -> Self {
        let of = |action, user, session| Self { action, user, session, client: None };
        match action {
            EventAction::Disable(user) => of("disable", Some(user), None),
            EventAction::Revoke(Revoke::User(user)) => of("user", Some(user), None),
            EventAction::Revoke(Revoke::Session(session)) => of("session", None, Some(session)),
            EventAction::Revoke(Revoke::SessionOf { user, session }) => {
                of("session", Some(user), Some(session))
            }
            EventAction::Revoke(Revoke::Others { user, keep }) => of("others", Some(user), Some(keep)),
            EventAction::Revoke(Revoke::Client(client)) => {
                Self { client: Some(client), ..of("client", None, None) }
            }
        }
    }
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

/// The entries since `cursor`.
///
/// The cursor is the oldest transaction that was running when the previous page was read. Every transaction that this
/// page could not see has the same or a higher number. So a transaction that stays open makes entries come again, and
/// hides none.
///
/// The cursor never goes beyond the tick that the page shows. Transactions before the tick are on the disk, so their
/// numbers do not come again after a crash.
///
/// All is lost, and `entries` is `None`, when entries may be missing:
///
/// - Entries were swept that the reader has not seen.
/// - A new era has begun, after a crash or on another server.
/// - The tick of the previous page is missing, or the cursor is from the future: the database was restored.
///
/// The statement writes nothing, so it would run on a standby too. Today an answer of a standby is refused.
pub(super) async fn since(
    db: &Connections,
    cursor: &RevocationCursor,
    limit: u32,
    lease: Uuid,
) -> Result<RevocationPage, StoreError> {
    let rows = db
        .look_ups
        .query(
            "SELECT current_setting('transaction_read_only') = 'on' AS read_only, tick.number AS tick, tick.era,
                least(pg_snapshot_xmin(seen), tick.xid)::text AS next,
                pg_snapshot_xmax(seen) < $1::text::xid8
                    OR EXISTS (SELECT FROM bridge_auth.swept_log WHERE newest >= $1::text::xid8) AS lost,
                page.kind, page.subject
            FROM pg_current_snapshot() AS seen
            LEFT JOIN bridge_auth.ticks AS tick ON tick.lease = $3
            LEFT JOIN (
                SELECT kind, subject FROM bridge_auth.revocations
                WHERE xid >= $1::text::xid8 ORDER BY xid LIMIT $2
            ) AS page ON true",
            &[&cursor.place.to_string(), &(i64::from(limit) + 1), &lease],
        )
        .await?;
    let tick = shown_tick(db, &rows, lease)?;
    let first = rows.first().ok_or_else(|| failed("no snapshot"))?;
    // Zero before the first tick.
    let era = first.column::<Option<i64>>("era")?.unwrap_or_default();
    let place = first.column::<&str>("next")?.parse().map_err(failed)?;
    let next = RevocationCursor { place, era, tick };
    let entries: Vec<Revocation> =
        rows.iter().filter_map(|row| entry(row).transpose()).collect::<Result<_, _>>()?;
    let is_undone = cursor.tick.lease == tick.lease && cursor.tick.number > tick.number;
    // A cursor from before the first tick has no era yet.
    let is_another_era = cursor.era != 0 && cursor.era != era;
    let is_lost = first.column::<bool>("lost")? || is_undone || is_another_era;
    let complete = entries.len() <= limit as usize && !is_lost;
    Ok(RevocationPage { entries: complete.then_some(entries), next, tick })
}

/// The entry in a row; `None` if the row stands for an empty page.
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
            "SELECT codes, sessions, secrets, revocations, refresh_tokens, assertions, device_grants
            FROM bridge_auth.sweep($1)",
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
        device_grants: row.count("device_grants")?,
    })
}
