//! The device grant (RFC 8628): a program without a browser is let in by a person with one.

use std::time::{Duration, SystemTime};

use super::access::Access;
use super::issuer::{Issuer, is_client};
use super::signed_in::SignedIn;
use crate::id::{Audience, ClientId, DeviceCode, RefreshToken, Scopes, UserCode};
use crate::store::{
    DecideDeviceGrant, DecideDeviceGrantError, Decision, DeviceGrant, NewDeviceGrant, NewSession, Origin,
    PollDeviceGrant, PollDeviceGrantError, StartDeviceGrantError, StoreError, StoreErrorKind,
    within_deadline,
};
use crate::telemetry::{audit, note_reason};
use crate::token::KeyError;

/// A client asks for a device code and a user code.
#[derive(Debug, Clone)]
#[must_use = "hand it to Issuer::start_device_grant"]
#[non_exhaustive]
pub struct DeviceGrantRequest {
    /// The client that asks.
    pub client: ClientId,
    /// The scopes that it asks for. `None`: all that the person's bridges may do.
    pub scopes: Option<Scopes>,
    /// The one resource (RFC 8707) of all tokens of the session.
    pub resource: Option<Audience>,
    /// The address and program of the client.
    pub origin: Origin,
}

/// The codes of a device grant, shown once.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StartedDeviceGrant {
    /// The code that the client polls with.
    pub device_code: DeviceCode,
    /// The code that the person types.
    pub user_code: UserCode,
    /// When both expire, by the database's clock.
    pub expires_at: SystemTime,
    /// How long both live.
    pub life: Duration,
    /// How long the client must wait between two polls.
    pub interval: Duration,
}

/// Why no device grant was started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceGrantError {
    /// This bridge issues no token for the resource.
    #[error("this bridge issues no token for this resource: ask for one of its audiences, or for none")]
    Resource,
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A client polls for the person's decision.
#[derive(Debug, Clone)]
#[must_use = "hand it to Issuer::poll_device_grant"]
#[non_exhaustive]
pub struct DevicePoll {
    /// The device code.
    pub device_code: DeviceCode,
    /// The client that polls.
    pub client: ClientId,
    /// The one resource of the access token. `None`: the resource that the grant is bound to, else the default
    /// audiences.
    pub resource: Option<Audience>,
    /// The address and program of the client.
    pub origin: Origin,
}

/// Why a poll was not answered with access.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevicePollError {
    /// The person has not decided yet (`authorization_pending`).
    #[error("the person has not decided yet")]
    Pending,
    /// The client polls too fast (`slow_down`).
    #[error("the client polls too fast: it must wait for {interval:?} between two polls")]
    SlowDown {
        /// How long the client must wait between two polls from now on.
        interval: Duration,
    },
    /// The person said no (`access_denied`).
    #[error("the person said no")]
    Denied,
    /// Nobody decided, or nobody polled, in time (`expired_token`).
    #[error("the device code has expired: start again")]
    Expired,
    /// The code is unknown, spent or another client's, or the person is disabled. The caller is not told which.
    #[error("the device code is unknown, spent or another client's, or its user is disabled: start again")]
    InvalidGrant,
    /// The user has as many live sessions as the limit allows.
    #[error(
        "the user has as many live sessions as BridgeBuilder::session_limit allows: end one of them first"
    )]
    TooManySessions,
    /// This bridge issues no token for the resource, or the grant is bound to another resource.
    #[error("this bridge issues no token for the resource, or the grant is bound to another one")]
    Resource,
    /// The token could not be signed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Issuer {
    /// How often another user code is tried when one is in use. It never happens twice with fewer than a thousand million
    /// grants that wait.
    const USER_CODES_TRIED: u32 = 4;

    /// Starts a device grant (RFC 8628 §3.2).
    ///
    /// Nothing is let in by it: a person must [decide](Self::decide_device_grant) first.
    ///
    /// # Errors
    ///
    /// [`DeviceGrantError`].
    ///
    /// # Cancel safety
    ///
    /// Nobody knows codes that were stored but not returned. They expire by themselves.
    pub async fn start_device_grant(
        &self,
        request: DeviceGrantRequest,
    ) -> Result<StartedDeviceGrant, DeviceGrantError> {
        if !self.settings.audiences.knows_all(&request.resource) {
            return Err(DeviceGrantError::Resource);
        }
        let device_code = DeviceCode::random();
        let mut tries = 1;
        loop {
            let user_code = UserCode::random();
            let new = NewDeviceGrant {
                device_code: device_code.hash(),
                user_code,
                client: request.client.clone(),
                scopes: request.scopes.clone(),
                resource: request.resource.clone(),
                origin: request.origin.clone(),
                life: self.settings.devices.life,
                interval: self.settings.devices.interval,
            };
            let (life, interval) = (new.life, new.interval);
            let write = self.settings.deadlines.write;
            let stored = within_deadline(write, self.store.start_device_grant(new)).await;
            match stored {
                Ok(expires_at) => {
                    audit!("device_grant_started", client_id = %request.client, code = ?device_code.hash(),
                        address = request.origin.address.map(tracing::field::display));
                    return Ok(StartedDeviceGrant { device_code, user_code, expires_at, life, interval });
                }
                Err(StartDeviceGrantError::UserCodeTaken) if tries < Self::USER_CODES_TRIED => tries += 1,
                Err(StartDeviceGrantError::UserCodeTaken) => {
                    let what = "no free user code: each that was tried is in use";
                    return Err(DeviceGrantError::Store(StoreError::new(StoreErrorKind::Failed, what)));
                }
                Err(StartDeviceGrantError::Store(fault)) => return Err(DeviceGrantError::Store(fault)),
            }
        }
    }

    /// The device grant with this user code, when it waits for a decision.
    ///
    /// Anyone who is signed in may guess here: limit how often.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    pub async fn device_grant(&self, code: &UserCode) -> Result<Option<DeviceGrant>, StoreError> {
        within_deadline(self.settings.deadlines.read, self.store.device_grant(code)).await
    }

    /// Stores what a signed-in person decides, and makes the person known.
    ///
    /// Call it only after the person saw the program, its place and its scopes, and chose (RFC 8628 §5.4). Of any number of
    /// decisions exactly one is stored.
    ///
    /// # Errors
    ///
    /// [`DecideDeviceGrantError`].
    ///
    /// # Cancel safety
    ///
    /// The decision is stored or not.
    pub async fn decide_device_grant(
        &self,
        signed_in: &SignedIn,
        code: UserCode,
        client: ClientId,
        decision: Decision,
    ) -> Result<(), DecideDeviceGrantError> {
        let user = &signed_in.user_id;
        if is_client(user, &client) {
            return Err(DecideDeviceGrantError::UnknownUser);
        }
        self.register_user(signed_in).await?;
        let is_allowed = matches!(decision, Decision::Allow(_));
        let decide = DecideDeviceGrant::new(code, client.clone(), user.clone(), decision);
        within_deadline(self.settings.deadlines.write, self.store.decide_device_grant(decide)).await?;
        audit!("device_grant_decided", user_id = %user, client_id = %client, allowed = is_allowed);
        Ok(())
    }

    /// Answers a poll: access once the person allowed it, to one poll alone.
    ///
    /// # Errors
    ///
    /// [`DevicePollError`].
    ///
    /// # Cancel safety
    ///
    /// Either the grant is spent and its session is open, or neither. When the answer is lost, start again.
    pub async fn poll_device_grant(&self, poll: DevicePoll) -> Result<Access, DevicePollError> {
        let resource = poll.resource;
        if !self.settings.audiences.knows_all(&resource) {
            return Err(DevicePollError::Resource);
        }
        let hash = poll.device_code.hash();
        let address = poll.origin.address.map(tracing::field::display);
        let refresh_token = self.settings.refresh.at_token_endpoint.then(RefreshToken::random);
        let session = NewSession {
            client: poll.client.clone(),
            refresh: refresh_token.as_ref().map(RefreshToken::hash),
            ..self.new_session(None, poll.origin.clone())
        };
        let ask = PollDeviceGrant { device_code: hash, resource: resource.clone(), session };
        let polled = within_deadline(self.settings.deadlines.write, self.store.poll_device_grant(ask)).await;
        let opened = polled.map_err(|error| {
            if let Some(reason) = refusal(&error) {
                note_reason("device_grant_refused", format!("the device code is refused: {reason}"));
                audit!("device_grant_refused", reason, client_id = %poll.client, code = ?hash, address);
            }
            DevicePollError::from(error)
        })?;
        let access = self.sign_for_person(opened, poll.client, resource, refresh_token)?;
        audit!("device_grant_redeemed", user_id = %access.user, session_id = %access.session,
            client_id = %access.client, code = ?hash);
        Ok(access)
    }
}

