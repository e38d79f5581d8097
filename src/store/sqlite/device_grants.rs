//! Device grants: started, decided, polled.

use rusqlite::{Row, params};

use super::codes::admits;
use super::devices::origin;
use super::sessions::{self, Grant, NotOpened};
use super::transaction::{Transaction, duration, millis, optional_text, system_time, text};
use super::{end_sessions, users};
use crate::id::{Audience, ClientId, DeviceCodeHash, Scopes, UserCode, UserId};
use crate::store::poll::{Poll, Standing};
use crate::store::{
    DecideDeviceGrant, DecideDeviceGrantError, Decision, DeviceGrant, NewDeviceGrant, OpenedSession,
    PollDeviceGrant, PollDeviceGrantError, StartDeviceGrantError, StoreError, StoreErrorKind,
};

/// Stores a grant and returns when it expires.
pub(super) fn start(tx: &Transaction<'_>, grant: &NewDeviceGrant) -> Result<i64, StartDeviceGrantError> {
    // A grant that has expired gives its user code away, and keeps the rest: its client is still told that it has expired.
    tx.execute(
        "UPDATE device_grants SET user_code = NULL WHERE user_code = ? AND expires_at <= ?",
        params![grant.user_code.as_letters(), tx.now],
    )?;
    let expires_at = tx.now + millis(grant.life);
    let stored = tx.execute(
        "INSERT INTO device_grants (device_code, user_code, client_id, scopes, resource, user_agent, address,
                                    device_name, created_at, expires_at, poll_interval)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (user_code) DO NOTHING",
        params![
            grant.device_code.as_bytes(),
            grant.user_code.as_letters(),
            grant.client.as_str(),
            grant.scopes.as_ref().map(Scopes::to_string),
            grant.resource.as_ref().map(Audience::as_str),
            grant.origin.user_agent,
            grant.origin.address.map(|address| address.to_string()),
            grant.origin.device_name,
            tx.now,
            expires_at,
            millis(grant.interval)
        ],
    )?;
    if stored == 0 { Err(StartDeviceGrantError::UserCodeTaken) } else { Ok(expires_at) }
}

/// The grant that waits with this user code.
pub(super) fn waiting(tx: &Transaction<'_>, code: &UserCode) -> Result<Option<DeviceGrant>, StoreError> {
    tx.row(
        "SELECT client_id, scopes, resource, user_agent, address, device_name, expires_at FROM device_grants
         WHERE user_code = ? AND state = 'waiting' AND expires_at > ?",
        params![code.as_letters(), tx.now],
        |row| {
            Ok(DeviceGrant {
                client: text(row, "client_id", ClientId::parse)?,
                scopes: optional_text(row, "scopes", Scopes::parse)?,
                resource: optional_text(row, "resource", Audience::parse)?,
                origin: origin(row)?,
                expires_at: row.get("expires_at").map(system_time)?,
            })
        },
    )
}

/// Stores what a person decides.
pub(super) fn decide(
    tx: &Transaction<'_>,
    decision: &DecideDeviceGrant,
) -> Result<(), DecideDeviceGrantError> {
    let waiting = waiting(tx, &decision.user_code)?;
    if waiting.is_none_or(|grant| grant.client != decision.client) {
        return Err(DecideDeviceGrantError::NotWaiting);
    }
    let user = users::find(tx, &decision.user)?.ok_or(DecideDeviceGrantError::UnknownUser)?;
    if user.disabled {
        return Err(DecideDeviceGrantError::UserDisabled);
    }
    let (state, granted) = match &decision.decision {
        Decision::Allow(scopes) => ("allowed", Some(scopes.to_string())),
        Decision::Deny => ("denied", None),
    };
    tx.execute(
        "UPDATE device_grants SET state = ?, user_id = ?, decided_at = ?, granted = ? WHERE user_code = ?",
        params![state, decision.user.as_str(), tx.now, granted, decision.user_code.as_letters()],
    )?;
    tx.execute(
        "DELETE FROM device_grants WHERE rowid IN (
            SELECT rowid FROM device_grants WHERE user_id = ? AND state = 'allowed' AND expires_at > ?
            ORDER BY decided_at DESC, user_code = ? DESC, rowid DESC LIMIT -1 OFFSET ?)",
        params![
            decision.user.as_str(),
            tx.now,
            decision.user_code.as_letters(),
            DecideDeviceGrant::MAX_ALLOWED
        ],
    )?;
    Ok(())
}

/// How the grant stands for `client`. Writes nothing.
pub(super) fn look(
    tx: &Transaction<'_>,
    code: &DeviceCodeHash,
    client: &ClientId,
) -> Result<Poll, StoreError> {
    Ok(find(tx, code)?.map_or_else(Poll::unknown, |stored| stored.poll(client, tx.now)))
}

