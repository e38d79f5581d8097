//! The read side: headers in, [`Caller`] or [`Rejection`] out.

mod bearer;
mod external;
mod live;
mod recognize;
mod session_end;
mod token_cache;
mod token_source;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName};
use quick_cache::sync::Cache;

pub(crate) use bearer::{after_scheme, has_query_token, is_bare_token};
pub(crate) use recognize::Recognized;
pub use session_end::SessionEnd;
pub(crate) use token_source::MARKER;
pub use token_source::TokenSource;

use crate::caller::{Authority, Caller, CallerGroup, CallerKind, VerifiedToken};
use crate::csrf::Origins;
use crate::external_issuer::{ExternalCaller, TrustedIssuers};
use crate::header::{Head, Lines};
use crate::id::{Audience, CallSource, PolicyVersion, Scopes};
use crate::layer_verdict::LayerVerdict;
use crate::rejection::{InvalidCredential, Rejection};
use crate::request_context::RequestContext;
use crate::session::{Liveness, Moment, WatchStatus};
use crate::store::StoreErrorKind;
use crate::token::{Claims, InvalidToken, TokenVerifier};
use external::{External, PendingExternal};
use token_cache::TokenCache;

/// Decides whether a request may come in: the decision that layer, extractors and tests all share.
///
/// [`Bridge::authenticator`](crate::Bridge::authenticator) makes one for an audience. It admits people's bridges alone;
/// [`admit_hook_clients`](Self::admit_hook_clients) admits hook clients too. What else a route requires is added with
/// [`require_scopes`](Self::require_scopes) and [`require_kind`](Self::require_kind). Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Authenticator {
    state: Arc<AuthState>,
    audience: Audience,
    scopes: Scopes,
    /// The one kind that may come in, where the host named one.
    kind: Option<CallerKind>,
    /// Whether hook clients may come in, where the host named no kind.
    hook_clients: bool,
    /// Whether callers without a session may come in.
    external: bool,
    /// Where the token may stand beside `Authorization`.
    sources: Vec<TokenSource>,
    /// The headers that are read for their sake.
    extra_headers: Vec<HeaderName>,
}

/// Who is let in.
#[derive(Debug, Clone)]
pub(crate) enum Admitted {
    /// With a live session.
    Caller(Caller),
    /// With another issuer's token, and no session.
    External(ExternalCaller),
}

impl Admitted {
    /// What the layer left on whose word it was taken; nothing where it was found out anew.
    pub(crate) const fn request_context(&self) -> Option<&RequestContext> {
        match self {
            Self::Caller(caller) => caller.request_context(),
            Self::External(caller) => caller.request_context(),
        }
    }
}

/// How far a request got without I/O.
pub(crate) enum Begun {
    /// It is in.
    Admitted(Admitted),
    /// There is something to be asked.
    Pending(Pending),
}

/// What is still to be asked. It holds nothing of the request.
pub(crate) enum Pending {
    /// The token is good; its session is to be looked up.
    Session(Arc<VerifiedToken>),
    /// The token is another issuer's.
    External(PendingExternal),
}

/// A bearer token: one of our own that holds, or one that may be another issuer's.
enum Token {
    Own(Arc<VerifiedToken>),
    External(External),
}

/// What all authenticators of one bridge share.
#[derive(Debug)]
pub(crate) struct AuthState {
    verifier: TokenVerifier,
    liveness: Arc<Liveness>,
    token_cache: TokenCache,
    groups: Cache<CallSource, Arc<CallerGroup>>,
    policy_version: PolicyVersion,
    authority: Authority,
    trusted: Option<TrustedIssuers>,
    origins: Origins,
}

impl AuthState {
    /// How many bytes the verified tokens may take: more than a hundred thousand of usual size.
    const TOKEN_CACHE_BYTES: u64 = 88 << 20;
    /// A host has a handful of call sources.
    const GROUPS: usize = 64;

    pub(crate) fn new(
        verifier: TokenVerifier,
        liveness: Arc<Liveness>,
        policy_version: PolicyVersion,
        trusted: Option<TrustedIssuers>,
        origins: Origins,
    ) -> Self {
        let token_cache = TokenCache::new(Self::TOKEN_CACHE_BYTES);
        let groups = Cache::new(Self::GROUPS);
        let authority = Authority::new();
        Self { verifier, liveness, token_cache, groups, policy_version, authority, trusted, origins }
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The origins whose pages may use a person's cookies here.
    pub(crate) fn origins(&self) -> &Origins {
        &self.origins
    }

    pub(crate) fn watch_status(&self) -> WatchStatus {
        self.liveness.watch_status()
    }

    /// The store kept a request from being judged, or an endpoint from answering.
    pub(crate) fn unavailable(&self, cause: StoreErrorKind) {
        self.liveness.unavailable(cause);
    }
}

impl Authenticator {
    /// How old an outer layer's word may be that an inner one takes. What lies between them for longer (a queue, a body that is
    /// read) may have seen the session end.
    const READMITS_WITHIN: Duration = Duration::from_secs(1);

