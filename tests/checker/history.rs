//! The history of one person's sessions, and what must never be in it.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::iter;
use std::time::Duration;

/// Longer than any request may take, also on a busy machine, because the gateway has its own deadline.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a revocation by an event of the identity provider is called.
pub const EVENT: &str = "event";

/// What a revocation by a logout token of the identity provider is called.
pub const LOGOUT: &str = "logout token";

/// One person's sessions, with the requests and the answers. Times are from the checker's own clock, since its start.
#[derive(Debug, Default)]
pub struct History {
    /// When each session was opened. Other members name a session by its index here.
    pub openings: Vec<Span>,
    /// Sessions that hang on another one, by its index here: an agent got them in exchange for a token of the other one.
    pub parents: HashMap<usize, usize>,
    /// The sessions of the tokens that actors showed for these sessions.
    pub actors: HashMap<usize, usize>,
    /// The sessions of a colleague, who acts for the person.
    pub colleagues: HashSet<usize>,
    pub calls: Vec<Call>,
    pub revocations: Vec<Revocation>,
    /// Answers that no gateway may give, to other requests.
    pub surprises: Vec<String>,
}

/// What gateways promise about an acknowledged revocation.
#[derive(Debug, Clone, Copy)]
pub struct Promise {
    /// How far a watched gateway may lag behind its server. Zero: the gateway is strict.
    pub max_lag: Duration,
    /// How old a strict gateway's proof may be that its server is still the primary.
    pub max_proof_age: Duration,
}

/// The time from before a request was sent until after it was answered.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub sent: Duration,
    pub answered: Duration,
}

/// A request with the token of a session.
#[derive(Debug, Clone)]
pub struct Call {
    pub session: usize,
    pub gateway: usize,
    pub span: Span,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    LetIn,
    /// 401.
    Refused,
    /// 503.
    Unavailable,
    /// An answer that no gateway may give.
    Other(String),
}

/// A request that ends sessions.
#[derive(Debug, Clone)]
pub struct Revocation {
    pub what: &'static str,
    /// This session, and all that hang on it. `None`: all sessions of the person, or of the colleague.
    pub session: Option<usize>,
    pub of_colleague: bool,
    pub span: Span,
    /// If it was not acknowledged, the revocation may have happened, may happen later, or may never happen.
    pub acknowledged: bool,
}

/// How long a revocation was not in force on some gateway after its acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delay {
    /// Until the last request was sent that was let in. Zero: no request was let in.
    pub last_let_in: Duration,
    /// Until the first request after that was sent. With few requests, this figure is too large rather than too small.
    pub in_force: Duration,
}

/// An entry of the history that breaks the promise.
#[derive(Debug)]
pub enum Violation {
    Call {
        why: &'static str,
        call: Call,
        /// The revocation that was not respected, and how long after it a call may be let in.
        revocation: Option<(Revocation, Duration)>,
    },
    Surprise(String),
}

impl Promise {
    pub fn strict(max_proof_age: Duration) -> Self {
        Self { max_lag: Duration::ZERO, max_proof_age }
    }

    /// How long after a revocation's acknowledgement a request may be sent and let in. With one primary, a strict
    /// gateway sees the revocation at once. Beside a second primary, it goes on until its last proof is too old.
    fn late(&self, two_primaries: bool) -> Duration {
        match two_primaries && self.max_lag.is_zero() {
            true => self.max_proof_age,
            false => self.max_lag,
        }
    }

    /// The longest time that a gateway may trust an old primary.
    pub fn longest(&self) -> Duration {
        self.max_lag.max(self.max_proof_age)
    }
}

impl History {
    /// Everything that breaks the promise. `doubled` are the times with two primaries.
    pub fn violations(&self, promise: &Promise, doubled: &[Span]) -> Vec<Violation> {
        let surprises = self.surprises.iter().cloned().map(Violation::Surprise);
        self.calls.iter().filter_map(|call| self.violation(call, promise, doubled)).chain(surprises).collect()
    }

    /// The delays of each session's first revocation, one for each gateway that was tried.
    pub fn delays(&self) -> Vec<Delay> {
        let ended = (0..self.openings.len()).filter_map(|session| Some((session, self.end(session)?)));
        ended.flat_map(|(session, end)| self.delays_of(session, end.span.answered)).collect()
    }

    /// Whether it was acknowledged that the session is revoked.
    pub fn is_ended(&self, session: usize) -> bool {
        self.revocations.iter().any(|revocation| self.surely_ends(revocation, session))
    }

    /// Over how many links it hangs on a bridge.
    pub fn depth(&self, session: usize) -> usize {
        self.above(session).count()
    }

    fn violation(&self, call: &Call, promise: &Promise, doubled: &[Span]) -> Option<Violation> {
        let violation = |why, revocation| Some(Violation::Call { why, call: call.clone(), revocation });
        if call.span.answered.saturating_sub(call.span.sent) > PATIENCE {
            return violation("the answer took too long", None);
        }
        match call.verdict {
            Verdict::LetIn => {
                let late = |end: &Revocation| promise.late(end.span.overlaps(doubled));
                let ends =
                    self.revocations.iter().filter(|revocation| self.surely_ends(revocation, call.session));
                let broken = ends
                    .map(|end| (end, late(end)))
                    .find(|(end, late)| call.span.sent > end.span.answered + *late);
                let (end, late) = broken?;
                violation("let in although revoked", Some((end.clone(), late)))
            }
            Verdict::Refused => {
                let may_be_revoked = self.may_be_ended(call.session, call.span.answered);
                let excused = may_be_revoked || self.may_be_unknown(call, promise, doubled);
                (!excused).then(|| violation("refused, although nobody revoked it", None))?
            }
            Verdict::Unavailable => None,
            Verdict::Other(_) => violation("an answer that no gateway may give", None),
        }
    }

