//! The decision over one request.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

use super::admitted::Admitted;
use super::external;
use super::pending::{Begun, Pending, Token};
use super::recognize::Recognized;
use super::requirements::Requirements;
use super::session_end::SessionEnd;
use super::state::AuthState;
use super::token_end::TokenEnd;
use super::token_source::{TokenSource, TokenSources};
use crate::caller::{Caller, CallerKind};
use crate::clock::Moment;
use crate::header::Head;
use crate::id::{Audience, Scopes};
use crate::layer_verdict::LayerVerdict;
use crate::rejection::{InvalidCredential, Refusal, Rejection};
use crate::request_context::RequestContext;

/// Decides whether a request may come in.
///
/// Layer, extractors and tests all share this decision.
///
/// [`Bridge::authenticator`](crate::Bridge::authenticator) makes one for an audience. It admits people's bridges.
/// [`admit_hook_clients`](Self::admit_hook_clients) admits hook clients too. [`require_scopes`](Self::require_scopes)
/// and [`require_kind`](Self::require_kind) add what else a route requires. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Authenticator {
    state: Arc<AuthState>,
    required: Requirements,
    /// The places beside `Authorization` that the token is read from.
    sources: TokenSources,
}

impl Authenticator {
    /// How old the verdict of an outer layer may be when an inner layer takes it.
    ///
    /// A request may wait longer between the two layers (in a queue, or while its body is read). Then its session may
    /// have ended meanwhile.
    const READMITS_WITHIN: Duration = Duration::from_secs(1);

    pub(crate) fn new(state: Arc<AuthState>, audience: Audience) -> Self {
        Self { state, required: Requirements::new(audience), sources: TokenSources::default() }
    }

    /// Requires all of `scopes`. Default: none.
    #[must_use]
    pub fn require_scopes(mut self, scopes: Scopes) -> Self {
        self.required.scopes = scopes;
        self
    }

    /// Admits hook clients, beside people's bridges. Default: they are refused with [`Rejection::CallerKind`].
    ///
    /// [`require_kind`](Self::require_kind) overrides this, in any order of the calls.
    #[must_use]
    pub fn admit_hook_clients(mut self) -> Self {
        self.required.hook_clients = true;
        self
    }

    /// Admits workloads, beside people's bridges. Default: they are refused with [`Rejection::CallerKind`].
    ///
    /// [`require_kind`](Self::require_kind) overrides this, in any order of the calls.
    #[must_use]
    pub fn admit_workloads(mut self) -> Self {
        self.required.workloads = true;
        self
    }

    /// Requires a caller of this kind. Default: no kind is required, and only people's bridges are admitted.
    ///
    /// With [`CallerKind::HookClient`], only hook clients are admitted.
    #[must_use]
    pub fn require_kind(mut self, kind: CallerKind) -> Self {
        self.required.kind = Some(kind);
        self
    }

    /// Reads the token also from `source`. Default: only `Authorization`, which is always read.
    ///
    /// Each call adds one source. A request may have its token in one place only. A token in two places is refused with
    /// [`MalformedCredential::TwoCredentials`](crate::rejection::MalformedCredential::TwoCredentials), even when both
    /// are the same. Some clients send one token as `Authorization` and as `X-Api-Key`. They need no source for the
    /// second, because the layer removes it.
    #[must_use]
    pub fn token_from(mut self, source: TokenSource) -> Self {
        self.sources.add(source);
        self
    }

    /// The places beside `Authorization` that the token is read from.
    #[inline]
    pub(crate) const fn sources(&self) -> &TokenSources {
        &self.sources
    }