/// Stores the time of a poll, if the grant still waits. Returns how it stood.
///
/// The end of an interval counts from the last poll that was not too early: so a client that polls all the time gets an
/// answer too.
pub(super) fn count(
    tx: &Transaction<'_>,
    code: &DeviceCodeHash,
    client: &ClientId,
) -> Result<Poll, StoreError> {
    let mut found = look(tx, code, client)?;
    let interval = millis(found.interval);
    match found.standing {
        Standing::Due => tx.execute(
            "UPDATE device_grants SET next_poll_at = ?, is_slowed = FALSE WHERE device_code = ?",
            params![tx.now + interval, code.as_bytes()],
        )?,
        Standing::Early => {
            let (more, most) = Poll::SLOWER;
            found.interval = found.interval.max(most.min(found.interval + more));
            // This interval grows too.
            tx.execute(
                "UPDATE device_grants SET next_poll_at = next_poll_at + ?1 - poll_interval, poll_interval = ?1,
                    is_slowed = TRUE
                 WHERE device_code = ?2",
                params![millis(found.interval), code.as_bytes()],
            )?
        }
        _ => 0,
    };
    Ok(found)
}

/// Spends a grant that was allowed, and opens its session.
pub(super) fn collect(
    tx: &Transaction<'_>,
    poll: &PollDeviceGrant,
) -> Result<OpenedSession, PollDeviceGrantError> {
    let Some(stored) = find(tx, &poll.device_code)? else { return Err(PollDeviceGrantError::Unknown) };
    let user = stored.poll(&poll.session.client, tx.now).allowed()?;
    let held = match users::find(tx, &user)? {
        Some(held) if !held.disabled => held.scopes,
        _ => return Err(PollDeviceGrantError::UserDisabled),
    };
    if !admits(stored.resource.as_ref(), poll.resource.as_ref()) {
        return Err(PollDeviceGrantError::WrongResource);
    }
    let grant = Grant {
        user,
        scopes: stored.granted.intersection(&held),
        authenticated_at: stored.decided_at,
        resource: stored.resource,
        issuer: None,
    };
    let opened = sessions::open_for(tx, grant, &poll.session)?;
    tx.execute(
        "UPDATE device_grants SET state = 'spent' WHERE device_code = ?",
        [poll.device_code.as_bytes()],
    )?;
    Ok(opened)
}

/// Voids what `user` allowed and no client has collected.
pub(super) fn void_allowed(tx: &Transaction<'_>, user: &UserId) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE device_grants SET state = 'void' WHERE user_id = ? AND state = 'allowed' AND expires_at > ?",
        params![user.as_str(), tx.now - end_sessions::MARGIN],
    )
    .map(drop)
}

/// The same for what every person allowed `client`.
pub(super) fn void_allowed_of_client(tx: &Transaction<'_>, client: &ClientId) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE device_grants SET state = 'void' WHERE client_id = ? AND state = 'allowed' AND expires_at > ?",
        params![client.as_str(), tx.now - end_sessions::MARGIN],
    )
    .map(drop)
}

/// What a poll needs to know of a stored grant.
struct Stored {
    client: ClientId,
    state: State,
    expires_at: i64,
    interval: i64,
    next_poll_at: i64,
    is_slowed: bool,
    resource: Option<Audience>,
    granted: Scopes,
    decided_at: i64,
}

enum State {
    Waiting,
    Allowed(UserId),
    Denied,
    Void,
    Spent,
}

fn find(tx: &Transaction<'_>, code: &DeviceCodeHash) -> Result<Option<Stored>, StoreError> {
    let sql =
        "SELECT client_id, state, expires_at, poll_interval, next_poll_at, is_slowed, resource, user_id,
                      granted, decided_at
               FROM device_grants WHERE device_code = ?";
    tx.row(sql, [code.as_bytes()], Stored::read)
}

impl Stored {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let state = match &*row.get::<_, String>("state")? {
            "waiting" => State::Waiting,
            "allowed" => State::Allowed(text(row, "user_id", UserId::parse)?),
            "denied" => State::Denied,
            "void" => State::Void,
            // The table allows no sixth state.
            _ => State::Spent,
        };
        Ok(Self {
            client: text(row, "client_id", ClientId::parse)?,
            state,
            expires_at: row.get("expires_at")?,
            interval: row.get("poll_interval")?,
            next_poll_at: row.get("next_poll_at")?,
            is_slowed: row.get("is_slowed")?,
            resource: optional_text(row, "resource", Audience::parse)?,
            granted: optional_text(row, "granted", Scopes::parse)?.unwrap_or_default(),
            decided_at: row.get::<_, Option<i64>>("decided_at")?.unwrap_or_default(),
        })
    }

    fn poll(&self, client: &ClientId, now: i64) -> Poll {
        let standing = match &self.state {
            State::Spent => Standing::Unknown,
            _ if self.client != *client => Standing::WrongClient,
            _ if self.expires_at <= now => Standing::Expired,
            State::Denied => Standing::Denied,
            State::Void => Standing::Void,
            State::Allowed(person) => Standing::Allowed(person.clone()),
            State::Waiting if self.next_poll_at <= now => Standing::Due,
            State::Waiting if !self.is_slowed => Standing::Early,
            State::Waiting => Standing::SlowDown,
        };
        Poll { standing, interval: duration(self.interval) }
    }
}

impl From<NotOpened> for PollDeviceGrantError {
    fn from(why: NotOpened) -> Self {
        match why {
            NotOpened::Taken => {
                Self::Store(StoreError::new(StoreErrorKind::Failed, "the session id is taken"))
            }
            NotOpened::TooMany => Self::TooManySessions,
            NotOpened::Store(e) => Self::Store(e),
        }
    }
}
