//! Sessions: opened, looked up, listed.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::connections::Connections;
use super::error::{failed, takes_no_writes};
use super::row::{Columns, Timestamp, micros, session_key};
use crate::clock::since_epoch;
use crate::id::{Audience, Scopes, SessionId, UserId};
use crate::store::{
    NewSession, OpenSession, OpenSessionError, OpenedSession, Origin, RequestedId, RowState, RowStates,
    Session, SessionState, SessionStatus, SessionStatuses, StoreError, StoreErrorKind, Tick, WhenFull,
};
use crate::token::Actor;

/// The most delegated sessions of a chain.
const MAX_DEPTH: i64 = Actor::MAX_DEPTH as i64;

/// What the migrations need to know about a session to open. These parameters come first in every statement.
pub(super) struct SessionParams<'a> {
    key: Uuid,
    id: &'a str,
    declared: bool,
    client: &'a str,
    call_source: &'a str,
    user_agent: Option<&'a str>,
    address: Option<IpAddr>,
    device_name: Option<&'a str>,
    life: i64,
    max_live: i64,
    end_oldest: bool,
    max_life: i64,
    refresh: Option<&'a [u8]>,
    resource: Option<&'a str>,
    issuer: Option<&'a str>,
    assertion: Option<&'a [u8]>,
    assertion_life: Option<i64>,
    issued_at: Option<i64>,
}

impl<'a> SessionParams<'a> {
    pub(super) fn of(session: &'a NewSession) -> Self {
        let id = session.id.id();
        Self {
            key: session_key(id),
            id: id.as_str(),
            declared: matches!(session.id, RequestedId::Declared(_)),
            client: session.client.as_str(),
            call_source: session.call_source.as_str(),
            user_agent: session.origin.user_agent.as_deref(),
            address: session.origin.address,
            device_name: session.origin.device_name.as_deref(),
            life: micros(session.life),
            // With a limit of zero, a new session would end itself.
            max_live: session.limit.max.max(1).into(),
            end_oldest: session.limit.when_full == WhenFull::Evict,
            max_life: micros(session.max_life),
            refresh: session.refresh.as_ref().map(|hash| hash.as_bytes().as_slice()),
            resource: session.resource.as_ref().map(Audience::as_str),
            issuer: session.origin.issuer.as_deref(),
            assertion: session
                .assertion
                .as_ref()
                .and_then(|spent| Some(spent.hash.as_ref()?.as_bytes().as_slice())),
            assertion_life: session.assertion.map(|spent| micros(spent.life)),
            issued_at: session
                .assertion
                .map(|spent| i64::try_from(since_epoch(spent.issued_at).as_micros()).unwrap_or(i64::MAX)),
        }
    }

    /// `$1` to `$11`, the longest life in `$12`, the refresh token in `$13`, and then `rest`.
    pub(super) fn and<'b, const N: usize>(
        &'b self,
        rest: [&'b (dyn ToSql + Sync); N],
    ) -> Vec<&'b (dyn ToSql + Sync)> {
        let longer: [&(dyn ToSql + Sync); 2] = [&self.max_life, &self.refresh];
        self.alone().into_iter().chain(longer).chain(rest).collect()
    }

    /// `$1` to `$11`, for a session that is never renewed, and then `rest`.
    fn unrenewed_and<'b, const N: usize>(
        &'b self,
        rest: [&'b (dyn ToSql + Sync); N],
    ) -> Vec<&'b (dyn ToSql + Sync)> {
        self.alone().into_iter().chain(rest).collect()
    }

    fn alone(&self) -> [&(dyn ToSql + Sync); 11] {
        [
            &self.key,
            &self.id,
            &self.declared,
            &self.client,
            &self.call_source,
            &self.user_agent,
            &self.address,
            &self.device_name,
            &self.life,
            &self.max_live,
            &self.end_oldest,
        ]
    }
}

