//! Access: a token, its session, and the identity headers of both.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderName, HeaderValue};

use super::issuer::{Issuer, is_client};
use super::settings::SessionSettings;
use crate::clock::Clock;
use crate::clock::since_epoch;
use crate::header::{X_CALL_SOURCE, X_CLIENT_ID, X_POLICY_VERSION, X_SESSION_ID, X_TRACE_ID, X_USER_ID};
use crate::id::{
    AccessToken, Audience, CallSource, ClientId, PolicyVersion, RefreshToken, Scopes, SessionId, TraceId,
    UserId, random_hex,
};

use crate::store::{
    NewSession, OpenSession, OpenSessionError, OpenedSession, Origin, RequestedId, StoreError,
    within_deadline,
};
use crate::telemetry::audit;
use crate::token::{Actor, Claims, KeyError, Subject};

/// Access for a bridge: a signed token for a live session.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Access {
    /// The access token.
    pub token: AccessToken,
    /// How long the token lives, in whole seconds. Never longer than the session.
    pub ttl: Duration,
    /// When the token expires (its `exp`).
    pub expires_at: SystemTime,
    /// The person that the access is for. For a hook client: its owner.
    pub user: UserId,
    /// The session that the token names.
    pub session: SessionId,
    /// The OAuth client that the token was issued to.
    pub client: ClientId,
    /// The scopes that the token grants.
    pub scopes: Scopes,
    /// The kind of program that the session is for.
    pub call_source: CallSource,
    /// The version of the policy in force.
    pub policy_version: PolicyVersion,
    /// Whether the session was live before this access.
    pub renewed: bool,
    /// The refresh token for the next access token, when one was issued.
    pub refresh_token: Option<RefreshToken>,
}

/// A request for access without a code.
///
/// The host vouches for the user.
///
/// [`AccessRequest::for_user`] makes one. Each option has the setting of the bridge as its default.
#[derive(Debug, Clone)]
#[must_use = "hand it to Issuer::open_access"]
pub struct AccessRequest {
    user: UserId,
    scopes: Scopes,
    session: Option<SessionId>,
    client: Option<ClientId>,
    call_source: Option<CallSource>,
    audiences: Option<Vec<Audience>>,
    token_life: Option<Duration>,
    session_life: Option<Duration>,
    may_act: Option<Actor>,
    origin: Origin,
}

/// Why access was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// No call has made the user known.
    #[error("the user is unknown: call Issuer::register_user first")]
    UnknownUser,
    /// The user is disabled.
    #[error("the user is disabled")]
    UserDisabled,
    /// The user id is also the id of the client that the token would be for.
    #[error("the user id is also a client id: give this person another user id")]
    ReservedUser,
    /// The session id is revoked, expired, or belongs to another user or client.
    #[error("the session id is revoked, expired, or another user's or client's: use another id, or none")]
    SessionTaken,
    /// The user has as many live sessions as the limit allows.
    #[error("the user has as many live sessions as session_limit allows: end one of them first")]
    TooManySessions,
    /// The request names no audience, more than 16, or one that this bridge issues no token for.
    #[error("ask for 1 to 16 audiences of this bridge (see BridgeBuilder::audiences and ::other_audiences)")]
    Audience,
    /// A life is zero, not in whole seconds, or too long (more than 24 h for a token, 30 days for a session).
    #[error("a token lives 1 second to 24 hours, and a session 1 second to 30 days, in whole seconds")]
    Life,
    /// The token could not be signed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What only a token says that came of an exchange, or that one party alone may exchange.
#[derive(Default)]
pub(super) struct Delegation {
    pub(super) actor: Option<Box<Actor>>,
    /// The sessions of those actors that showed a token of their own.
    pub(super) actor_sessions: Vec<SessionId>,
    pub(super) may_act: Option<Box<Actor>>,
    /// The second after which the token is not good, in whatever life it has.
    pub(super) ends_at: Option<u64>,
}

/// What a token says beside what its session says.
pub(super) struct Grant<'a> {
    pub(super) subject: Subject,
    pub(super) client: ClientId,
    pub(super) audiences: &'a [Audience],
    pub(super) token_life: Duration,
}

