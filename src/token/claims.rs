//! The claims of a token, and their JSON form (RFC 9068 §2.2).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::compact::json_object;
use super::optional_member::never_null;
use super::{Actor, InvalidClaims, InvalidToken, numeric_date};
use crate::id::{Audience, ClientId, Scopes, SessionId, UserId};

/// The typed claims of an access token. Times are whole seconds since the Unix epoch. In the token they may have a
/// fraction (RFC 7519 §2): it is cut off, and an `nbf` with a fraction counts from the next second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    pub(crate) issuer: Arc<str>,
    pub(crate) subject: Subject,
    pub(crate) audiences: Arc<[Audience]>,
    pub(crate) expires_at: u64,
    pub(crate) issued_at: u64,
    pub(crate) not_before: u64,
    pub(crate) token_id: String,
    pub(crate) client: ClientId,
    pub(crate) scopes: Scopes,
    pub(crate) session: SessionId,
    pub(crate) authenticated_at: u64,
    pub(crate) actor: Option<Box<Actor>>,
    /// The sessions of those actors that showed a token of their own. The token is good only while all of them are live. Most
    /// tokens have none, and pay for one pointer.
    #[allow(clippy::box_collection, reason = "one pointer, and not three")]
    pub(crate) actor_sessions: Option<Box<Vec<SessionId>>>,
    pub(crate) may_act: Option<Box<Actor>>,
}

/// The subject of a token. It is a person or a client, never both: so a client's token cannot be taken as a person's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Subject {
    /// A person: `sub` is the user id.
    User(UserId),
    /// A hook client: `sub` is the client id, and the private claim `owner` is the user id.
    HookClient {
        /// The person whose hooks it serves.
        owner: UserId,
    },
    /// A workload, which acts for itself: `sub` is the client id, and there is no `owner` (RFC 9068 §2.2).
    Workload {
        /// The user id under which its sessions are kept ([`UserId::for_workload`]). It is no person's.
        user: UserId,
    },
}

/// The kind of a caller. A route may require a kind.
///
/// The enum is closed. A new kind is a breaking change, so that no host admits one by oversight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallerKind {
    /// A person's bridge, with a token that carries the person in `sub`.
    User,
    /// A person's hook client (`client_credentials`), which acts for its owner. It is let in only where the host
    /// [admits hook clients](crate::BridgeAuthLayer::admit_hook_clients).
    HookClient,
    /// A program behind which no person stands, such as a Kubernetes pod
    /// ([`ExternalIssuer::workloads`](crate::external_issuer::ExternalIssuer::workloads)). It is let in only where the host
    /// [admits workloads](crate::BridgeAuthLayer::admit_workloads).
    Workload,
}

impl Subject {
    /// The kind of a caller with this subject.
    #[must_use]
    pub const fn kind(&self) -> CallerKind {
        match self {
            Self::User(_) => CallerKind::User,
            Self::HookClient { .. } => CallerKind::HookClient,
            Self::Workload { .. } => CallerKind::Workload,
        }
    }

    /// The subject of the sessions that `user` has with `client`.
    pub(crate) fn of_session(user: UserId, client: &ClientId) -> Self {
        if *client == ClientId::for_hooks_of(&user) {
            Self::HookClient { owner: user }
        } else if user == UserId::for_workload(client) {
            Self::Workload { user }
        } else {
            Self::User(user)
        }
    }
}

impl Claims {
    /// The most audiences a token may have.
    pub(crate) const MAX_AUDIENCES: usize = 16;
    /// The longest life that any token may have, whatever is configured.
    pub(crate) const MAX_LIFE: Duration = Duration::from_secs(24 * 3600);

    /// Who issued the token: `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The subject of the token: `sub` and `owner`.
    #[must_use]
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The person of the token: its subject, or the owner of its hook client. For a workload: the user id under which its
    /// sessions are kept.
    #[must_use]
    pub const fn user(&self) -> &UserId {
        self.subject.user()
    }

    /// The subject as the token names it: `sub`.
    pub(crate) fn sub(&self) -> &str {
        match &self.subject {
            Subject::User(user) => user.as_str(),
            Subject::HookClient { .. } | Subject::Workload { .. } => self.client.as_str(),
        }
    }

