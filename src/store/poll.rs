//! How a device grant stands for a client that polls. Both stores answer a poll from this.

use std::time::Duration;

use super::PollDeviceGrantError;
use crate::id::UserId;

/// How a grant stood when it was looked at.
pub(crate) struct Poll {
    pub(crate) standing: Standing,
    /// How long the client must wait between two polls.
    pub(crate) interval: Duration,
}

pub(crate) enum Standing {
    /// Not stored, or spent.
    Unknown,
    WrongClient,
    Expired,
    Denied,
    /// All of the person was revoked since they allowed it.
    Void,
    /// It waits, and the interval is over. The poll must be counted.
    Due,
    /// It waits, and this is the first poll before the interval is over. It must be counted.
    Early,
    /// It waits, and another poll came too early before.
    SlowDown,
    /// This person allowed it, and no client has collected it.
    Allowed(UserId),
}

impl Poll {
    /// How much longer the next interval gets when a poll is too early (RFC 8628 §3.5), and up to which length.
    #[cfg(feature = "sqlite")]
    pub(crate) const SLOWER: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

    pub(crate) const fn unknown() -> Self {
        Self { standing: Standing::Unknown, interval: Duration::ZERO }
    }

    /// Whether the time of this poll must be stored.
    pub(crate) const fn must_be_counted(&self) -> bool {
        matches!(self.standing, Standing::Due | Standing::Early)
    }

    /// Whether it is over for the client. A client that is told to wait asks again.
    #[cfg(feature = "postgres")]
    pub(crate) const fn is_denial(&self) -> bool {
        !matches!(self.standing, Standing::Due | Standing::Early | Standing::SlowDown | Standing::Allowed(_))
    }

    /// The person who allowed it, or what the client is told.
    pub(crate) fn allowed(self) -> Result<UserId, PollDeviceGrantError> {
        Err(match self.standing {
            Standing::Allowed(person) => return Ok(person),
            Standing::Unknown => PollDeviceGrantError::Unknown,
            Standing::WrongClient => PollDeviceGrantError::WrongClient,
            Standing::Expired => PollDeviceGrantError::Expired,
            Standing::Denied => PollDeviceGrantError::Denied,
            Standing::Void => PollDeviceGrantError::UserDisabled,
            Standing::Due => PollDeviceGrantError::Pending,
            Standing::Early | Standing::SlowDown => {
                PollDeviceGrantError::SlowDown { interval: self.interval }
            }
        })
    }
}
