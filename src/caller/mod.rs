//! Who calls: what the authenticator found out, in a form that only it can make.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::HeaderValue;

use crate::id::{Audience, CallSource, ClientId, PolicyVersion, Scopes, SessionId, UserId};
use crate::request_context::RequestContext;
use crate::session::{CachedVerdict, MatchedRow};
use crate::store::SessionKey;
use crate::token::{Claims, Subject};

/// An authenticated caller: a verified token and its live session.
///
/// Only [`Authenticator`](crate::Authenticator) makes one, so a `Caller` in a request's extensions is proof
/// that the guard ran for this request. Cloning is cheap.
///
/// It says who called when the guard ran, and no more. Whoever puts a `Caller` of one request into the extensions of another vouches
/// for that himself: extractors and, for a second, layers take it at its word.
#[derive(Clone)]
pub struct Caller {
    verified: Arc<VerifiedToken>,
    /// Where the row of its session is another than the token's own group says.
    group: Option<Arc<CallerGroup>>,
    /// What the layer that let it in left for the request; nothing where no layer did.
    request_context: Option<RequestContext>,
}

/// A token whose signature and claims hold, and what was made of it once: a caller as soon as its session is live.
#[derive(Debug)]
pub(crate) struct VerifiedToken {
    pub(crate) claims: Claims,
    /// The generation of the key ring that it was verified with.
    pub(crate) generation: u64,
    /// About how many bytes it keeps of what tokens mostly share.
    pub(crate) unshared: usize,
    /// What the session's row said of its caller when it was first matched_row.
    pub(crate) group: OnceLock<Arc<CallerGroup>>,
    pub(crate) verdict: CachedVerdict,
    /// The session as it is looked up, and the row of it that fitted the claims and the group.
    pub(crate) session: SessionKey,
    pub(crate) matched_row: MatchedRow,
    /// `x-user-id`, `x-session-id` and `x-client-id`: written to every request, so made once.
    headers: [HeaderValue; 3],
}

/// What the callers of one bridge and one call source have in common.
#[derive(Debug)]
pub(crate) struct CallerGroup {
    call_source: CallSource,
    policy_version: PolicyVersion,
    authority: Authority,
    /// `x-policy-version` and `x-call-source`.
    headers: [HeaderValue; 2],
}

/// What a caller is: part of what a route may require.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallerKind {
    /// A person's bridge, with a token that carries the person in `sub`.
    User,
    /// A person's hook client (`client_credentials`), which acts for its owner. It comes in only where the host
    /// [admits hook clients](crate::BridgeAuthLayer::admit_hook_clients).
    HookClient,
}

/// Which bridge vouches for a caller: compared by identity, so that a layer trusts no other's callers.
#[derive(Clone)]
pub(crate) struct Authority(Arc<()>);

impl Caller {
    pub(crate) fn new(verified: Arc<VerifiedToken>, group: Arc<CallerGroup>) -> Self {
        let is_own = Arc::ptr_eq(verified.group.get_or_init(|| group.clone()), &group);
        Self { verified, group: if is_own { None } else { Some(group) }, request_context: None }
    }

    /// The caller of a token that made one before; else the token again. Nothing is counted that all callers share: every
    /// processor would wait for it.
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

    /// The same, let in by a layer.
    pub(crate) fn passing(self, request_context: RequestContext) -> Self {
        Self { request_context: Some(request_context), ..self }
    }

    /// The same, without what the layer left: for a handler, which may keep it.
    #[cfg(feature = "axum")]
    pub(crate) fn for_handler(&self) -> Self {
        Self { verified: self.verified.clone(), group: self.group.clone(), request_context: None }
    }

    pub(crate) const fn request_context(&self) -> Option<&RequestContext> {
        self.request_context.as_ref()
    }

    /// The person the request is for; of a hook client, its owner.
    #[must_use]
    pub fn user_id(&self) -> &UserId {
        self.verified.claims.user()
    }

    /// The session the request belongs to: live when the request arrived.
    #[must_use]
    pub fn session_id(&self) -> &SessionId {
        self.verified.claims.session()
    }

    /// The OAuth client that calls.
    #[must_use]
    pub fn client_id(&self) -> &ClientId {
        self.verified.claims.client()
    }

    /// What the caller is.
    #[must_use]
    pub fn kind(&self) -> CallerKind {
        match self.verified.claims.subject() {
            Subject::User(_) => CallerKind::User,
            Subject::HookClient { .. } => CallerKind::HookClient,
        }
    }

    /// The scopes granted to the token.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        self.verified.claims.scopes()
    }

    /// What kind of program the session was opened for.
    #[must_use]
    pub fn call_source(&self) -> &CallSource {
        &self.group().call_source
    }

    /// The version of the host's policy the request is judged by.
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

    /// What the identity headers say, in the order of [`IDENTITY_HEADERS`](crate::header::IDENTITY_HEADERS); nothing for the
    /// trace, which is the request's.
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

impl VerifiedToken {
    pub(crate) fn new(claims: Claims, generation: u64, unshared: usize) -> Self {
        let headers = [
            claims.user().to_header_value(),
            claims.session().to_header_value(),
            claims.client().to_header_value(),
        ];
        let (group, verdict, matched_row) = <(OnceLock<_>, CachedVerdict, MatchedRow)>::default();
        let (session, headers) = (SessionKey::of(claims.session().clone()), in_one_block(&headers));
        Self { claims, generation, unshared, group, verdict, session, matched_row, headers }
    }

    /// How many bytes the values of its headers take.
    pub(crate) fn header_bytes(&self) -> usize {
        self.headers.iter().map(HeaderValue::len).sum()
    }
}

impl CallerGroup {
    pub(crate) fn new(call_source: CallSource, policy_version: PolicyVersion, authority: Authority) -> Self {
        let headers = [policy_version.to_header_value(), call_source.to_header_value()].map(uncounted);
        Self { call_source, policy_version, authority, headers }
    }

    pub(crate) const fn call_source(&self) -> &CallSource {
        &self.call_source
    }
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self(Arc::new(()))
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authority")
    }
}

/// The same value. What all callers share is cloned for each request, and of the defaults nobody counts the clones.
fn uncounted(value: HeaderValue) -> HeaderValue {
    let defaults = [PolicyVersion::DEFAULT, CallSource::DEFAULT];
    let default = defaults.into_iter().find(|default| value == *default);
    default.map_or(value, HeaderValue::from_static)
}

/// The same values, in one allocation instead of one each.
fn in_one_block(values: &[HeaderValue; 3]) -> [HeaderValue; 3] {
    let block = values.each_ref().map(HeaderValue::as_bytes).concat().into_boxed_slice();
    // Counted from the start: a vector's bytes find out at each clone whether they are counted.
    let mut block = Bytes::from_owner(block);
    values.each_ref().map(|value| {
        HeaderValue::from_maybe_shared(block.split_to(value.len())).expect("it is a header value's text")
    })
}