    /// The audiences of the token: `aud`; 1 to 16.
    #[must_use]
    pub fn audiences(&self) -> &[Audience] {
        &self.audiences
    }

    /// The second from which the token is no longer good: `exp`.
    #[must_use]
    pub const fn expires_at(&self) -> u64 {
        self.expires_at
    }

    /// When the token was issued: `iat`.
    #[must_use]
    pub const fn issued_at(&self) -> u64 {
        self.issued_at
    }

    /// The token's own id: `jti`.
    #[must_use]
    pub fn token_id(&self) -> &str {
        &self.token_id
    }

    /// The OAuth client that the token was issued to: `client_id`.
    #[must_use]
    pub const fn client(&self) -> &ClientId {
        &self.client
    }

    /// The scopes of the token: `scope`.
    #[must_use]
    pub const fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// The session that the token belongs to: `sid`.
    #[must_use]
    pub const fn session(&self) -> &SessionId {
        &self.session
    }

    /// When the person last signed in: `auth_time`.
    #[must_use]
    pub const fn authenticated_at(&self) -> u64 {
        self.authenticated_at
    }

    /// Who acts for the person, when the token was [delegated](Actor): `act`.
    #[must_use]
    pub fn actor(&self) -> Option<&Actor> {
        self.actor.as_deref()
    }

    /// The sessions of those actors that showed a token of their own at an exchange. While one of them is not live, the token
    /// is refused.
    pub(crate) fn actor_sessions(&self) -> &[SessionId] {
        self.actor_sessions.as_deref().map_or(&[], Vec::as_slice)
    }

    /// The only party that may act for the person by an exchange of this token: `may_act` (RFC 8693 §4.4). `None`: the
    /// token does not say.
    #[must_use]
    pub fn may_act(&self) -> Option<&Actor> {
        self.may_act.as_deref()
    }

    /// Whether the token is good at `now`. `leeway` counts for `nbf` and `iat`, and never for `exp`.
    pub(crate) fn check_time(&self, now: Duration, leeway: Duration) -> Result<(), InvalidToken> {
        check_time(self.expires_at, self.not_before.max(self.issued_at), now, leeway)
    }

    /// What the claims of every access token must fulfil.
    pub(super) fn check(&self) -> Result<(), InvalidClaims> {
        if !(1..=Self::MAX_AUDIENCES).contains(&self.audiences.len()) {
            return Err(InvalidClaims::Audiences);
        }
        if !is_token_id(&self.token_id) {
            return Err(InvalidClaims::TokenId);
        }
        // RFC 9068 §2.2: `sub` equals the client only when the client acts for itself.
        let is_clear = match &self.subject {
            Subject::User(user) => user.as_str() != self.client.as_str(),
            Subject::HookClient { .. } => true,
            Subject::Workload { user } => *user == UserId::for_workload(&self.client),
        };
        if !is_clear {
            return Err(InvalidClaims::Subject);
        }
        if self.issued_at > self.expires_at {
            return Err(InvalidClaims::IssuedAfterExpiry);
        }
        Ok(())
    }

    pub(super) fn from_json(json: &[u8]) -> Result<Self, InvalidClaims> {
        let claims = json_object::<Wire>(json).ok_or(InvalidClaims::Json)?.into_claims()?;
        claims.check()?;
        Ok(claims)
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(&Wire::from_claims(self)).expect("strings and integers always have a JSON form")
    }
}

impl Subject {
    /// The person: the subject itself, or the owner of the hook client. For a workload: the user id under which its
    /// sessions are kept.
    #[must_use]
    pub const fn user(&self) -> &UserId {
        match self {
            Self::User(user) | Self::HookClient { owner: user } | Self::Workload { user } => user,
        }
    }
}

/// Whether a token that is good from `begins_at` until `expires_at` is good at `now`. `leeway` counts only for its
/// beginning.
pub(super) fn check_time(
    expires_at: u64,
    begins_at: u64,
    now: Duration,
    leeway: Duration,
) -> Result<(), InvalidToken> {
    if now >= Duration::from_secs(expires_at) {
        return Err(InvalidToken::Expired);
    }
    if Duration::from_secs(begins_at) > now.saturating_add(leeway) {
        return Err(InvalidToken::NotYetValid);
    }
    Ok(())
}

