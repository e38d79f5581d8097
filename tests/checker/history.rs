//! The history of one person's sessions, and what must never be in it.

use std::collections::HashMap;
use std::fmt;
use std::iter;
use std::time::Duration;

/// Longer than any request may take, also on a busy machine, because the gateway has its own deadline.
const PATIENCE: Duration = Duration::from_secs(15);

/// One person's sessions, with the requests and the answers. Times are from the checker's own clock, since its start.
#[derive(Debug, Default)]
pub struct History {
    /// When each session was opened. Other members name a session by its index here.
    pub openings: Vec<Span>,
    /// Sessions that hang on another one, by its index here: an agent got them in exchange for a token of the other one.
    pub parents: HashMap<usize, usize>,
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
    /// This session, and all that hang on it. `None`: all sessions of the person.
    pub session: Option<usize>,
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
                let may_be_revoked = self.revocations.iter().any(|revocation| {
                    revocation.span.sent < call.span.answered && self.may_end(revocation, call.session)
                });
                let excused = may_be_revoked || self.may_be_unknown(call, promise, doubled);
                (!excused).then(|| violation("refused, although nobody revoked it", None))?
            }
            Verdict::Unavailable => None,
            Verdict::Other(_) => violation("an answer that no gateway may give", None),
        }
    }

    /// Whether the session was opened on a new primary a short time ago. Then an old primary does not know it.
    fn may_be_unknown(&self, call: &Call, promise: &Promise, doubled: &[Span]) -> bool {
        let opening = &self.openings[call.session];
        opening.overlaps(doubled) && call.span.sent < opening.answered + promise.longest()
    }

    /// The first acknowledgement that the session is revoked.
    fn end(&self, session: usize) -> Option<&Revocation> {
        let ends = self.revocations.iter().filter(|revocation| self.surely_ends(revocation, session));
        ends.min_by_key(|revocation| revocation.span.answered)
    }

    fn surely_ends(&self, revocation: &Revocation, session: usize) -> bool {
        let was_open = self.openings[session].answered < revocation.span.sent;
        revocation.acknowledged
            && match revocation.session {
                Some(named) if named == session => true,
                Some(named) => was_open && self.hangs_on(session, named),
                None => was_open,
            }
    }

    fn may_end(&self, revocation: &Revocation, session: usize) -> bool {
        let may_be_open = !revocation.acknowledged || self.openings[session].sent < revocation.span.answered;
        match revocation.session {
            Some(named) if named == session => true,
            Some(named) => may_be_open && self.hangs_on(session, named),
            None => may_be_open,
        }
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
mod tests {
    use super::*;

    const LAG: Duration = Duration::from_millis(100);
    const MAX_PROOF_AGE: Duration = Duration::from_millis(50);

    fn span(sent: u64, answered: u64) -> Span {
        Span { sent: Duration::from_millis(sent), answered: Duration::from_millis(answered) }
    }

    fn call(session: usize, sent: u64, verdict: Verdict) -> Call {
        Call { session, gateway: 0, span: span(sent, sent + 5), verdict }
    }

    fn revocation(session: Option<usize>, sent: u64, acknowledged: bool) -> Revocation {
        Revocation { what: "test", session, span: span(sent, sent + 10), acknowledged }
    }

    /// Sessions opened from 0 to 10 ms and from 500 to 510 ms.
    fn history(revocations: Vec<Revocation>, call: Call) -> History {
        let openings = vec![span(0, 10), span(500, 510)];
        History { openings, calls: vec![call], revocations, ..History::default() }
    }

    fn breaks(history: &History, max_lag: Duration) -> bool {
        breaks_beside(&[], history, max_lag)
    }

    fn breaks_beside(doubled: &[Span], history: &History, max_lag: Duration) -> bool {
        !history.violations(&Promise { max_lag, max_proof_age: MAX_PROOF_AGE }, doubled).is_empty()
    }

    #[test]
    fn one_let_in_too_late_is_a_violation() {
        for named in [Some(0), None] {
            let at = |sent| history(vec![revocation(named, 200, true)], call(0, sent, Verdict::LetIn));
            assert!(!breaks(&at(209), Duration::ZERO), "sent before the answer");
            assert!(breaks(&at(211), Duration::ZERO));
            assert!(!breaks(&at(309), LAG));
            assert!(breaks(&at(311), LAG));
        }
    }

    #[test]
    fn beside_a_second_primary_a_strict_gateway_may_let_in_until_its_proof_is_too_old() {
        let at = |sent| history(vec![revocation(Some(0), 200, true)], call(0, sent, Verdict::LetIn));
        for doubled in [span(100, 900), span(0, 205), span(205, 900)] {
            assert!(!breaks_beside(&[doubled], &at(259), Duration::ZERO));
            assert!(breaks_beside(&[doubled], &at(261), Duration::ZERO));
            assert!(!breaks_beside(&[doubled], &at(309), LAG));
            assert!(breaks_beside(&[doubled], &at(311), LAG));
        }
        for doubled in [span(0, 199), span(211, 900)] {
            assert!(breaks_beside(&[doubled], &at(212), Duration::ZERO), "there was one primary");
        }
    }

    #[test]
    fn a_later_revocation_may_bind_where_an_earlier_one_does_not_yet() {
        let both = vec![revocation(Some(0), 200, true), revocation(Some(0), 220, true)];
        let seen = history(both, call(0, 240, Verdict::LetIn));
        assert!(breaks_beside(&[span(0, 215)], &seen, Duration::ZERO));
        assert!(!breaks_beside(&[span(0, 225)], &seen, Duration::ZERO));
    }

    #[test]
    fn beside_a_second_primary_a_new_session_may_be_unknown_until_the_proof_is_too_old() {
        let at = |sent| history(vec![], call(1, sent, Verdict::Refused));
        let doubled = [span(400, 900)];
        assert!(!breaks_beside(&doubled, &at(559), Duration::ZERO));
        assert!(breaks_beside(&doubled, &at(561), Duration::ZERO));
        assert!(!breaks_beside(&doubled, &at(609), LAG));
        assert!(breaks_beside(&doubled, &at(611), LAG));
        let known_before = history(vec![], call(0, 520, Verdict::Refused));
        assert!(breaks_beside(&doubled, &known_before, LAG));
    }

    #[test]
    fn what_was_not_acknowledged_or_is_another_sessions_binds_nobody() {
        let unanswered = history(vec![revocation(Some(0), 200, false)], call(0, 900, Verdict::LetIn));
        assert!(!breaks(&unanswered, LAG));
        let of_another = history(vec![revocation(Some(1), 600, true)], call(0, 900, Verdict::LetIn));
        assert!(!breaks(&of_another, LAG));
        let opened_later = history(vec![revocation(None, 200, true)], call(1, 900, Verdict::LetIn));
        assert!(!breaks(&opened_later, LAG));
    }

    #[test]
    fn a_refusal_needs_a_revocation_that_may_have_happened() {
        let refused =
            |revocations, session, sent| history(revocations, call(session, sent, Verdict::Refused));
        assert!(breaks(&refused(vec![], 0, 100), LAG));
        assert!(!breaks(&refused(vec![revocation(Some(0), 100, false)], 0, 100), LAG));
        assert!(breaks(&refused(vec![revocation(Some(0), 200, true)], 0, 100), LAG), "it was revoked later");
        assert!(breaks(&refused(vec![revocation(None, 200, true)], 1, 600), LAG), "it was opened later");
        assert!(!breaks(&refused(vec![revocation(None, 495, true)], 1, 600), LAG), "it was being opened");
    }

    /// Session 1 hangs on session 0.
    fn of_two(revocations: Vec<Revocation>, call: Call) -> History {
        History { parents: [(1, 0)].into(), ..history(revocations, call) }
    }

    #[test]
    fn whoever_hangs_on_a_session_ends_with_it_and_not_the_other_way_round() {
        let end = |named, sent| vec![revocation(Some(named), sent, true)];
        assert!(breaks(&of_two(end(0, 600), call(1, 700, Verdict::LetIn)), Duration::ZERO));
        assert!(!breaks(&of_two(end(0, 600), call(1, 611, Verdict::LetIn)), LAG));
        assert!(!breaks(&of_two(end(0, 600), call(1, 700, Verdict::Refused)), Duration::ZERO));
        assert!(!breaks(&of_two(end(1, 600), call(0, 700, Verdict::LetIn)), Duration::ZERO));
        assert!(breaks(&of_two(end(1, 600), call(0, 700, Verdict::Refused)), Duration::ZERO));
        // It was being opened when the other one ended: it may live or not.
        assert!(!breaks(&of_two(end(0, 505), call(1, 700, Verdict::LetIn)), Duration::ZERO));
        assert!(!breaks(&of_two(end(0, 505), call(1, 700, Verdict::Refused)), Duration::ZERO));
    }

    #[test]
    fn over_several_links_too() {
        let openings = vec![span(0, 10), span(20, 30), span(40, 50)];
        let at = |verdict| History {
            openings: openings.clone(),
            parents: [(1, 0), (2, 1)].into(),
            calls: vec![call(2, 200, verdict)],
            revocations: vec![revocation(Some(0), 100, true)],
            ..History::default()
        };
        assert!(breaks(&at(Verdict::LetIn), Duration::ZERO));
        assert!(!breaks(&at(Verdict::Refused), Duration::ZERO));
    }

    #[test]
    fn an_answer_that_is_none_of_the_three_or_never_comes_is_a_violation() {
        assert!(!breaks(&history(vec![], call(0, 100, Verdict::Unavailable)), LAG));
        assert!(breaks(&history(vec![], call(0, 100, Verdict::Other("500".to_owned()))), LAG));
        let late = Call { span: span(100, 16_000), ..call(0, 100, Verdict::Unavailable) };
        assert!(breaks(&history(vec![], late), LAG));
    }

    #[test]
    fn a_revocation_is_in_force_when_none_is_let_in_any_more() {
        let mut seen = history(vec![revocation(Some(0), 200, true)], call(0, 220, Verdict::LetIn));
        seen.calls.push(call(0, 230, Verdict::Refused));
        seen.calls.push(call(0, 240, Verdict::LetIn));
        seen.calls.push(call(0, 250, Verdict::Unavailable));
        seen.calls.push(Call { gateway: 1, ..call(0, 211, Verdict::Refused) });
        let delay = |last_let_in, in_force| Delay {
            last_let_in: Duration::from_millis(last_let_in),
            in_force: Duration::from_millis(in_force),
        };
        assert_eq!(seen.delays(), [delay(30, 40), delay(0, 1)]);
    }
}
