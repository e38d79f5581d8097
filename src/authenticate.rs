//! The read side: headers in, [`Caller`] or [`Rejection`] out.

mod bearer;
mod known;

use std::convert::Infallible;
use std::sync::Arc;

use http::HeaderMap;
use quick_cache::sync::Cache;

pub(crate) use bearer::has_query_token;

use crate::caller::{Authority, Caller, CallerKind, Context, Known};
use crate::header::X_SESSION_ID;
use crate::id::{Audience, CallSource, PolicyVersion, Scopes, SessionId};
use crate::reject::{InvalidCredential, Rejection};
use crate::session::{Liveness, WatchStatus};
use crate::store::{SessionState, SessionStatus};
use crate::token::{Claims, TokenVerifier};
use known::KnownTokens;

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

/// How far a request got without I/O.
pub(crate) enum Begun {
    /// It is in.
    Admitted(Caller),
    /// Its token is good; its session is still to be looked up.
    Verified(Arc<Known>),
}

/// What all authenticators of one bridge share.
#[derive(Debug)]
pub(crate) struct Guard {
    verifier: TokenVerifier,
    liveness: Arc<Liveness>,
    known: KnownTokens,
    contexts: Cache<CallSource, Arc<Context>>,
    policy_version: PolicyVersion,
    authority: Authority,
}

impl Guard {
    /// How many bytes the verified tokens may take: more than a hundred thousand of usual size.
    const KNOWN_BYTES: u64 = 88 << 20;
    /// A host has a handful of call sources.
    const CONTEXTS: usize = 64;

    pub(crate) fn new(
        verifier: TokenVerifier,
        liveness: Arc<Liveness>,
        policy_version: PolicyVersion,
    ) -> Self {
        let known = KnownTokens::new(Self::KNOWN_BYTES);
        let contexts = Cache::new(Self::CONTEXTS);
        Self { verifier, liveness, known, contexts, policy_version, authority: Authority::new() }
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    pub(crate) fn watch_status(&self) -> Option<WatchStatus> {
        self.liveness.watch_status()
    }
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

    pub(crate) fn audience(&self) -> &Audience {
        &self.audience
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
        match self.begin(headers)? {
            Begun::Admitted(caller) => Ok(caller),
            Begun::Verified(known) => self.finish(known).await,
        }
    }

    /// All of [`authenticate`](Self::authenticate) that needs no I/O: the whole of it, when the session is
    /// remembered to be live.
    pub(crate) fn begin(&self, headers: &HeaderMap) -> Result<Begun, Rejection> {
        let known = self.guard.verify(bearer::find(headers)?)?;
        self.check_claims(&known.claims, headers)?;
        match self.guard.remembered_context(&known) {
            Some(context) => {
                let caller = Caller::new(known, context);
                self.check_grant(&caller).map(|()| Begun::Admitted(caller))
            }
            None => Ok(Begun::Verified(known)),
        }
    }

    /// The rest of it: the look-up of a verified token's session.
    pub(crate) async fn finish(&self, known: Arc<Known>) -> Result<Caller, Rejection> {
        let caller = self.guard.live_caller(known).await?;
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

impl Guard {
    /// The caller that `token` makes, whatever its audience: by the store's word of its session, whatever is remembered.
    pub(crate) async fn introspect(&self, token: &str) -> Result<Caller, Rejection> {
        let known = self.verify(token.as_bytes())?;
        self.live_caller(known).await
    }

    /// The claims of a token that was issued here, whether or not it has expired or its session has ended.
    pub(crate) fn recognize(&self, token: &str) -> Option<Claims> {
        self.verifier.verify_at_any_time(token).ok()
    }

    /// The claims of `token`: from memory when these very bytes were verified before and nothing has changed since.
    fn verify(&self, token: &[u8]) -> Result<Arc<Known>, Rejection> {
        let place = self.known.place(token);
        if let Some(known) = self.known.get(place) {
            match self.verifier.still_holds(&known.claims, known.generation) {
                Ok(true) => return Ok(known),
                Ok(false) => self.known.remove(place),
                Err(reason) => {
                    self.known.remove(place);
                    return Err(InvalidCredential::from(reason).into());
                }
            }
        }
        // Read before the keys are: should one be removed meanwhile, the token is verified again next time.
        let generation = self.verifier.generation();
        let claims = self.verifier.verify(bearer::token68(token)?).map_err(InvalidCredential::from)?;
        Ok(self.known.insert(place, claims, generation))
    }

    /// What makes a caller of a verified token, when its session is remembered to be live.
    fn remembered_context(&self, known: &Known) -> Option<Arc<Context>> {
        if self.liveness.remembers(&known.slot) { known.context.get().cloned() } else { None }
    }

    /// The caller, when the session of a verified token is live, by the store's word.
    async fn live_caller(&self, known: Arc<Known>) -> Result<Caller, Rejection> {
        let claims = &known.claims;
        let fence = self.liveness.fence(claims);
        let status = self.liveness.look_up(claims.session()).await.map_err(Rejection::Unavailable)?;
        let status = status.ok_or(InvalidCredential::SessionUnknown)?;
        check_session(claims, &status)?;
        let context = known.context.get_or_init(|| self.context(&status.call_source));
        if *context.call_source() != status.call_source {
            // The row is another than at first: nothing is remembered of it.
            let context = self.context(&status.call_source);
            return Ok(Caller::new(known, context));
        }
        if let Some(fence) = fence {
            known.slot.remember(fence, status.expires_in);
        }
        let context = context.clone();
        Ok(Caller::new(known, context))
    }

    /// What callers of this source have in common: made once for all of them.
    fn context(&self, source: &CallSource) -> Arc<Context> {
        let make = || Context::new(source.clone(), self.policy_version.clone(), self.authority.clone());
        let Ok(context) = self.contexts.get_or_insert_with(source, || Ok::<_, Infallible>(make().into()));
        context
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
    if status.user != *claims.user() || status.client != *claims.client() {
        return Err(InvalidCredential::SessionOfAnother);
    }
    match status.state {
        SessionState::Live => Ok(()),
        SessionState::Revoked => Err(InvalidCredential::SessionRevoked),
        SessionState::Expired => Err(InvalidCredential::SessionExpired),
    }
}