    /// Whether the session may have been revoked by an answer at this time.
    pub fn may_be_ended(&self, session: usize, answered: Duration) -> bool {
        let mut revocations = self.revocations.iter();
        revocations.any(|revocation| revocation.span.sent < answered && self.may_end(revocation, session))
    }

    /// Whether the session, or one of whoever acts by it, was opened on a new primary a short time ago. Then an old
    /// primary does not know it.
    fn may_be_unknown(&self, call: &Call, promise: &Promise, doubled: &[Span]) -> bool {
        let is_young = |session: usize| {
            let opening = &self.openings[session];
            opening.overlaps(doubled) && call.span.sent < opening.answered + promise.longest()
        };
        is_young(call.session) || self.actors_of(call.session).any(is_young)
    }

    /// The first acknowledgement that the session is revoked.
    fn end(&self, session: usize) -> Option<&Revocation> {
        let ends = self.revocations.iter().filter(|revocation| self.surely_ends(revocation, session));
        ends.min_by_key(|revocation| revocation.span.answered)
    }

    fn surely_ends(&self, revocation: &Revocation, session: usize) -> bool {
        let ends = |session| self.surely_ends_itself(revocation, session);
        ends(session) || self.actors_of(session).any(ends)
    }

    fn surely_ends_itself(&self, revocation: &Revocation, session: usize) -> bool {
        let was_open = self.openings[session].answered < revocation.span.sent;
        revocation.acknowledged
            && match revocation.session {
                Some(named) if named == session => true,
                Some(named) => was_open && self.hangs_on(session, named),
                None => was_open && self.is_of_the_same(revocation, session),
            }
    }

    fn may_end(&self, revocation: &Revocation, session: usize) -> bool {
        let may_end = |session| self.may_end_itself(revocation, session);
        may_end(session) || self.actors_of(session).any(may_end)
    }

    fn may_end_itself(&self, revocation: &Revocation, session: usize) -> bool {
        let may_be_open = !revocation.acknowledged || self.openings[session].sent < revocation.span.answered;
        match revocation.session {
            Some(named) if named == session => true,
            Some(named) => may_be_open && self.hangs_on(session, named),
            None => may_be_open && self.is_of_the_same(revocation, session),
        }
    }

    fn is_of_the_same(&self, revocation: &Revocation, session: usize) -> bool {
        revocation.of_colleague == self.colleagues.contains(&session)
    }

    /// The sessions of those who act by this one: they showed a token for it, or for one that it hangs on.
    fn actors_of(&self, session: usize) -> impl Iterator<Item = usize> {
        iter::once(session)
            .chain(self.above(session))
            .filter_map(|session| self.actors.get(&session).copied())
    }

    /// Whether the session hangs on `other`, over any number of links.
    fn hangs_on(&self, session: usize, other: usize) -> bool {
        self.above(session).any(|above| above == other)
    }

    /// The sessions that it hangs on, over any number of links.
    fn above(&self, session: usize) -> impl Iterator<Item = usize> {
        iter::successors(Some(session), |session| self.parents.get(session).copied()).skip(1)
    }

    fn delays_of(&self, session: usize, acknowledged: Duration) -> Vec<Delay> {
        let is_later = |call: &&Call| call.session == session && call.span.sent > acknowledged;
        let after =
            |call: &Call| (call.gateway, call.span.sent - acknowledged, call.verdict == Verdict::LetIn);
        let mut later: Vec<_> = self.calls.iter().filter(is_later).map(after).collect();
        later.sort_unstable();
        let on_gateways = later.chunk_by(|one, next| one.0 == next.0);
        on_gateways
            .filter_map(|calls| {
                let last = calls.iter().rposition(|(_, _, let_in)| *let_in);
                let (_, in_force, _) = *calls.get(last.map_or(0, |last| last + 1))?;
                Some(Delay { last_let_in: last.map_or(Duration::ZERO, |last| calls[last].1), in_force })
            })
            .collect()
    }
}

impl Span {
    /// Whether this span overlaps one of the others.
    pub fn overlaps(&self, others: &[Self]) -> bool {
        others.iter().any(|other| self.sent <= other.answered && other.sent <= self.answered)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (why, call, revocation) = match self {
            Self::Call { why, call, revocation } => (why, call, revocation),
            Self::Surprise(what) => return writeln!(f, "{what}"),
        };
        let Call { session, gateway, span, verdict } = call;
        writeln!(f, "{why}:\n  session {session} on gateway {gateway}, {span}: {verdict:?}")?;
        match revocation {
            Some((Revocation { what, span, .. }, late)) => {
                writeln!(
                    f,
                    "  revoked by: {what}, {span}; acknowledged; a call may be let in for {late:?} after that"
                )
            }
            None => Ok(()),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sent at {:?}, answered at {:?}", self.sent, self.answered)
    }
}

#[cfg(test)]
mod tests;
