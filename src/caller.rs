//! Who calls: what the authenticator found out, in a form that only it can make.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::HeaderValue;

use crate::id::{Audience, CallSource, ClientId, PolicyVersion, Scopes, SessionId, UserId};
use crate::passage::Passage;
use crate::session::{SeenRow, Slot};
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
    known: Arc<Known>,
    /// Where the row of its session is another than the token's own context says.
    context: Option<Arc<Context>>,
    /// What the layer that let it in left for the request; nothing where no layer did.
    passage: Option<Passage>,
}

/// A token whose signature and claims hold, and what was made of it once: a caller as soon as its session is live.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) claims: Claims,
    /// The generation of the key ring that it was verified with.
    pub(crate) generation: u64,
    /// About how many bytes it keeps of what tokens mostly share.
    pub(crate) unshared: usize,
    /// What the session's row said of its caller when it was first seen.
    pub(crate) context: OnceLock<Arc<Context>>,
    pub(crate) slot: Slot,
    /// The session as it is looked up, and the row of it that fitted the claims and the context.
    pub(crate) session: SessionKey,
    pub(crate) seen: SeenRow,
    /// `x-user-id`, `x-session-id` and `x-client-id`: written to every request, so made once.
    headers: [HeaderValue; 3],
}

/// What the callers of one bridge and one call source have in common.
#[derive(Debug)]
pub(crate) struct Context {
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
    pub(crate) fn new(known: Arc<Known>, context: Arc<Context>) -> Self {
        let is_own = Arc::ptr_eq(known.context.get_or_init(|| context.clone()), &context);
        Self { known, context: if is_own { None } else { Some(context) }, passage: None }
    }

    /// The caller of a token that made one before; else the token again. Nothing is counted that all callers share: every
    /// processor would wait for it.
    pub(crate) fn seen_before(known: Arc<Known>) -> Result<Self, Arc<Known>> {
        if known.context.get().is_none() {
            return Err(known);
        }
        Ok(Self { known, context: None, passage: None })
    }

    fn context(&self) -> &Context {
        let own =
            || self.known.context.get().expect("a token's context is set before a caller is made of it");
        self.context.as_ref().unwrap_or_else(own)
    }

    /// The same, let in by a layer.
    pub(crate) fn passing(self, passage: Passage) -> Self {
        Self { passage: Some(passage), ..self }
    }

    /// The same, without what the layer left: for a handler, which may keep it.
    #[cfg(feature = "axum")]
    pub(crate) fn for_handler(&self) -> Self {
        Self { known: self.known.clone(), context: self.context.clone(), passage: None }
    }

    pub(crate) const fn passage(&self) -> Option<&Passage> {
        self.passage.as_ref()
    }

    /// The person the request is for; of a hook client, its owner.
    #[must_use]
    pub fn user_id(&self) -> &UserId {
        self.known.claims.user()
    }

    /// The session the request belongs to: live when the request arrived.
    #[must_use]
    pub fn session_id(&self) -> &SessionId {
        self.known.claims.session()
    }

    /// The OAuth client that calls.
    #[must_use]
    pub fn client_id(&self) -> &ClientId {
        self.known.claims.client()
    }

    /// What the caller is.
    #[must_use]
    pub fn kind(&self) -> CallerKind {
        match self.known.claims.subject() {
            Subject::User(_) => CallerKind::User,
            Subject::HookClient { .. } => CallerKind::HookClient,
        }
    }

    /// The scopes granted to the token.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        self.known.claims.scopes()
    }

    /// What kind of program the session was opened for.
    #[must_use]
    pub fn call_source(&self) -> &CallSource {
        &self.context().call_source
    }

    /// The version of the host's policy the request is judged by.
    #[must_use]
    pub fn policy_version(&self) -> &PolicyVersion {
        &self.context().policy_version
    }

    /// The claims of the verified token.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.known.claims
    }

    pub(crate) const fn known(&self) -> &Arc<Known> {
        &self.known
    }

    pub(crate) fn is_vouched_for_by(&self, authority: &Authority) -> bool {
        self.context().authority.is(authority)
    }

    pub(crate) fn is_for(&self, audience: &Audience) -> bool {
        self.known.claims.audiences().contains(audience)
    }

    /// What the identity headers say, in the order of [`IDENTITY_HEADERS`](crate::header::IDENTITY_HEADERS); nothing for the
    /// trace, which is the request's.
    pub(crate) fn header_values(&self) -> [Option<&HeaderValue>; 6] {
        let [user, session, client] = &self.known.headers;
        let [policy_version, call_source] = &self.context().headers;
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

impl Known {
    pub(crate) fn new(claims: Claims, generation: u64, unshared: usize) -> Self {
        let headers = [
            claims.user().to_header_value(),
            claims.session().to_header_value(),
            claims.client().to_header_value(),
        ];
        let (context, slot, seen) = <(OnceLock<_>, Slot, SeenRow)>::default();
        let (session, headers) = (SessionKey::of(claims.session().clone()), in_one_block(&headers));
        Self { claims, generation, unshared, context, slot, session, seen, headers }
    }

    /// How many bytes the values of its headers take.
    pub(crate) fn header_bytes(&self) -> usize {
        self.headers.iter().map(HeaderValue::len).sum()
    }
}

impl Context {
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