impl Issuer {
    /// Opens access for a user without a code.
    ///
    /// The user must be known ([`register_user`](Self::register_user)) and enabled. The access gets those of the
    /// requested scopes that the user holds. The caller of this function must have made sure who the user is.
    ///
    /// # Errors
    ///
    /// [`AccessError`].
    ///
    /// # Cancel safety
    ///
    /// The session is opened or not, never half. A session whose token was not returned expires by itself.
    pub async fn open_access(&self, request: AccessRequest) -> Result<Access, AccessError> {
        let settings = &self.settings;
        let audiences = self.audiences(request.audiences.as_deref()).ok_or(AccessError::Audience)?;
        let token_life = checked(request.token_life, settings.tokens.life, Claims::MAX_LIFE)?;
        let session_life = checked(request.session_life, settings.session_life(), SessionSettings::MAX_LIFE)?;
        let client = request.client.unwrap_or_else(|| settings.bridge_client.clone());
        if is_client(&request.user, &client) {
            return Err(AccessError::ReservedUser);
        }
        let call_source = request.call_source.unwrap_or_else(|| settings.call_source.clone());
        let session = NewSession {
            client: client.clone(),
            call_source,
            life: session_life,
            // The life may pass the limit only when the request names a life.
            max_life: request.session_life.unwrap_or_default().max(settings.sessions.max_life),
            ..self.new_session(request.session, request.origin)
        };
        let open = OpenSession::Vouched { user: request.user, scopes: request.scopes, session };
        let opened = within_deadline(settings.deadlines.write, self.store.open_session(open)).await?;
        let subject = Subject::User(opened.user.clone());
        let grant = Grant { subject, client, audiences, token_life };
        let delegation = Delegation { may_act: request.may_act.map(Box::new), ..Delegation::default() };
        let access = self.sign_delegated(opened, grant, delegation)?;
        audit!("access_opened", user_id = %access.user, session_id = %access.session, client_id = %access.client,
            renewed = access.renewed);
        Ok(access)
    }

    /// The requested audiences, when the bridge issues tokens for all of them. Without a request, the default
    /// audiences.
    fn audiences<'a>(&'a self, asked: Option<&'a [Audience]>) -> Option<&'a [Audience]> {
        let Some(asked) = asked else { return Some(&self.settings.audiences.of_bridges) };
        (self.settings.audiences.knows_all(asked) && (1..=16).contains(&asked.len())).then_some(asked)
    }

    /// The resource that was named, or else the default audiences.
    pub(super) fn audiences_of<'a>(&'a self, resource: Option<&'a Audience>) -> &'a [Audience] {
        resource.map_or(&self.settings.audiences.of_bridges, std::slice::from_ref)
    }

    /// A session of the bridge itself, with the id that the bridge declared or a new one.
    pub(super) fn new_session(&self, declared: Option<SessionId>, origin: Origin) -> NewSession {
        NewSession {
            id: declared.map_or_else(|| RequestedId::Fresh(SessionId::random()), RequestedId::Declared),
            client: self.settings.bridge_client.clone(),
            call_source: self.settings.call_source.clone(),
            origin,
            life: self.settings.session_life(),
            max_life: self.settings.sessions.max_life,
            refresh: None,
            limit: self.settings.sessions.limit,
            resource: None,
            assertion: None,
        }
    }

    /// Signs the token of a person's session that `client` has just opened or refreshed. `resource` is the one that the client
    /// asks for. The one that the session is bound to goes before it.
    pub(super) fn sign_for_person(
        &self,
        opened: OpenedSession,
        client: ClientId,
        resource: Option<Audience>,
        refresh_token: Option<RefreshToken>,
    ) -> Result<Access, KeyError> {
        let resource = opened.resource.clone().or(resource);
        let grant = Grant {
            subject: Subject::User(opened.user.clone()),
            client,
            audiences: self.audiences_of(resource.as_ref()),
            token_life: self.settings.tokens.life,
        };
        Ok(Access { refresh_token, ..self.sign(opened, grant)? })
    }

    /// Signs the token of a session that was just opened. Tells the audit log which sessions were evicted for it.
    pub(super) fn sign(&self, opened: OpenedSession, grant: Grant<'_>) -> Result<Access, KeyError> {
        self.sign_delegated(opened, grant, Delegation::default())
    }

    /// The same for a token that says who acts, or who may act.
    pub(super) fn sign_delegated(
        &self,
        opened: OpenedSession,
        grant: Grant<'_>,
        delegation: Delegation,
    ) -> Result<Access, KeyError> {
        for evicted in &opened.evicted {
            audit!("session_evicted", user_id = %opened.user, session_id = %evicted, by_session_id = %opened.id);
        }
        let now = self.clock.now().as_secs();
        let ttl = grant.token_life.as_secs().min(opened.expires_in.as_secs());
        let ttl = delegation.ends_at.map_or(ttl, |end| ttl.min(end.saturating_sub(now)));
        let claims = Claims {
            issuer: self.settings.issuer.as_str().into(),
            subject: grant.subject,
            audiences: grant.audiences.into(),
            expires_at: now + ttl,
            issued_at: now,
            not_before: now,
            token_id: random_hex::<16>().to_string(),
            client: grant.client,
            scopes: opened.scopes,
            session: opened.id,
            authenticated_at: since_epoch(opened.authenticated_at).as_secs().min(now),
            actor: delegation.actor,
            actor_sessions: Some(delegation.actor_sessions).filter(|all| !all.is_empty()).map(Box::new),
            may_act: delegation.may_act,
        };
        let token = self.keys.sign(&claims)?;
        Ok(Access {
            token,
            ttl: Duration::from_secs(ttl),
            expires_at: UNIX_EPOCH + Duration::from_secs(claims.expires_at),
            user: opened.user,
            session: claims.session,
            client: claims.client,
            scopes: claims.scopes,
            call_source: opened.call_source,
            policy_version: self.settings.policy_version.clone(),
            renewed: opened.renewed,
            refresh_token: None,
        })
    }
}