    pub(crate) fn new(state: Arc<AuthState>, audience: Audience) -> Self {
        Self {
            state,
            audience,
            scopes: Scopes::default(),
            kind: None,
            hook_clients: false,
            external: false,
            sources: Vec::new(),
            extra_headers: Vec::new(),
        }
    }

    /// Requires all of `scopes`. Default: none.
    #[must_use]
    pub fn require_scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = scopes;
        self
    }

    /// Admits hook clients beside people's bridges. Default: they are refused with [`Rejection::CallerKind`].
    ///
    /// [`require_kind`](Self::require_kind) goes before it, whichever is called first.
    #[must_use]
    pub fn admit_hook_clients(mut self) -> Self {
        self.hook_clients = true;
        self
    }

    /// Requires a caller of this kind: with [`CallerKind::HookClient`], hook clients alone are admitted. Default: none
    /// is required, and people's bridges alone are admitted.
    #[must_use]
    pub fn require_kind(mut self, kind: CallerKind) -> Self {
        self.kind = Some(kind);
        self
    }

    pub(crate) fn audience(&self) -> &Audience {
        &self.audience
    }

    /// Lets callers without a session in.
    pub(crate) fn also_external(mut self) -> Self {
        self.external = true;
        self
    }

    /// Who sent a request with these headers.
    ///
    /// In this order, each step before the next: the size and the form of `Authorization` (and of the
    /// [other sources](Self::token_from) that it was told of), the form of the token, its signature, its claims, the audience, `x-session-id` where it is sent, the session in the
    /// store, scopes and kind. Nothing reaches the store before the signature holds.
    ///
    /// A token of [another issuer](crate::external_issuer) that has no session is refused with [`Rejection::ExternalCaller`].
    ///
    /// Give it the headers as they came in: it compares the `x-session-id` that the bridge sent with the
    /// token's. Of the other identity headers it reads none. It removes nothing: whoever hands the request on must take the
    /// token out of it, as the layer does.
    ///
    /// # Errors
    ///
    /// [`Rejection`]. A store that cannot answer is [`Rejection::Unavailable`], another issuer's keys that cannot be had
    /// are [`Rejection::IssuerUnavailable`]: the credential may be good.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the look-up and changes nothing.
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, Rejection> {
        let begun = self.begin(&self.head(headers), Moment::now())?;
        let admitted = match begun {
            Begun::Admitted(admitted) => admitted,
            Begun::Pending(pending) => self.finish(pending).await?,
        };
        match admitted {
            Admitted::Caller(caller) => Ok(caller),
            Admitted::External(_) => Err(Rejection::ExternalCaller { required: self.scopes.clone() }),
        }
    }

    /// Completes when the session of `caller` has ended: for what outlives a request, such as a WebSocket.
    ///
    /// At most `within` (10 ms to a day; what lies outside is taken as the nearest) passes between the moment
    /// from which a request of this session would be refused, or that of this call if it is later, and the
    /// completion. While the store cannot say, nothing proves the session live: after half that time it counts
    /// as ended, so give it several times what the store may take. That the token itself expires ends nothing.
    ///
    /// It costs a look-up every half of `within`, shared with all others that run; none with
    /// [`Freshness::Watched`](crate::Freshness::Watched).
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn session_end(&self, caller: &Caller, within: Duration) -> SessionEnd {
        SessionEnd::new(self.state.clone(), caller.verified().clone(), within)
    }

    /// All of [`authenticate`](Self::authenticate) that needs no I/O: the whole of it, when the session is
    /// remembered to be live.
    pub(crate) fn begin(&self, head: &Head<'_>, now: Moment) -> Result<Begun, Rejection> {
        let verified = match self.state.verify(self.find(head)?, now)? {
            Token::Own(verified) => verified,
            Token::External(external) => return self.begin_external(external, head, now),
        };
        self.check_claims(&verified.claims, head.session())?;
        match self.state.remembered_caller(verified, now) {
            Ok(caller) => self.grant(caller).map(Begun::Admitted),
            Err(verified) => Ok(Begun::Pending(Pending::Session(verified))),
        }
    }

    /// The rest of it: the look-up of a verified token's session. For another issuer's token, its keys and its session.
    pub(crate) async fn finish(&self, pending: Pending) -> Result<Admitted, Rejection> {
        let finished = match pending {
            Pending::Session(verified) => {
                self.state.live_caller(verified).await.and_then(|caller| self.grant(caller))
            }
            Pending::External(external) => self.finish_external(external).await,
        };
        if let Err(Rejection::Unavailable(cause)) = finished {
            self.state.unavailable(cause);
        }
        finished
    }

