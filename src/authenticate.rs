//! The read side: headers in, [`Caller`] or [`Rejection`] out.

mod bearer;

use std::sync::Arc;

use http::HeaderMap;

pub(crate) use bearer::has_query_token;

use crate::caller::{Authority, Caller, CallerKind};
use crate::header::X_SESSION_ID;
use crate::id::{Audience, PolicyVersion, Scopes, SessionId};
use crate::reject::{InvalidCredential, Rejection};
use crate::session::Liveness;
use crate::store::{SessionState, SessionStatus};
use crate::token::{Claims, Subject, TokenVerifier};

/// Decides whether a request may come in: the decision that layer, extractors and tests all share.
///
/// [`Bridge::authenticator`](crate::Bridge::authenticator) makes one for an audience; what else a route
/// requires is added with [`require_scopes`](Self::require_scopes) and
/// [`require_kind`](Self::require_kind). Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Authenticator {
    guard: Arc<Guard>,
    audience: Audience,
    scopes: Scopes,
    kind: Option<CallerKind>,
}

/// What all authenticators of one bridge share.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) verifier: TokenVerifier,
    pub(crate) liveness: Liveness,
    pub(crate) policy_version: PolicyVersion,
    pub(crate) authority: Authority,
}

impl Authenticator {
    pub(crate) fn new(guard: Arc<Guard>, audience: Audience) -> Self {
        Self { guard, audience, scopes: Scopes::default(), kind: None }
    }

    /// Requires all of `scopes`. Default: none.
    #[must_use]
    pub fn require_scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = scopes;
        self
    }

    /// Requires a caller of this kind. Default: any.
    #[must_use]
    pub fn require_kind(mut self, kind: CallerKind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Who sent a request with these headers.
    ///
    /// In this order, each step before the next: the size and the form of `Authorization`, the form of the
    /// token, its signature, its claims, the audience, `x-session-id` where it is sent, the session in the
    /// store, scopes and kind. Nothing reaches the store before the signature holds.
    ///
    /// Give it the headers as they came in: it compares the `x-session-id` that the bridge sent with the
    /// token's. Of the other identity headers it reads none.
    ///
    /// # Errors
    ///
    /// [`Rejection`]. A store that cannot answer is [`Rejection::Unavailable`]: the credential may be good.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the look-up and changes nothing.
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, Rejection> {
        let token = bearer::find(headers)?;
        let claims = self.guard.verifier.verify(token).map_err(InvalidCredential::Token)?;
        self.check_claims(&claims, headers)?;
        let status = self
            .guard
            .liveness
            .status(claims.session())
            .await
            .map_err(|fault| {
                tracing::warn!(error = &fault as &dyn std::error::Error, "session look-up failed");
                Rejection::Unavailable(fault.kind())
            })?
            .ok_or(InvalidCredential::SessionUnknown)?;
        check_session(&claims, &status)?;
        let policy_version = self.guard.policy_version.clone();
        let authority = self.guard.authority.clone();
        let caller = Caller::new(claims.into(), status.call_source, policy_version, authority);
        self.check_grant(&caller)?;
        Ok(caller)
    }

    /// A caller that an outer layer of the same bridge let in for this very request, held to what this one
    /// requires. `None` when no such layer ran.
    pub(crate) fn readmit(&self, caller: &Caller) -> Option<Result<Caller, Rejection>> {
        caller.is_vouched_for_by(&self.guard.authority).then(|| {
            if !caller.is_for(&self.audience) {
                return Err(InvalidCredential::Audience.into());
            }
            self.check_grant(caller)?;
            Ok(caller.clone())
        })
    }

    fn check_claims(&self, claims: &Claims, headers: &HeaderMap) -> Result<(), InvalidCredential> {
        if !claims.audiences().contains(&self.audience) {
            return Err(InvalidCredential::Audience);
        }
        if !declares_only(headers, claims.session()) {
            return Err(InvalidCredential::SessionIdMismatch);
        }
        Ok(())
    }

    fn check_grant(&self, caller: &Caller) -> Result<(), Rejection> {
        let required = || self.scopes.clone();
        match self.kind {
            Some(kind) if kind != caller.kind() => {
                Err(Rejection::CallerKind { found: caller.kind(), required: required() })
            }
            _ if !caller.scopes().contains_all(&self.scopes) => {
                Err(Rejection::InsufficientScope { required: required() })
            }
            _ => Ok(()),
        }
    }
}

impl From<InvalidCredential> for Rejection {
    fn from(credential: InvalidCredential) -> Self {
        Self::InvalidCredential(credential)
    }
}

/// Whether every `x-session-id` that was sent names `session`.
fn declares_only(headers: &HeaderMap, session: &SessionId) -> bool {
    headers.get_all(X_SESSION_ID).iter().all(|declared| declared.as_bytes() == session.as_str().as_bytes())
}

fn check_session(claims: &Claims, status: &SessionStatus) -> Result<(), InvalidCredential> {
    let user = match claims.subject() {
        Subject::User(user) => user,
        Subject::HookClient { owner } => owner,
    };
    if status.user != *user || status.client != *claims.client() {
        return Err(InvalidCredential::SessionOfAnother);
    }
    match status.state {
        SessionState::Live => Ok(()),
        SessionState::Revoked => Err(InvalidCredential::SessionRevoked),
        SessionState::Expired => Err(InvalidCredential::SessionExpired),
    }
}