impl Access {
    /// The six identity headers that the bridge must send with each call.
    #[must_use]
    pub fn identity_headers(&self, trace: &TraceId) -> [(HeaderName, HeaderValue); 6] {
        [
            (X_USER_ID, self.user.to_header_value()),
            (X_SESSION_ID, self.session.to_header_value()),
            (X_TRACE_ID, trace.to_header_value()),
            (X_CLIENT_ID, self.client.to_header_value()),
            (X_POLICY_VERSION, self.policy_version.to_header_value()),
            (X_CALL_SOURCE, self.call_source.to_header_value()),
        ]
    }
}

impl AccessRequest {
    /// Asks for access for `user`, with those of `scopes` that the user holds.
    pub fn for_user(user: UserId, scopes: Scopes) -> Self {
        Self {
            user,
            scopes,
            session: None,
            client: None,
            call_source: None,
            audiences: None,
            token_life: None,
            session_life: None,
            may_act: None,
            origin: Origin::unknown(),
        }
    }

    /// The id of the session to open, or of the user's own live session to renew. Default: a new id.
    pub fn session_id(mut self, session: SessionId) -> Self {
        self.session = Some(session);
        self
    }

    /// The OAuth client that the access is for. Default: the bridge client.
    pub fn client_id(mut self, client: ClientId) -> Self {
        self.client = Some(client);
        self
    }

    /// The kind of program that the access is for. Default: the bridge's call source.
    pub fn call_source(mut self, source: CallSource) -> Self {
        self.call_source = Some(source);
        self
    }

    /// The audiences of the token: 1 to 16 of those that the bridge issues tokens for. Default: the audiences of
    /// bridges.
    pub fn audiences(mut self, audiences: impl IntoIterator<Item = Audience>) -> Self {
        self.audiences = Some(audiences.into_iter().collect());
        self
    }

    /// How long the token lives: 1 s to 24 h, in whole seconds.
    ///
    /// Never longer than its session.
    pub fn token_life(mut self, life: Duration) -> Self {
        self.token_life = Some(life);
        self
    }

    /// How long the session lives: 1 s to 30 days, in whole seconds.
    pub fn session_life(mut self, life: Duration) -> Self {
        self.session_life = Some(life);
        self
    }

    /// The only party that may act for the user by an [exchange](super::TokenExchange) of the token (`may_act`, RFC 8693
    /// §4.4). Default: the token does not say.
    ///
    /// It may be a client, which then needs no other permission to exchange the token. A token that comes of the exchange has
    /// the same `may_act`: so the party cannot let another one act.
    pub fn may_act(mut self, party: Actor) -> Self {
        self.may_act = Some(party);
        self
    }

    /// The address and program that asked for the access. Default: unknown.
    pub fn origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }
}

impl From<OpenSessionError> for AccessError {
    fn from(error: OpenSessionError) -> Self {
        match error {
            OpenSessionError::UnknownUser => Self::UnknownUser,
            // `WrongSecret` cannot happen: a session that the host vouches for shows no secret.
            OpenSessionError::UserDisabled | OpenSessionError::WrongSecret => Self::UserDisabled,
            // The others cannot happen: no assertion is spent, and the session hangs on none.
            OpenSessionError::SessionTaken
            | OpenSessionError::AssertionUsed
            | OpenSessionError::ParentEnded
            | OpenSessionError::TooDeep => Self::SessionTaken,
            OpenSessionError::TooManySessions => Self::TooManySessions,
            OpenSessionError::Store(fault) => Self::Store(fault),
        }
    }
}

/// The same session, whose person signed in `seconds` after 1970 at the latest: a token may say less than its row.
pub(super) fn signed_in_at_the_latest(opened: OpenedSession, seconds: u64) -> OpenedSession {
    let signed_in = UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    let authenticated_at = signed_in.map_or(opened.authenticated_at, |at| at.min(opened.authenticated_at));
    OpenedSession { authenticated_at, ..opened }
}

fn checked(asked: Option<Duration>, default: Duration, most: Duration) -> Result<Duration, AccessError> {
    let life = asked.unwrap_or(default);
    if life.subsec_nanos() == 0 && !life.is_zero() && life <= most {
        Ok(life)
    } else {
        Err(AccessError::Life)
    }
}
