//! Who calls: what the authenticator found out, in a form that only the authenticator can make.

mod acting_party;
mod group;
mod verified_token;

pub use crate::token::claims::CallerKind;
pub(crate) use acting_party::{ActingParty, NoActingParty};
pub(crate) use group::{Authority, CallerGroup};
pub(crate) use verified_token::{ActorSession, VerifiedToken};

use std::fmt;
use std::sync::Arc;

use http::HeaderValue;

use crate::id::{Audience, CallSource, ClientId, PolicyVersion, Scopes, SessionId, UserId};
use crate::request_context::RequestContext;
use crate::token::{Actor, Claims};

/// An authenticated caller: a verified token and its live session.
///
/// Only [`Authenticator`](crate::authenticate::Authenticator) makes a `Caller`. So a `Caller` in the extensions of a
/// request proves that the guard ran for this request. Cloning is cheap.
///
/// A `Caller` says who called at the moment when the guard ran, and no more. Code that copies a `Caller` into the
/// extensions of another request vouches for that request: extractors trust the copy, and layers trust it for one
/// second.
#[derive(Clone)]
pub struct Caller {
    verified: Arc<VerifiedToken>,
    /// Set when the session row names another call source than the group of the token.
    group: Option<Arc<CallerGroup>>,
    /// What the layer left for the request. `None`: no layer let this caller in.
    request_context: Option<RequestContext>,
}

impl Caller {
    pub(crate) fn new(verified: Arc<VerifiedToken>, group: Arc<CallerGroup>) -> Self {
        let is_own = Arc::ptr_eq(verified.group.get_or_init(|| group.clone()), &group);
        Self { verified, group: if is_own { None } else { Some(group) }, request_context: None }
    }

    /// The caller of a token that made a caller before. `Err` gives the token back when it made none yet.
    ///
    /// No reference count that all callers share changes here, because every processor would wait for it.
    pub(crate) fn seen_before(verified: Arc<VerifiedToken>) -> Result<Self, Arc<VerifiedToken>> {
        if verified.group.get().is_none() {
            return Err(verified);
        }
        Ok(Self { verified, group: None, request_context: None })
    }

    fn group(&self) -> &CallerGroup {
        let own = || self.verified.group.get().expect("a token's group is set before a caller is made of it");
        self.group.as_ref().unwrap_or_else(own)
    }

    /// The same caller, let in by a layer.
    #[inline]
    pub(crate) fn passing(mut self, request_context: RequestContext) -> Self {
        self.request_context = Some(request_context);
        self
    }

    /// The same caller without the request context. A handler gets this one, and may keep it.
    #[cfg(feature = "axum")]
    pub(crate) fn for_handler(&self) -> Self {
        Self { verified: self.verified.clone(), group: self.group.clone(), request_context: None }
    }

    pub(crate) const fn request_context(&self) -> Option<&RequestContext> {
        self.request_context.as_ref()
    }

    /// The person that the request is for.
    ///
    /// For a hook client: its owner. For a workload, behind which no person stands: `client:` and its client id.
    #[must_use]
    pub fn user_id(&self) -> &UserId {
        self.verified.claims.user()
    }

    /// The session that the request belongs to.
    ///
    /// The guard found it live, as fresh as [`Freshness`](crate::Freshness) promises.
    #[must_use]
    pub fn session_id(&self) -> &SessionId {
        self.verified.claims.session()
    }

    /// The OAuth client that calls.
    #[must_use]
    pub fn client_id(&self) -> &ClientId {
        self.verified.claims.client()
    }

    /// The kind of caller: a person's bridge, a hook client or a workload.
    #[must_use]
    pub fn kind(&self) -> CallerKind {
        self.verified.claims.subject().kind()
    }

    /// The scopes that the token grants.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        self.verified.claims.scopes()
    }

    /// Who acts for the person, when the token was [exchanged](crate::issue::TokenExchange) (RFC 8693 §4.1). `None`: the
    /// client of the session itself.
    ///
    /// For a token of an external issuer that is mapped to a session, this is its claim `act`.
    #[must_use]
    pub fn actor(&self) -> Option<&Actor> {
        self.verified.claims.actor()
    }

    /// The kind of program that the session was opened for.
    #[must_use]
    pub fn call_source(&self) -> &CallSource {
        &self.group().call_source
    }

    /// The version of the host's policy that the request is judged by.
    #[must_use]
    pub fn policy_version(&self) -> &PolicyVersion {
        &self.group().policy_version
    }

    /// The claims of the verified token.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.verified.claims
    }

    pub(crate) const fn verified(&self) -> &Arc<VerifiedToken> {
        &self.verified
    }

    pub(crate) fn is_vouched_for_by(&self, authority: &Authority) -> bool {
        self.group().authority.is(authority)
    }

    pub(crate) fn is_for(&self, audience: &Audience) -> bool {
        self.verified.claims.audiences().contains(audience)
    }

    /// The values of the identity headers, in the order of [`IDENTITY_HEADERS`](crate::header::IDENTITY_HEADERS).
    ///
    /// The trace id has no value here, because it belongs to the request.
    pub(crate) fn header_values(&self) -> [Option<&HeaderValue>; 6] {
        let [user, session, client] = &self.verified.headers;
        let [policy_version, call_source] = &self.group().headers;
        [Some(user), Some(session), None, Some(client), Some(policy_version), Some(call_source)]
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("kind", &self.kind())
            .field("user_id", self.user_id())
            .field("session_id", self.session_id())
            .field("client_id", self.client_id())
            .field("scopes", self.scopes())
            .finish_non_exhaustive()
    }
}
