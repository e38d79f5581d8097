//! Device grants (RFC 8628): what the store takes and returns.

use std::time::{Duration, SystemTime};

use super::{NewSession, Origin, StoreError};
use crate::id::{Audience, ClientId, DeviceCodeHash, Scopes, UserCode, UserId};

/// A device grant to store. It waits for a person's decision.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewDeviceGrant {
    /// The SHA-256 of the device code.
    pub device_code: DeviceCodeHash,
    /// The code that the person types.
    pub user_code: UserCode,
    /// The client that asks.
    pub client: ClientId,
    /// The scopes that the client asks for; `None` asks for all that the person's bridges may do.
    pub scopes: Option<Scopes>,
    /// The one resource (RFC 8707) that the tokens of its session may be for; `None` allows every resource.
    pub resource: Option<Audience>,
    /// Where the client is. The person sees it before they decide.
    pub origin: Origin,
    /// How long it waits.
    pub life: Duration,
    /// How long the client must wait between two polls.
    pub interval: Duration,
}

/// Why a device grant was not stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartDeviceGrantError {
    /// Another grant that has not expired has the same user code: try again with another one.
    #[error("another device grant has this user code")]
    UserCodeTaken,
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A device grant that waits for a decision, as the person sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceGrant {
    /// The client that asks.
    pub client: ClientId,
    /// The scopes that the client asks for; `None` asks for all.
    pub scopes: Option<Scopes>,
    /// The one resource that its tokens may be for, if it is bound to one.
    pub resource: Option<Audience>,
    /// Where the client is.
    pub origin: Origin,
    /// When it expires, by the database's clock.
    pub expires_at: SystemTime,
}

/// What a person decides about a device grant.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DecideDeviceGrant {
    /// The code that the person typed.
    pub user_code: UserCode,
    /// The client that the person saw. A grant of another client is not decided.
    pub client: ClientId,
    /// The person.
    pub user: UserId,
    /// The decision.
    pub decision: Decision,
}

/// Yes or no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The client may have a session with these of the person's scopes.
    Allow(Scopes),
    /// The client gets nothing.
    Deny,
}

/// Why a decision about a device grant was not stored. The grant stays as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecideDeviceGrantError {
    /// No grant with this user code waits for a decision: it is unknown, expired, or was decided before.
    #[error("no device grant with this user code waits for a decision")]
    NotWaiting,
    /// The host has not made the user known with [`Store::put_user`](super::Store::put_user).
    #[error("the user is unknown: make the user known with Issuer::register_user or Store::put_user first")]
    UnknownUser,
    /// The user is disabled.
    #[error("the user is disabled")]
    UserDisabled,
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A client asks whether a person has decided.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PollDeviceGrant {
    /// The SHA-256 of the device code that was presented.
    pub device_code: DeviceCodeHash,
    /// The resource that the token is asked for, if the request named one.
    pub resource: Option<Audience>,
    /// The session to open if the person allowed it, under a new id. Its client is the client that polls.
    pub session: NewSession,
}

/// Why a poll opened no session.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PollDeviceGrantError {
    /// The person has not decided yet.
    #[error("the person has not decided yet")]
    Pending,
    /// The person has not decided yet, and the client polls too fast. From now on it must wait for `interval` between
    /// two polls.
    #[error("the client polls too fast")]
    SlowDown {
        /// How long the client must wait between two polls from now on.
        interval: Duration,
    },
    /// The person said no.
    #[error("the person said no")]
    Denied,
    /// Nobody decided in time, or nobody collected the session in time.
    #[error("expired")]
    Expired,
    /// The code is unknown, or it was spent before, or the person allowed too many others since.
    #[error("unknown or spent")]
    Unknown,
    /// The code was given to another client.
    #[error("another client's")]
    WrongClient,
    /// The person is disabled, or all that they had was revoked after they allowed this.
    #[error("user disabled")]
    UserDisabled,
    /// The grant is bound to a resource other than the one that was asked for (RFC 8707 §2.2).
    #[error("the grant is for another resource")]
    WrongResource,
    /// The user has as many live sessions as the limit allows.
    #[error("the user has too many sessions")]
    TooManySessions,
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl NewDeviceGrant {
    pub(crate) const LIFE: Duration = Duration::from_secs(600);
    pub(crate) const INTERVAL: Duration = Duration::from_secs(5);

    /// A grant for `client` that waits for ten minutes, and may be polled every five seconds.
    #[must_use]
    pub fn new(device_code: DeviceCodeHash, user_code: UserCode, client: ClientId) -> Self {
        Self {
            device_code,
            user_code,
            client,
            scopes: None,
            resource: None,
            origin: Origin::unknown(),
            life: Self::LIFE,
            interval: Self::INTERVAL,
        }
    }

    /// The scopes that the client asks for. Default: all that the person's bridges may do.
    #[must_use]
    pub fn scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = Some(scopes);
        self
    }

    /// Binds the grant to a resource. Default: none.
    #[must_use]
    pub fn resource(mut self, resource: Audience) -> Self {
        self.resource = Some(resource);
        self
    }

    /// Where the client is. Default: unknown.
    #[must_use]
    pub fn origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// How long it waits. Default: ten minutes.
    #[must_use]
    pub const fn life(mut self, life: Duration) -> Self {
        self.life = life;
        self
    }

    /// How long the client must wait between two polls. Default: five seconds.
    #[must_use]
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }
}

impl DeviceGrant {
    /// A grant of `client` that asks for all scopes and all resources.
    #[must_use]
    pub fn new(client: ClientId, expires_at: SystemTime) -> Self {
        Self { client, scopes: None, resource: None, origin: Origin::unknown(), expires_at }
    }

    /// The scopes that the client asks for. Default: all.
    #[must_use]
    pub fn scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = Some(scopes);
        self
    }

    /// The one resource that its tokens may be for. Default: every resource.
    #[must_use]
    pub fn resource(mut self, resource: Audience) -> Self {
        self.resource = Some(resource);
        self
    }

    /// Where the client is. Default: unknown.
    #[must_use]
    pub fn origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }
}

impl DecideDeviceGrant {
    /// How many grants a person may have allowed without their being collected.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(crate) const MAX_ALLOWED: u32 = 8;

    /// What `user` decides about the grant of `client` with this code.
    #[must_use]
    pub const fn new(user_code: UserCode, client: ClientId, user: UserId, decision: Decision) -> Self {
        Self { user_code, client, user, decision }
    }
}

impl PollDeviceGrant {
    /// Polls with the code of this hash, for `session`.
    #[must_use]
    pub const fn new(device_code: DeviceCodeHash, session: NewSession) -> Self {
        Self { device_code, resource: None, session }
    }

    /// The resource that the token is asked for. Default: none is named.
    #[must_use]
    pub fn resource(mut self, resource: Audience) -> Self {
        self.resource = Some(resource);
        self
    }
}