/// Why a poll was refused for good, for the audit log.
fn refusal(error: &PollDeviceGrantError) -> Option<&'static str> {
    match error {
        PollDeviceGrantError::Denied => Some("denied"),
        PollDeviceGrantError::Expired => Some("expired"),
        PollDeviceGrantError::Unknown => Some("unknown or spent"),
        PollDeviceGrantError::WrongClient => Some("another client's"),
        PollDeviceGrantError::UserDisabled => Some("user disabled"),
        PollDeviceGrantError::WrongResource => Some("wrong resource"),
        PollDeviceGrantError::Pending
        | PollDeviceGrantError::SlowDown { .. }
        | PollDeviceGrantError::TooManySessions
        | PollDeviceGrantError::Store(_) => None,
    }
}

impl From<PollDeviceGrantError> for DevicePollError {
    fn from(error: PollDeviceGrantError) -> Self {
        match error {
            PollDeviceGrantError::Pending => Self::Pending,
            PollDeviceGrantError::SlowDown { interval } => Self::SlowDown { interval },
            PollDeviceGrantError::Denied => Self::Denied,
            PollDeviceGrantError::Expired => Self::Expired,
            PollDeviceGrantError::Unknown
            | PollDeviceGrantError::WrongClient
            | PollDeviceGrantError::UserDisabled => Self::InvalidGrant,
            PollDeviceGrantError::WrongResource => Self::Resource,
            PollDeviceGrantError::TooManySessions => Self::TooManySessions,
            PollDeviceGrantError::Store(fault) => Self::Store(fault),
        }
    }
}

impl DeviceGrantRequest {
    /// `client` asks for all scopes and all resources, from an unknown place.
    pub fn new(client: ClientId) -> Self {
        Self { client, scopes: None, resource: None, origin: Origin::unknown() }
    }

    /// The scopes that the client asks for. Default: all that the person's bridges may do.
    pub fn scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = Some(scopes);
        self
    }

    /// Binds the grant to a resource. Default: none.
    pub fn resource(mut self, resource: Audience) -> Self {
        self.resource = Some(resource);
        self
    }

    /// Where the client is. Default: unknown.
    pub fn origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }
}

impl DevicePoll {
    /// `client` polls with `device_code`.
    pub fn new(device_code: DeviceCode, client: ClientId) -> Self {
        Self { device_code, client, resource: None, origin: Origin::unknown() }
    }

    /// The one resource that the access token is for. Default: the one that the grant is bound to.
    pub fn resource(mut self, resource: Audience) -> Self {
        self.resource = Some(resource);
        self
    }

    /// Where the client is. Default: unknown.
    pub fn origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }
}