pub(super) async fn open(db: &Connections, open: &OpenSession) -> Result<OpenedSession, OpenSessionError> {
    let row = match open {
        OpenSession::Vouched { user, scopes, session } => {
            let session = SessionParams::of(session);
            db.query_one(
                "SELECT * FROM bridge_auth.open_vouched(
                    ROW($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)::bridge_auth.new_session, $14, $15, $12, $13,
                    $16, $17, $18, $19, $20)",
                &session.and([
                    &user.as_str(),
                    &scopes.to_string(),
                    &session.resource,
                    &session.issuer,
                    &session.assertion,
                    &session.assertion_life,
                    &session.issued_at,
                ]),
            )
            .await?
        }
        OpenSession::Client { proof, scopes, session, .. } => {
            let session = SessionParams::of(session);
            db.query_one(
                "SELECT * FROM bridge_auth.open_for_client(
                    ROW($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)::bridge_auth.new_session, $14, $15, $12, $13,
                    $16)",
                &session.and([&proof.digest().as_bytes().as_slice(), &scopes.to_string(), &proof.is_key()]),
            )
            .await?
        }
        OpenSession::Delegated { user, parent, actor, scopes, session } => {
            open_delegated(db, (user, parent), actor.as_deref(), scopes, session).await?
        }
    };
    match row.column("outcome")? {
        "opened" => Ok(opened(&row)?),
        "unknown_user" => Err(OpenSessionError::UnknownUser),
        "user_disabled" => Err(OpenSessionError::UserDisabled),
        "wrong_secret" => Err(OpenSessionError::WrongSecret),
        "session_taken" => Err(OpenSessionError::SessionTaken),
        "too_many_sessions" => Err(OpenSessionError::TooManySessions),
        "assertion_used" => Err(OpenSessionError::AssertionUsed),
        "parent_ended" => Err(OpenSessionError::ParentEnded),
        "too_deep" => Err(OpenSessionError::TooDeep),
        other => Err(failed(format!("unknown outcome {other:?}")).into()),
    }
}

async fn open_delegated(
    db: &Connections,
    (user, parent): (&UserId, &SessionId),
    actor: Option<&Actor>,
    scopes: &Scopes,
    session: &NewSession,
) -> Result<Row, StoreError> {
    let actor = actor.map(serde_json::to_string).transpose().map_err(failed)?;
    let session = SessionParams::of(session);
    db.query_one(
        "SELECT * FROM bridge_auth.open_delegated(
            ROW($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)::bridge_auth.new_session, $12, $13, $14, $15, $16, $17,
            $18, $19, $20, $21, $22)",
        &session.unrenewed_and([
            &user.as_str(),
            &scopes.to_string(),
            &session_key(parent),
            &parent.as_str(),
            &actor,
            &MAX_DEPTH,
            &session.resource,
            &session.issuer,
            &session.assertion,
            &session.assertion_life,
            &session.issued_at,
        ]),
    )
    .await
}

/// Reads an `opened` row of the migrations.
pub(super) fn opened(row: &Row) -> Result<OpenedSession, StoreError> {
    Ok(OpenedSession {
        id: row.session("session_id")?,
        user: row.user()?,
        call_source: row.call_source()?,
        scopes: row.scopes()?,
        authenticated_at: row.column("authenticated_at")?,
        expires_in: Duration::from_micros(row.count("expires_in")?),
        renewed: row.column("renewed")?,
        resource: row.resource()?,
        evicted: evicted(row)?,
    })
}

fn evicted(row: &Row) -> Result<Vec<SessionId>, StoreError> {
    let ids = row.column::<Option<Vec<&str>>>("evicted")?.unwrap_or_default();
    ids.into_iter().map(|id| SessionId::parse(id).map_err(failed)).collect()
}

/// Looks sessions up. The answer shows the newest tick of `lease`.
pub(super) async fn statuses(
    db: &Connections,
    ids: &[SessionId],
    lease: Uuid,
) -> Result<SessionStatuses, StoreError> {
    if ids.is_empty() {
        return Ok(SessionStatuses::default());
    }
    let keys: Vec<Uuid> = ids.iter().map(session_key).collect();
    let rows = db
        .look_ups
        .query(
            "SELECT current_setting('transaction_read_only') = 'on' AS read_only,
                (SELECT number FROM bridge_auth.ticks WHERE lease = $2) AS tick, now() AS now,
                id, user_id, client_id, call_source, created_at, expires_at, revoked_at IS NOT NULL AS revoked
            FROM (SELECT) AS always LEFT JOIN bridge_auth.sessions ON key = ANY ($1)",
            &[&keys, &lease],
        )
        .await?;
    let tick = shown_tick(db, &rows, lease)?;
    // The key is half a digest, so another id could be made to share it: only sessions that were asked for count.
    let asked: HashSet<&SessionId> = ids.iter().collect();
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        if row.column::<Option<&str>>("id")?.is_some() {
            let status = status(row)?;
            found.extend(asked.contains(&status.id).then_some(status));
        }
    }
    Ok(SessionStatuses { found, tick })
}

