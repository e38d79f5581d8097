//! The result of the whole check, over all people.

use std::fmt;
use std::time::Duration;

use super::history::{Delay, EVENT, History, LOGOUT, Promise, Span, Verdict, Violation};

/// The counts of the check.
#[derive(Debug, Default)]
pub struct Report {
    pub let_in: usize,
    pub refused: usize,
    pub unavailable: usize,
    pub acknowledged: usize,
    /// How many of these were acknowledged while there were two primaries.
    pub beside: usize,
    pub unanswered: usize,
    /// How many of the acknowledged ones were events of the identity provider.
    pub events: usize,
    /// How many of the acknowledged ones were logout tokens of the identity provider.
    pub logouts: usize,
    /// How many sessions agents got in exchange for a token.
    pub exchanged: usize,
    /// For how many of them a colleague showed a token of their own.
    pub acted: usize,
    pub faults: usize,
    pub violations: Vec<Violation>,
    pub delays: Vec<Delay>,
    pub took: Duration,
}

impl Report {
    /// Adds one person's history. `doubled` are the times with two primaries during the history. Returns how often a
    /// gateway broke the promise.
    pub fn count(&mut self, history: &History, promise: &Promise, doubled: &[Span]) -> usize {
        for call in &history.calls {
            match call.verdict {
                Verdict::LetIn => self.let_in += 1,
                Verdict::Refused => self.refused += 1,
                Verdict::Unavailable => self.unavailable += 1,
                Verdict::Other(_) => {}
            }
        }
        let acknowledged = || history.revocations.iter().filter(|revocation| revocation.acknowledged);
        self.beside += acknowledged().filter(|revocation| revocation.span.overlaps(doubled)).count();
        self.events += acknowledged().filter(|revocation| revocation.what == EVENT).count();
        self.logouts += acknowledged().filter(|revocation| revocation.what == LOGOUT).count();
        self.exchanged += history.parents.len();
        self.acted += history.actors.len();
        let acknowledged = acknowledged().count();
        self.acknowledged += acknowledged;
        self.unanswered += history.revocations.len() - acknowledged;
        self.delays.extend(history.delays());
        let broken = history.violations(promise, doubled);
        let count = broken.len();
        self.violations.extend(broken);
        count
    }

    pub fn add(&mut self, part: Self) {
        self.let_in += part.let_in;
        self.refused += part.refused;
        self.unavailable += part.unavailable;
        self.acknowledged += part.acknowledged;
        self.beside += part.beside;
        self.unanswered += part.unanswered;
        self.events += part.events;
        self.logouts += part.logouts;
        self.exchanged += part.exchanged;
        self.acted += part.acted;
        self.delays.extend(part.delays);
        self.violations.extend(part.violations);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let requests = self.let_in + self.refused + self.unavailable;
        writeln!(
            f,
            "{requests} requests in {:.0} s, {:.0}/s: {} let in, {} refused, {} answered 503",
            self.took.as_secs_f64(),
            requests as f64 / self.took.as_secs_f64(),
            self.let_in,
            self.refused,
            self.unavailable
        )?;
        writeln!(
            f,
            "{} revocations were acknowledged, {} of them beside a second primary, {} of them events of the identity \
             provider and {} logout tokens; {} were not acknowledged; agents exchanged {} tokens, {} of them with one \
             of a colleague; {} faults",
            self.acknowledged,
            self.beside,
            self.events,
            self.logouts,
            self.unanswered,
            self.exchanged,
            self.acted,
            self.faults
        )?;
        let spread = |f: &mut fmt::Formatter<'_>, what, of: fn(&Delay) -> Duration| {
            let mut delays: Vec<_> = self.delays.iter().map(of).collect();
            delays.sort_unstable();
            let last = delays.len().saturating_sub(1);
            let at = |thousandths| delays.get(last * thousandths / 1000).copied().unwrap_or_default();
            writeln!(f, "{what}: p50 {:.1?}, p99 {:.1?}, maximum {:.1?}", at(500), at(990), at(1000))
        };
        spread(f, "from the answer to a revocation to the last request that was let in", |delay| {
            delay.last_let_in
        })?;
        spread(
            f,
            "from the answer to a revocation to the first request after which none was let in",
            |delay| delay.in_force,
        )?;
        for violation in self.violations.iter().take(20) {
            write!(f, "{violation}")?;
        }
        write!(f, "{} violations", self.violations.len())
    }
}
