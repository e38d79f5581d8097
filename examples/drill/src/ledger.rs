//! What was acknowledged, and what must never be seen after that. All times are from one clock, since the drill's
//! start.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::RngExt as _;
use rand::seq::IndexedRandom as _;

use super::outage::Outage;

/// For this long, a revoked session is called more often than others.
const RECENT: Duration = Duration::from_secs(15);
/// At most this many violations are described in words.
const TOLD: usize = 1000;

/// The ledger of one drill. All tasks that call and revoke share it.
#[derive(Debug)]
pub struct Ledger {
    start: Instant,
    pages: Mutex<Pages>,
}

/// The content of the ledger.
#[derive(Debug, Default)]
pub struct Pages {
    pub sessions: Vec<Session>,
    gateways: Vec<Gateway>,
    /// The times in which one untouched primary was known to be the only one: from when, until when.
    calms: Vec<(Duration, Option<Duration>)>,
    /// Sessions that nobody asked to revoke.
    live: Vec<usize>,
    /// Sessions that somebody asked to revoke, without an acknowledgement.
    unsure: Vec<usize>,
    recent: VecDeque<(Duration, usize)>,
    pub counts: Counts,
    pub told: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct Session {
    pub id: String,
    pub token: String,
    opened: Duration,
    /// When somebody first asked to revoke the session.
    asked: Option<Duration>,
    /// When a revocation was first acknowledged.
    pub revoked: Option<Duration>,
    /// Requests that were let in between these two times: the gateway, and when the request was sent.
    between: Vec<(usize, Duration)>,
    lost: bool,
}

#[derive(Debug)]
struct Gateway {
    name: String,
    allowance: Duration,
    /// A strict gateway lets no revoked session in while one primary is the only one.
    is_strict: bool,
    writes: Outage,
    guard: Outage,
}

/// The counts since the last failover.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counts {
    pub let_in: usize,
    pub refused: usize,
    pub unavailable: usize,
    /// Requests without an answer, or with an answer that no gateway may give.
    pub odd: usize,
    pub opened: usize,
    pub revoked: usize,
    /// Requests with a revoked session that were sent later than the mode allows, while something was wrong. Each of
    /// them could have been forbidden.
    pub judged: usize,
    /// Requests that were let in, although the mode forbids it.
    pub forbidden: usize,
    /// Requests that were refused although nobody asked for a revocation, later after the exchange than the mode
    /// allows.
    pub wrongly_refused: usize,
    pub lost_sessions: usize,
    pub lost_revocations: usize,
}

/// The time from before a request was sent until after it was answered.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub sent: Duration,
    pub answered: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    LetIn,
    /// 401.
    Refused,
    /// 503.
    Unavailable,
    Odd,
}