    /// Sorts the headers of a request into `head`, for the steps that read them.
    #[inline]
    pub(crate) fn read<'h>(&self, headers: &'h HeaderMap, head: &mut Head<'h>) {
        self.sources.read(headers, head);
    }

    /// Whether `token` was issued here. Its expiry and its session make no difference.
    pub(crate) fn recognize(&self, token: &str) -> Recognized {
        self.state.recognize(token)
    }

    pub(crate) fn audience(&self) -> &Audience {
        &self.required.audience
    }

    /// Lets in callers without a session.
    pub(crate) fn also_external(mut self) -> Self {
        self.required.external = true;
        self
    }

    /// Finds out who sent a request with these headers.
    ///
    /// The steps run in this order:
    ///
    /// 1. the size and the form of `Authorization`, and of the [other sources](Self::token_from),
    /// 2. the form of the token,
    /// 3. its signature,
    /// 4. its claims,
    /// 5. the audience,
    /// 6. `x-session-id`, where it was sent,
    /// 7. the session in the store,
    /// 8. scopes and kind.
    ///
    /// Nothing reaches the store before the signature holds.
    ///
    /// A token of an [external issuer](crate::external_issuer) that has no session is refused with
    /// [`Rejection::ExternalCaller`].
    ///
    /// Give it the headers as the client sent them: it compares the `x-session-id` of the bridge with the session of
    /// the token. It reads no other identity header. It removes nothing. Code that forwards the request must remove the
    /// token, as the layer does.
    ///
    /// # Errors
    ///
    /// [`Rejection`]. [`Rejection::Unavailable`] means that the store cannot answer. [`Rejection::IssuerUnavailable`]
    /// means that the keys of an external issuer could not be fetched. In both cases the credential may be good.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the look-up and changes nothing.
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, Rejection> {
        let mut head = Head::default();
        self.read(headers, &mut head);
        let begun = self.begin(&head, Moment::now()).map_err(|refusal| refusal.rejection)?;
        let admitted = match begun {
            Begun::Admitted(admitted) => admitted,
            Begun::Pending(pending) => self.finish(pending).await.map_err(|refusal| refusal.rejection)?,
        };
        match admitted {
            Admitted::Caller(caller) => Ok(caller),
            Admitted::External(_) => {
                Err(Rejection::ExternalCaller { required: self.required.scopes.clone() })
            }
        }
    }

    /// Completes when the session of `caller` has ended.
    ///
    /// Use it for what outlives a request, such as a WebSocket.
    ///
    /// The future completes at most `within` after the moment from which a request of this session would be refused, or
    /// after this call if that is later. `within` is 10 ms to 24 h; a value outside is replaced by the nearest of the
    /// two.
    ///
    /// When nothing has proved the session live for `within`, it counts as ended. The last half of this time is for
    /// asking. So choose several times what the store may take. The expiry of the token does not end the session:
    /// [`token_end`](Self::token_end) waits for that.
    ///
    /// It costs one look-up in every half of `within`, and shares queries with other look-ups. With
    /// [`Freshness::Watched`](crate::Freshness::Watched) it costs none, unless the token depends on the session of an actor.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn session_end(&self, caller: &Caller, within: Duration) -> SessionEnd {
        SessionEnd::new(self.state.clone(), caller.verified().clone(), within)
    }

    /// Completes when the token of `caller` has expired.
    ///
    /// Use it for what outlives a request, such as a WebSocket, where a client must come back with a new token. It costs
    /// nothing but a timer. When the clock is set, the future follows within 10 s.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn token_end(&self, caller: &Caller) -> TokenEnd {
        self.end_of_token(caller.claims().expires_at())
    }

    /// Completes at `expires_at`, in seconds since the Unix epoch.
    pub(crate) fn end_of_token(&self, expires_at: u64) -> TokenEnd {
        TokenEnd::new(self.state.clone(), expires_at)
    }

    /// The part of [`authenticate`](Self::authenticate) that needs no I/O. This is everything when a cached verdict
    /// says that the session is live.
    #[inline]
    pub(crate) fn begin(&self, head: &Head<'_>, now: Moment) -> Result<Begun, Refusal> {
        let verified = match self.state.verify(self.sources.find(head, &self.state.origins)?, now)? {
            Token::Own(verified) => verified,
            Token::External(external) => {
                return external::begin(&self.state, &self.required, external, head, now);
            }
        };
        self.required.check_claims(&verified.claims, head.session())?;
        match self.state.remembered_caller(verified, now) {
            Ok(caller) => self.required.grant(caller).map(Begun::Admitted),
            Err(verified) => Ok(Begun::Pending(Pending::Session(verified))),
        }
    }

    /// The rest of it: the look-up of the session. For an external issuer's token, first its keys and its session.
    pub(crate) async fn finish(&self, pending: Pending) -> Result<Admitted, Refusal> {
        let finished = match pending {
            Pending::Session(verified) => {
                self.state.live_caller(verified).await.and_then(|caller| self.required.grant(caller))
            }
            Pending::External(external) => external::finish(&self.state, &self.required, external).await,
        };
        if let Err(Refusal { rejection: Rejection::Unavailable(cause), .. }) = &finished {
            self.state.unavailable(*cause);
        }
        finished
    }

    /// Takes the verdict of an outer layer of the same bridge on this request, and checks the requirements of this
    /// layer.
    ///
    /// `None`: no such layer ran. The verdict counts for one second. After that the session is looked up again, and the
    /// claims are checked again. The text of the token is not needed for that: the outer layer has removed it.
    pub(crate) fn readmit(
        &self,
        (outer, context): (LayerVerdict<'_>, &RequestContext),
        now: Moment,
    ) -> Option<Result<Begun, Refusal>> {
        let is_fresh = now.since(context.at) <= Self::READMITS_WITHIN;
        match outer {
            LayerVerdict::Caller(caller) => {
                let is_ours = caller.is_vouched_for_by(&self.state.authority);
                is_ours.then(|| self.readmit_caller(caller, is_fresh, now))
            }
            LayerVerdict::External(caller) => caller.is_vouched_for_by(&self.state.authority).then(|| {
                if !is_fresh {
                    caller.check().map_err(|reason| Refusal::new(reason, caller.claims().known()))?;
                }
                self.required.admit_external(caller.clone()).map(Begun::Admitted)
            }),
            LayerVerdict::Anonymous => None,
        }
    }

    fn readmit_caller(&self, caller: &Caller, is_fresh: bool, now: Moment) -> Result<Begun, Refusal> {
        let claims = caller.claims();
        if !caller.is_for(&self.required.audience) {
            return Err(self.required.wrong_audience(claims.known(), claims.audiences()));
        }
        if is_fresh {
            return self.required.grant(caller.clone()).map(Begun::Admitted);
        }
        let verified = caller.verified().clone();
        let again = self.state.verifier.check_again(&verified.claims, verified.generation, now.wall());
        again.map_err(|reason| Refusal::new(InvalidCredential::from(reason), claims.known()))?;
        match self.state.remembered_caller(verified, now) {
            Ok(caller) => self.required.grant(caller).map(Begun::Admitted),
            Err(verified) => Ok(Begun::Pending(Pending::Session(verified))),
        }
    }
}
