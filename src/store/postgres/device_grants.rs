//! Device grants: started, decided, polled.

use std::time::{Duration, SystemTime};

use tokio_postgres::Row;

use super::connections::Connections;
use super::error::failed;
use super::row::{Columns, micros};
use super::sessions::{SessionParams, opened, origin};
use crate::id::{Audience, ClientId, DeviceCodeHash, Scopes, UserCode};
use crate::store::poll::{Poll, Standing};
use crate::store::{
    DecideDeviceGrant, DecideDeviceGrantError, Decision, DeviceGrant, NewDeviceGrant, OpenedSession,
    PollDeviceGrant, PollDeviceGrantError, StartDeviceGrantError, StoreError,
};

pub(super) async fn start(
    db: &Connections,
    grant: &NewDeviceGrant,
) -> Result<SystemTime, StartDeviceGrantError> {
    let origin = &grant.origin;
    let row = db
        .query_one(
            "SELECT outcome, ends_at FROM bridge_auth.start_device_grant($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            &[
                &grant.device_code.as_bytes().as_slice(),
                &grant.user_code.as_letters(),
                &grant.client.as_str(),
                &grant.scopes.as_ref().map(ToString::to_string),
                &grant.resource.as_ref().map(Audience::as_str),
                &origin.user_agent,
                &origin.address,
                &origin.device_name,
                &micros(grant.life),
                &micros(grant.interval),
            ],
        )
        .await?;
    match row.column("outcome")? {
        "started" => Ok(row.column("ends_at")?),
        "user_code_taken" => Err(StartDeviceGrantError::UserCodeTaken),
        other => Err(failed(format!("unknown outcome {other:?}")).into()),
    }
}

/// The grant that waits with this user code.
pub(super) async fn waiting(db: &Connections, code: &UserCode) -> Result<Option<DeviceGrant>, StoreError> {
    let rows = db
        .query(
            "SELECT client_id, scopes, resource, user_agent, address, device_name, expires_at
            FROM bridge_auth.device_grants WHERE user_code = $1 AND state = 'waiting' AND expires_at > now()",
            &[&code.as_letters()],
        )
        .await?;
    let read = |row: &Row| {
        Ok(DeviceGrant {
            client: row.client()?,
            scopes: row.column::<Option<&str>>("scopes")?.map(Scopes::parse).transpose().map_err(failed)?,
            resource: row.resource()?,
            origin: origin(row)?,
            expires_at: row.column("expires_at")?,
        })
    };
    rows.first().map(read).transpose()
}

pub(super) async fn decide(
    db: &Connections,
    decision: &DecideDeviceGrant,
) -> Result<(), DecideDeviceGrantError> {
    let granted = match &decision.decision {
        Decision::Allow(scopes) => Some(scopes.to_string()),
        Decision::Deny => None,
    };
    let row = db
        .query_one(
            "SELECT bridge_auth.decide_device_grant($1, $2, $3, $4, $5) AS outcome",
            &[
                &decision.user_code.as_letters(),
                &decision.client.as_str(),
                &decision.user.as_str(),
                &granted,
                &i64::from(DecideDeviceGrant::MAX_ALLOWED),
            ],
        )
        .await?;
    match row.column("outcome")? {
        "decided" => Ok(()),
        "not_waiting" => Err(DecideDeviceGrantError::NotWaiting),
        "unknown_user" => Err(DecideDeviceGrantError::UnknownUser),
        "user_disabled" => Err(DecideDeviceGrantError::UserDisabled),
        other => Err(failed(format!("unknown outcome {other:?}")).into()),
    }
}

/// How the grant stands for `client`. Writes nothing.
pub(super) async fn look(
    db: &Connections,
    code: &DeviceCodeHash,
    client: &ClientId,
) -> Result<Poll, StoreError> {
    let rows = db
        .query(
            "SELECT bridge_auth.standing_of(asked, $2, now()) AS standing, user_id, poll_interval
            FROM bridge_auth.device_grants AS asked WHERE device_code = $1",
            &[&code.as_bytes().as_slice(), &client.as_str()],
        )
        .await?;
    rows.first().map_or_else(|| Ok(Poll::unknown()), poll)
}

/// Stores the time of a poll, if the grant still waits. Returns how it stood.
pub(super) async fn count(
    db: &Connections,
    code: &DeviceCodeHash,
    client: &ClientId,
) -> Result<Poll, StoreError> {
    let sql = "SELECT standing, user_id, poll_interval FROM bridge_auth.count_poll($1, $2)";
    poll(&db.query_one(sql, &[&code.as_bytes().as_slice(), &client.as_str()]).await?)
}

fn poll(row: &Row) -> Result<Poll, StoreError> {
    let standing = match row.column("standing")? {
        "unknown" => return Ok(Poll::unknown()),
        "wrong_client" => Standing::WrongClient,
        "expired" => Standing::Expired,
        "denied" => Standing::Denied,
        "user_disabled" => Standing::Void,
        "due" => Standing::Due,
        "early" => Standing::Early,
        "slow_down" => Standing::SlowDown,
        "allowed" => Standing::Allowed(row.user()?),
        other => return Err(failed(format!("unknown standing {other:?}"))),
    };
    Ok(Poll { standing, interval: Duration::from_micros(row.count("poll_interval")?) })
}

/// Spends a grant that was allowed, and opens its session.
pub(super) async fn collect(
    db: &Connections,
    poll: &PollDeviceGrant,
) -> Result<OpenedSession, PollDeviceGrantError> {
    let session = SessionParams::of(&poll.session);
    let code = poll.device_code.as_bytes().as_slice();
    let resource = poll.resource.as_ref().map(Audience::as_str);
    let row = db
        .query_one(
            "SELECT * FROM bridge_auth.collect_device_grant($14,
                ROW($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)::bridge_auth.new_session, $12, $13, $15)",
            &session.and([&code, &resource]),
        )
        .await?;
    Err(match row.column("outcome")? {
        "opened" => return Ok(opened(&row)?),
        "unknown" => PollDeviceGrantError::Unknown,
        "wrong_client" => PollDeviceGrantError::WrongClient,
        "expired" => PollDeviceGrantError::Expired,
        "denied" => PollDeviceGrantError::Denied,
        "user_disabled" => PollDeviceGrantError::UserDisabled,
        "wrong_resource" => PollDeviceGrantError::WrongResource,
        "too_many_sessions" => PollDeviceGrantError::TooManySessions,
        other => failed(format!("unexpected outcome {other:?}")).into(),
    })
}