impl Ledger {
    pub fn new() -> Self {
        Self { start: Instant::now(), pages: Mutex::default() }
    }

    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }

    pub fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    /// Adds a gateway, and returns its index.
    pub fn add_gateway(&mut self, name: String, allowance: Duration, is_strict: bool) -> usize {
        let since = self.calms.last().and_then(|(_, until)| *until).unwrap_or_default();
        let (writes, guard) = (Outage::since(since), Outage::since(since));
        self.gateways.push(Gateway { name, allowance, is_strict, writes, guard });
        self.gateways.len() - 1
    }

    /// Notes that from `now` on one primary is the only one.
    pub fn calm(&mut self, now: Duration) {
        if self.calms.last().is_none_or(|(_, until)| until.is_some()) {
            self.calms.push((now, None));
        }
    }

    /// Notes that from `now` on nothing is certain. Failures from now on are part of an outage.
    pub fn fault(&mut self, now: Duration) {
        if let Some((_, until)) = self.calms.last_mut() {
            *until = Some(now);
        }
        for gateway in &mut self.gateways {
            gateway.writes = Outage::since(now);
            gateway.guard = Outage::since(now);
        }
    }

    /// The outages of writes and of guarded requests on a gateway since the last fault.
    pub fn outages(&self, gateway: usize) -> (&Outage, &Outage) {
        (&self.gateways[gateway].writes, &self.gateways[gateway].guard)
    }

    /// Notes that an exchange was acknowledged.
    pub fn opened(&mut self, id: String, token: String, at: Duration) {
        let (asked, revoked, between) = (None, None, Vec::new());
        self.sessions.push(Session { id, token, opened: at, asked, revoked, between, lost: false });
        self.live.push(self.sessions.len() - 1);
        self.counts.opened += 1;
    }

    /// Notes whether a write through a gateway was acknowledged.
    pub fn wrote(&mut self, gateway: usize, span: Span, acknowledged: bool) {
        self.gateways[gateway].writes.note(span, acknowledged);
    }

    /// Picks a session to revoke. From `now` on it may be revoked. The flag says whether somebody asked before.
    pub fn pick_to_revoke(&mut self, now: Duration) -> Option<(usize, bool)> {
        let mut rng = rand::rng();
        let again = !self.unsure.is_empty() && rng.random_bool(0.3);
        let from = if again { &mut self.unsure } else { &mut self.live };
        // Some sessions stay live, so that gateways have sessions to let in.
        if !again && from.len() < 10 {
            return None;
        }
        let session = from.swap_remove(rng.random_range(0..from.len()));
        self.sessions[session].asked.get_or_insert(now);
        self.recent.push_back((now, session));
        Some((session, again))
    }

    /// Notes how a revocation ended.
    pub fn revocation(&mut self, session: usize, span: Span, acknowledged: bool) {
        if !acknowledged {
            self.unsure.push(session);
            return;
        }
        self.counts.revoked += 1;
        self.recent.push_back((span.answered, session));
        self.sessions[session].revoked = Some(span.answered);
        for (gateway, sent) in std::mem::take(&mut self.sessions[session].between) {
            self.judge_let_in(session, gateway, sent);
        }
    }

    /// Picks a session to call with: a live one, or one that was revoked a short time ago.
    pub fn pick_to_call(&mut self, now: Duration) -> Option<usize> {
        while self.recent.front().is_some_and(|(at, _)| *at + RECENT < now) {
            self.recent.pop_front();
        }
        let mut rng = rand::rng();
        if !self.recent.is_empty() && rng.random_bool(0.5) {
            let place = rng.random_range(0..self.recent.len());
            return Some(self.recent[place].1);
        }
        self.live.choose(&mut rng).copied()
    }

    /// Notes the answer to a guarded request.
    pub fn called(&mut self, session: usize, gateway: usize, span: Span, verdict: Verdict) {
        let of = &mut self.sessions[session];
        let asked = of.asked.is_some_and(|asked| asked <= span.answered);
        // If the session may be revoked, a refusal says nothing about an outage.
        if !asked {
            self.gateways[gateway].guard.note(span, verdict == Verdict::LetIn);
        }
        let allowance = self.gateways[gateway].allowance;
        if of.revoked.is_some_and(|revoked| span.sent > revoked + allowance) && verdict != Verdict::Odd {
            self.counts.judged += usize::from(calm_at(&self.calms, span.sent).is_none());
        }
        match verdict {
            Verdict::LetIn => {
                self.counts.let_in += 1;
                if of.revoked.is_some() {
                    self.judge_let_in(session, gateway, span.sent);
                } else if asked {
                    of.between.push((gateway, span.sent));
                }
            }
            Verdict::Refused => {
                self.counts.refused += 1;
                if !asked && span.sent > of.opened + allowance {
                    self.counts.wrongly_refused += 1;
                    self.tell("refused, although nobody revoked it", session, gateway, span.sent);
                }
            }
            Verdict::Unavailable => self.counts.unavailable += 1,
            Verdict::Odd => {
                self.counts.odd += 1;
                self.tell("no answer, or one that no gateway may give", session, gateway, span.sent);
            }
        }
    }

    /// Notes the answer to a session's request after the recovery.
    pub fn recovered(&mut self, session: usize, gateway: usize, span: Span, verdict: Verdict) {
        let allowance = self.gateways[gateway].allowance;
        let of = &mut self.sessions[session];
        let good = match (of.revoked, of.asked) {
            // The request may have been sent before the revocation was acknowledged, or so soon after it that the mode
            // allows it.
            (Some(at), _) => verdict != Verdict::LetIn || span.sent <= at + allowance,
            // It is not known whether the session was revoked.
            (None, Some(_)) => true,
            (None, None) => verdict == Verdict::LetIn,
        };
        if good || of.lost {
            return;
        }
        of.lost = true;
        if of.revoked.is_some() {
            self.counts.lost_revocations += 1;
            self.tell("an acknowledged revocation is lost", session, gateway, span.sent);
        } else {
            self.counts.lost_sessions += 1;
            self.tell("an acknowledged session is lost", session, gateway, span.sent);
        }
    }

    fn judge_let_in(&mut self, session: usize, gateway: usize, sent: Duration) {
        let Some(revoked) = self.sessions[session].revoked else { return };
        let of = &self.gateways[gateway];
        let calm = calm_at(&self.calms, revoked);
        let same_calm = calm.is_some() && calm == calm_at(&self.calms, sent);
        let allowance = if of.is_strict && same_calm { Duration::ZERO } else { of.allowance };
        if sent > revoked + allowance {
            self.counts.forbidden += 1;
            let why = if same_calm {
                "let in although revoked, with one primary"
            } else {
                "let in although revoked"
            };
            self.tell(why, session, gateway, sent);
        }
    }

    fn tell(&mut self, why: &str, session: usize, gateway: usize, sent: Duration) {
        if self.told.len() < TOLD {
            let Session { id, opened, revoked, .. } = &self.sessions[session];
            let name = &self.gateways[gateway].name;
            let since = revoked
                .map(|at| format!(", {:.3?} after its revocation was acknowledged", sent.saturating_sub(at)));
            let since =
                since.unwrap_or_else(|| format!(", {:.3?} after its exchange", sent.saturating_sub(*opened)));
            self.told.push(format!("{why}: session {id} on {name}, sent at {sent:.3?}{since}"));
        }
    }
}

/// The index of the calm time that contains `at`, if any.
fn calm_at(calms: &[(Duration, Option<Duration>)], at: Duration) -> Option<usize> {
    calms.iter().rposition(|(from, until)| *from <= at && until.is_none_or(|until| at < until))
}