/// The same for less work. One row is about the server, so nothing about the server is computed for each session.
pub(super) async fn row_states(
    db: &Connections,
    mut keys: Vec<Uuid>,
    lease: Uuid,
) -> Result<RowStates, StoreError> {
    // In the order of the index; otherwise the server would sort them.
    keys.sort_unstable();
    let rows = db
        .look_ups
        .query(
            "SELECT NULL::uuid AS key, now() AS created_at, now() AS expires_at, false AS revoked,
                current_setting('transaction_read_only') = 'on' AS read_only,
                (SELECT number FROM bridge_auth.ticks WHERE lease = $2) AS tick
            UNION ALL
            SELECT key, created_at, expires_at, revoked_at IS NOT NULL, NULL, NULL
            FROM bridge_auth.sessions WHERE key = ANY ($1)",
            &[&keys, &lease],
        )
        .await?;
    let is_of_server = |row: &Row| row.try_get::<_, Option<bool>>(READ_ONLY).is_ok_and(|of| of.is_some());
    // It comes first, but a server does not promise this.
    let server = rows.iter().position(is_of_server).ok_or_else(no_row)?;
    let tick = shown_tick(db, &rows[server..], lease)?;
    let now: Timestamp = rows[server].try_get(2)?;
    let mut found = Vec::with_capacity(rows.len() - 1);
    for (place, row) in rows.iter().enumerate() {
        if place != server {
            found.push(row_state(row, now)?);
        }
    }
    Ok(RowStates { found, tick })
}

/// The place of the column that only the server's row has.
const READ_ONLY: usize = 4;

/// Reads the columns of [`row_states`] by their place: there are many rows.
fn row_state(row: &Row, now: Timestamp) -> Result<RowState, StoreError> {
    let expires_in = row.try_get::<_, Timestamp>(2)?.since(now);
    Ok(RowState {
        digest: row.try_get::<_, Uuid>(0)?.as_u128(),
        row: row.try_get::<_, Timestamp>(1)?.mark(),
        expires_in,
        state: SessionState::of(row.try_get(3)?, expires_in),
    })
}

/// Whether a server answers that takes writes.
pub(super) async fn ping(db: &Connections) -> Result<(), StoreError> {
    let sql = "SELECT current_setting('transaction_read_only') = 'on' AS read_only";
    from_primary(db, &db.look_ups.query(sql, &[]).await?).map(drop)
}

/// The first row of an answer. A server that takes no writes is left.
fn from_primary<'r>(db: &Connections, rows: &'r [Row]) -> Result<&'r Row, StoreError> {
    let row = rows.first().ok_or_else(no_row)?;
    if row.column("read_only")? {
        db.leave("the server takes no writes");
        return Err(takes_no_writes());
    }
    Ok(row)
}

fn no_row() -> StoreError {
    failed("the answer has no row")
}

/// The newest tick of `lease` that the answer of a primary shows.
///
/// A server that does not have the lease at all is left: it is not the server that acknowledges.
pub(super) fn shown_tick(db: &Connections, rows: &[Row], lease: Uuid) -> Result<Tick, StoreError> {
    match from_primary(db, rows)?.column::<Option<i64>>("tick")? {
        Some(number) => Ok(Tick::new(lease.as_u128(), u64::try_from(number).map_err(failed)?)),
        // No tick was acknowledged yet.
        None if lease.is_nil() => Ok(Tick::default()),
        None => {
            db.leave("the server does not show the ticks of the primary");
            Err(StoreError::new(
                StoreErrorKind::Unproven,
                "the server does not show the ticks of the primary",
            ))
        }
    }
}

/// Reads the columns of [`statuses`].
pub(super) fn status(row: &Row) -> Result<SessionStatus, StoreError> {
    let expires_in = row.column::<Timestamp>("expires_at")?.since(row.column("now")?);
    Ok(SessionStatus {
        id: row.session("id")?,
        row: row.column::<Timestamp>("created_at")?.mark(),
        user: row.user()?,
        client: row.client()?,
        call_source: row.call_source()?,
        expires_in,
        state: SessionState::of(row.column("revoked")?, expires_in),
    })
}

/// Reads a live session.
pub(super) fn session(row: &Row) -> Result<Session, StoreError> {
    Ok(Session {
        id: row.session("id")?,
        user: row.user()?,
        client: row.client()?,
        call_source: row.call_source()?,
        scopes: row.scopes()?,
        origin: Origin { issuer: row.column("issuer")?, ..origin(row)? },
        created_at: row.column("created_at")?,
        renewed_at: row.column("renewed_at")?,
        expires_at: row.column("expires_at")?,
        ends_at: row.column("ends_at")?,
    })
}

/// Reads where a session or a device grant was asked for. Today's filter of texts applies to old rows too.
pub(super) fn origin(row: &Row) -> Result<Origin, StoreError> {
    let origin = Origin::unknown();
    let origin = row.column::<Option<&str>>("user_agent")?.into_iter().fold(origin, Origin::user_agent);
    let origin = row.column::<Option<IpAddr>>("address")?.into_iter().fold(origin, Origin::address);
    Ok(row.column::<Option<&str>>("device_name")?.into_iter().fold(origin, Origin::device_name))
}
