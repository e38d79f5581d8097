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
use super::token_source::{TokenSource, TokenSources};
use crate::caller::{Caller, CallerKind};
use crate::clock::Moment;
use crate::header::Head;
use crate::id::{Audience, Scopes};
use crate::layer_verdict::LayerVerdict;
use crate::rejection::{InvalidCredential, Rejection};
use crate::request_context::RequestContext;

/// Decides whether a request may come in: the decision that layer, extractors and tests all share.
///
/// [`Bridge::authenticator`](crate::Bridge::authenticator) makes one for an audience. It admits people's bridges alone;
/// [`admit_hook_clients`](Self::admit_hook_clients) admits hook clients too. What else a route requires is added with
/// [`require_scopes`](Self::require_scopes) and [`require_kind`](Self::require_kind). Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Authenticator {
    state: Arc<AuthState>,
    required: Requirements,
    /// Where the token may stand beside `Authorization`.
    sources: TokenSources,
}

impl Authenticator {
    /// How old an outer layer's word may be that an inner one takes. What lies between them for longer (a queue, a body that is
    /// read) may have seen the session end.
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

    /// Admits hook clients beside people's bridges. Default: they are refused with [`Rejection::CallerKind`].
    ///
    /// [`require_kind`](Self::require_kind) goes before it, whichever is called first.
    #[must_use]
    pub fn admit_hook_clients(mut self) -> Self {
        self.required.hook_clients = true;
        self
    }

    /// Requires a caller of this kind: with [`CallerKind::HookClient`], hook clients alone are admitted. Default: none
    /// is required, and people's bridges alone are admitted.
    #[must_use]
    pub fn require_kind(mut self, kind: CallerKind) -> Self {
        self.required.kind = Some(kind);
        self
    }

    /// Reads the token also from `source`; each call adds one. Default: from `Authorization` alone, which always counts.
    ///
    /// A request has its token in one place: in two it is refused with
    /// [`MalformedCredential::TwoCredentials`](crate::rejection::MalformedCredential::TwoCredentials), also when both
    /// hold the same. Clients that send one token as `Authorization` and as `X-Api-Key` need no source for the second:
    /// the layer removes it.
    #[must_use]
    pub fn token_from(mut self, source: TokenSource) -> Self {
        self.sources.add(source);
        self
    }

    /// The places beside `Authorization` that it reads the token from.
    pub(crate) const fn sources(&self) -> &TokenSources {
        &self.sources
    }

    /// Reads the headers of a request into `head`.
    pub(crate) fn read<'h>(&self, headers: &'h HeaderMap, head: &mut Head<'h>) {
        self.sources.read(headers, head);
    }

    /// Whether `token` was issued here, whether or not it has expired or its session has ended.
    pub(crate) fn recognize(&self, token: &str) -> Recognized {
        self.state.recognize(token)
    }

    pub(crate) fn audience(&self) -> &Audience {
        &self.required.audience
    }

    /// Lets callers without a session in.
    pub(crate) fn also_external(mut self) -> Self {
        self.required.external = true;
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
        let mut head = Head::default();
        self.read(headers, &mut head);
        let begun = self.begin(&head, Moment::now())?;
        let admitted = match begun {
            Begun::Admitted(admitted) => admitted,
            Begun::Pending(pending) => self.finish(pending).await?,
        };
        match admitted {
            Admitted::Caller(caller) => Ok(caller),
            Admitted::External(_) => {
                Err(Rejection::ExternalCaller { required: self.required.scopes.clone() })
            }
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

    /// The rest of it: the look-up of a verified token's session. For another issuer's token, its keys and its session.
    pub(crate) async fn finish(&self, pending: Pending) -> Result<Admitted, Rejection> {
        let finished = match pending {
            Pending::Session(verified) => {
                self.state.live_caller(verified).await.and_then(|caller| self.required.grant(caller))
            }
            Pending::External(external) => external::finish(&self.state, &self.required, external).await,
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
                self.required.admit_external(caller.clone()).map(Begun::Admitted)
            }),
            LayerVerdict::Anonymous => None,
        }
    }

    fn readmit_caller(&self, caller: &Caller, is_fresh: bool, now: Moment) -> Result<Begun, Rejection> {
        if !caller.is_for(&self.required.audience) {
            return Err(InvalidCredential::Audience.into());
        }
        if is_fresh {
            return self.required.grant(caller.clone()).map(Begun::Admitted);
        }
        let verified = caller.verified().clone();
        let again = self.state.verifier.check_again(&verified.claims, verified.generation, now.wall());
        again.map_err(InvalidCredential::from)?;
        match self.state.remembered_caller(verified, now) {
            Ok(caller) => self.required.grant(caller).map(Begun::Admitted),
            Err(verified) => Ok(Begun::Pending(Pending::Session(verified))),
        }
    }
}