fn is_token_id(text: &str) -> bool {
    matches!(text.len(), 1..=128) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// The JSON form. Every claim except `owner`, `act`, `act_sid` and `may_act` is required. A fraction of a time never makes a token
/// good for longer. A repeated claim is an error. Claims with other names are ignored.
#[derive(Serialize, Deserialize)]
struct Wire {
    iss: String,
    sub: String,
    #[serde(deserialize_with = "one_or_many")]
    aud: Vec<Audience>,
    #[serde(deserialize_with = "numeric_date::down")]
    exp: u64,
    #[serde(deserialize_with = "numeric_date::down")]
    iat: u64,
    #[serde(deserialize_with = "numeric_date::up")]
    nbf: u64,
    jti: String,
    client_id: ClientId,
    scope: Scopes,
    sid: SessionId,
    #[serde(deserialize_with = "numeric_date::down")]
    auth_time: u64,
    #[serde(default, deserialize_with = "never_null", skip_serializing_if = "Option::is_none")]
    owner: Option<UserId>,
    #[serde(default, deserialize_with = "never_null", skip_serializing_if = "Option::is_none")]
    act: Option<Box<Actor>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    act_sid: Vec<SessionId>,
    #[serde(default, deserialize_with = "never_null", skip_serializing_if = "Option::is_none")]
    may_act: Option<Box<Actor>>,
}

impl Wire {
    fn from_claims(claims: &Claims) -> Self {
        let owner = match &claims.subject {
            Subject::User(_) | Subject::Workload { .. } => None,
            Subject::HookClient { owner } => Some(owner.clone()),
        };
        Self {
            iss: claims.issuer.to_string(),
            sub: claims.sub().to_owned(),
            aud: claims.audiences.to_vec(),
            exp: claims.expires_at,
            iat: claims.issued_at,
            nbf: claims.not_before,
            jti: claims.token_id.clone(),
            client_id: claims.client.clone(),
            scope: claims.scopes.clone(),
            sid: claims.session.clone(),
            auth_time: claims.authenticated_at,
            owner,
            act: claims.actor.clone(),
            act_sid: claims.actor_sessions().to_vec(),
            may_act: claims.may_act.clone(),
        }
    }

    fn into_claims(self) -> Result<Claims, InvalidClaims> {
        let subject = match self.owner {
            Some(owner) if self.sub == self.client_id.as_str() => Subject::HookClient { owner },
            Some(_) => return Err(InvalidClaims::Subject),
            None if self.sub == self.client_id.as_str() && !self.client_id.is_for_hooks() => {
                Subject::Workload { user: UserId::for_workload(&self.client_id) }
            }
            None => Subject::User(UserId::parse(&self.sub).map_err(|_| InvalidClaims::Subject)?),
        };
        Ok(Claims {
            issuer: self.iss.into(),
            subject,
            audiences: self.aud.into(),
            expires_at: self.exp,
            issued_at: self.iat,
            not_before: self.nbf,
            token_id: self.jti,
            client: self.client_id,
            scopes: self.scope,
            session: self.sid,
            authenticated_at: self.auth_time,
            actor: self.act,
            actor_sessions: Some(self.act_sid).filter(|sessions| !sessions.is_empty()).map(Box::new),
            may_act: self.may_act,
        })
    }
}

/// `aud` is one string or an array of them (RFC 7519 §4.1.3).
pub(super) fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Audience>, D::Error> {
    struct OneOrMany;

    impl<'de> Visitor<'de> for OneOrMany {
        type Value = Vec<Audience>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an audience or an array of audiences")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Audience::parse(text).map(|audience| vec![audience]).map_err(E::custom)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut audiences = Vec::new();
            while let Some(audience) = seq.next_element()? {
                audiences.push(audience);
            }
            Ok(audiences)
        }
    }

    deserializer.deserialize_any(OneOrMany)
}
