//! Devices: where a person is signed in, and what belongs to each device.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use super::Session;
use crate::clock::since_epoch;
use crate::id::SessionId;

/// A live session of a person's bridge, with all that belongs to it and ends with it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Device {
    /// The session.
    pub session: Session,
    /// When its hook secret was made, if it has one.
    pub secret_since: Option<SystemTime>,
    /// When its hook key was added, if it has one.
    pub key_since: Option<SystemTime>,
    /// The live session of its hooks, if there is one.
    pub hook_session: Option<HookSession>,
    /// How many live [delegated](super::OpenSession::Delegated) sessions hang on it, at any depth.
    pub delegated: u64,
}

/// The live session of a device's hook client.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HookSession {
    /// Its id.
    pub id: SessionId,
    /// When it was opened.
    pub created_at: SystemTime,
    /// When a token was last asked for, to the minute.
    pub renewed_at: SystemTime,
    /// When it expires: when the device's session expires, as of the time when a token was last asked for.
    pub expires_at: SystemTime,
}

/// Which of a person's devices to list.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceQuery {
    /// Only devices after this place; `None` begins with the first.
    pub after: Option<DeviceCursor>,
    /// How many at most; at least 1.
    pub limit: u32,
}

/// Some of a person's devices.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DevicePage {
    /// The devices, newest first.
    pub devices: Vec<Device>,
    /// Where to go on; `None` when these devices were the last.
    pub next: Option<DeviceCursor>,
}

/// A place in the list of a person's devices. The list is ordered by when the devices were linked, newest first.
///
/// Its text is opaque to those who receive it. A device that is linked while somebody reads the pages comes before the
/// first page: so no device that stays live is missed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceCursor {
    /// When the device at this place was linked: whole microseconds.
    pub created_at: SystemTime,
    /// Its session. The id decides the order of devices that were linked in the same microsecond.
    pub session: SessionId,
}

/// The text is not a place in a list of devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed cursor: pass on the cursor of the page before, unchanged")]
pub struct InvalidCursor;

impl Default for DeviceQuery {
    /// The first hundred.
    fn default() -> Self {
        Self { after: None, limit: 100 }
    }
}

impl DevicePage {
    /// The page that `query` asks for. `devices` must hold one more than its limit, if there are so many.
    #[must_use]
    pub fn of(mut devices: Vec<Device>, query: &DeviceQuery) -> Self {
        let limit = query.limit.max(1) as usize;
        let is_cut = devices.len() > limit;
        devices.truncate(limit);
        let next = devices.last().filter(|_| is_cut).map(|last| DeviceCursor {
            created_at: last.session.created_at,
            session: last.session.id.clone(),
        });
        Self { devices, next }
    }
}

impl Device {
    /// Whether it has a secret or a key for its hooks.
    #[must_use]
    pub fn has_credential(&self) -> bool {
        self.secret_since.is_some() || self.key_since.is_some()
    }
}

impl fmt::Display for DeviceCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", since_epoch(self.created_at).as_micros(), self.session.as_str())
    }
}

impl FromStr for DeviceCursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (micros, session) = text.split_once('.').ok_or(InvalidCursor)?;
        let is_number = (1..=18).contains(&micros.len()) && micros.bytes().all(|b| b.is_ascii_digit());
        let micros = micros.parse().ok().filter(|_| is_number).ok_or(InvalidCursor)?;
        let session = SessionId::parse(session).map_err(|_| InvalidCursor)?;
        Ok(Self { created_at: SystemTime::UNIX_EPOCH + Duration::from_micros(micros), session })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cursor_comes_back_as_it_was_given(micros in 0_u64..4_000_000_000_000_000, id in "[A-Za-z0-9_-]{1,128}") {
            let created_at = SystemTime::UNIX_EPOCH + Duration::from_micros(micros);
            let cursor = DeviceCursor { created_at, session: SessionId::parse(&id).unwrap() };
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }

        #[test]
        fn reading_a_cursor_never_panics(text in any::<String>()) {
            let _ = text.parse::<DeviceCursor>();
        }
    }
}