    /// Who was let in by an outer layer of the same bridge for this very request, held to what this one
    /// requires. `None` when no such layer ran.
    ///
    /// Its word is good for a second. After that the session is asked for again, and what can be told without the token's text: the
    /// outer layer has taken that away.
    pub(crate) fn readmit(
        &self,
        (outer, context): (LayerVerdict<'_>, &RequestContext),
        now: Moment,
    ) -> Option<Result<Begun, Rejection>> {
        let is_fresh = now.since(context.at) <= Self::READMITS_WITHIN;
        match outer {
            LayerVerdict::Caller(caller) => {
                let is_ours = caller.is_vouched_for_by(&self.state.authority);
                is_ours.then(|| self.readmit_caller(caller, is_fresh, now))
            }
            LayerVerdict::External(caller) => caller.is_vouched_for_by(&self.state.authority).then(|| {
                if !is_fresh {
                    caller.check()?;
                }
                self.admit_external(caller.clone()).map(Admitted::External).map(Begun::Admitted)
            }),
            LayerVerdict::Anonymous => None,
        }
    }

    fn readmit_caller(&self, caller: &Caller, is_fresh: bool, now: Moment) -> Result<Begun, Rejection> {
        if !caller.is_for(&self.audience) {
            return Err(InvalidCredential::Audience.into());
        }
        if is_fresh {
            return self.grant(caller.clone()).map(Begun::Admitted);
        }
        let verified = caller.verified().clone();
        let again = self.state.verifier.check_again(&verified.claims, verified.generation, now.wall());
        again.map_err(InvalidCredential::from)?;
        match self.state.remembered_caller(verified, now) {
            Ok(caller) => self.grant(caller).map(Begun::Admitted),
            Err(verified) => Ok(Begun::Pending(Pending::Session(verified))),
        }
    }

    fn check_claims(&self, claims: &Claims, declared: Lines<'_>) -> Result<(), InvalidCredential> {
        if !claims.audiences().contains(&self.audience) {
            return Err(InvalidCredential::Audience);
        }
        if !declared.all_are(claims.session().as_str()) {
            return Err(InvalidCredential::SessionIdMismatch);
        }
        Ok(())
    }

    /// Lets a caller in who is and has what is required.
    fn grant(&self, caller: Caller) -> Result<Admitted, Rejection> {
        let required = || self.scopes.clone();
        let found = caller.kind();
        if !self.admits(found) {
            return Err(Rejection::CallerKind { found, required: required() });
        }
        if !caller.scopes().contains_all(&self.scopes) {
            return Err(Rejection::InsufficientScope { required: required() });
        }
        Ok(Admitted::Caller(caller))
    }

    /// Whether callers of this kind may come in.
    fn admits(&self, kind: CallerKind) -> bool {
        match self.kind {
            Some(required) => kind == required,
            None => kind == CallerKind::User || self.hook_clients,
        }
    }
}

impl AuthState {
    /// The caller that `token` makes, whatever its audience: by the store's word of its session, whatever is remembered.
    pub(crate) async fn introspect(&self, token: &str) -> Result<Caller, Rejection> {
        match self.verify(token.as_bytes(), Moment::now())? {
            Token::Own(verified) => self.live_caller(verified).await,
            // What another issuer's token is worth, that issuer says.
            Token::External(_) => Err(InvalidCredential::from(InvalidToken::Issuer).into()),
        }
    }

    /// The claims of a token that was issued here and has not expired, whether or not its session has ended.
    pub(crate) fn unexpired(&self, token: &str) -> Option<Claims> {
        self.verifier.verify(token).ok()
    }

    /// The claims of `token`: from memory when these very bytes were verified before and nothing has changed since.
    fn verify(&self, token: &[u8], now: Moment) -> Result<Token, Rejection> {
        let place = self.token_cache.place(token);
        if let Some(verified) = self.token_cache.get(place) {
            match self.verifier.still_holds(&verified.claims, verified.generation, now.wall()) {
                Ok(true) => return Ok(Token::Own(verified)),
                Ok(false) => self.token_cache.remove(place),
                Err(reason) => {
                    self.token_cache.remove(place);
                    return Err(InvalidCredential::from(reason).into());
                }
            }
        }
        if let Some(token) = self.trusted.as_ref().and_then(|trusted| trusted.cached(place)) {
            return Ok(Token::External(External::Verified(token)));
        }
        // Read before the keys are: should one be removed meanwhile, the token is verified again next time.
        let generation = self.verifier.generation();
        let text = bearer::token68(token)?;
        match self.verifier.verify(text) {
            Ok(claims) => Ok(Token::Own(self.token_cache.insert(place, claims, generation))),
            Err(reason) => match self.trusted.as_ref().and_then(|trusted| trusted.named_by(text)) {
                Some(issuer) => Ok(Token::External(External::Unverified(place, text.into(), issuer.clone()))),
                None => Err(InvalidCredential::from(reason).into()),
            },
        }
    }

    /// The caller that a verified token makes, when its session is remembered to be live; else the token again.
    fn remembered_caller(
        &self,
        verified: Arc<VerifiedToken>,
        now: Moment,
    ) -> Result<Caller, Arc<VerifiedToken>> {
        if self.liveness.remembers(&verified.verdict, now) {
            Caller::seen_before(verified)
        } else {
            Err(verified)
        }
    }
}

impl From<InvalidCredential> for Rejection {
    fn from(credential: InvalidCredential) -> Self {
        Self::InvalidCredential(credential)
    }
}
