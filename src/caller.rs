//! Who calls: what the authenticator found out, in a form that only it can make.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::header::{self, X_CALL_SOURCE, X_CLIENT_ID, X_POLICY_VERSION, X_SESSION_ID, X_USER_ID};
use crate::id::{Audience, CallSource, ClientId, PolicyVersion, Scopes, SessionId, UserId};
use crate::token::{Claims, Subject};

/// An authenticated caller: a verified token and its live session.
///
/// Only [`Authenticator`](crate::Authenticator) makes one, so a `Caller` in a request's extensions is proof
/// that the guard ran for this request. Cloning is cheap.
#[derive(Clone)]
pub struct Caller(Arc<Inner>);

struct Inner {
    claims: Arc<Claims>,
    call_source: CallSource,
    policy_version: PolicyVersion,
    authority: Authority,
    /// Written to every request: made once.
    headers: [(HeaderName, HeaderValue); 5],
}

/// What a caller is: part of what a route may require.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallerKind {
    /// A person's bridge, with a token that carries the person in `sub`.
    User,
    /// A person's hook client (`client_credentials`), which acts for its owner.
    HookClient,
}

/// Which bridge vouches for a caller: compared by identity, so that a layer trusts no other's callers.
#[derive(Clone)]
pub(crate) struct Authority(Arc<()>);

impl Caller {
    pub(crate) fn new(
        claims: Arc<Claims>,
        call_source: CallSource,
        policy_version: PolicyVersion,
        authority: Authority,
    ) -> Self {
        let headers = [
            (X_USER_ID, claims.user().to_header_value()),
            (X_SESSION_ID, claims.session().to_header_value()),
            (X_CLIENT_ID, claims.client().to_header_value()),
            (X_POLICY_VERSION, policy_version.to_header_value()),
            (X_CALL_SOURCE, call_source.to_header_value()),
        ];
        Self(Arc::new(Inner { claims, call_source, policy_version, authority, headers }))
    }

    /// The person the request is for; of a hook client, its owner.
    #[must_use]
    pub fn user_id(&self) -> &UserId {
        self.0.claims.user()
    }

    /// The session the request belongs to: live when the request arrived.
    #[must_use]
    pub fn session_id(&self) -> &SessionId {
        self.0.claims.session()
    }

    /// The OAuth client that calls.
    #[must_use]
    pub fn client_id(&self) -> &ClientId {
        self.0.claims.client()
    }

    /// What the caller is.
    #[must_use]
    pub fn kind(&self) -> CallerKind {
        match self.0.claims.subject() {
            Subject::User(_) => CallerKind::User,
            Subject::HookClient { .. } => CallerKind::HookClient,
        }
    }

    /// The scopes granted to the token.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        self.0.claims.scopes()
    }

    /// What kind of program the session was opened for.
    #[must_use]
    pub fn call_source(&self) -> &CallSource {
        &self.0.call_source
    }

    /// The version of the host's policy the request is judged by.
    #[must_use]
    pub fn policy_version(&self) -> &PolicyVersion {
        &self.0.policy_version
    }

    /// The claims of the verified token.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.0.claims
    }

    pub(crate) fn is_vouched_for_by(&self, authority: &Authority) -> bool {
        Arc::ptr_eq(&self.0.authority.0, &authority.0)
    }

    pub(crate) fn is_for(&self, audience: &Audience) -> bool {
        self.0.claims.audiences().contains(audience)
    }

    /// Writes the identity headers that say who the caller is, in place of any that stand there.
    pub(crate) fn write_headers(&self, headers: &mut HeaderMap) {
        header::overwrite(headers, &self.0.headers);
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

impl Authority {
    pub(crate) fn new() -> Self {
        Self(Arc::new(()))
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authority")
    }
}
