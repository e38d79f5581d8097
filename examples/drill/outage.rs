//! From when to when something did not work.

use std::time::Duration;

use super::ledger::Span;

/// What was tried since a fault.
#[derive(Debug, Default)]
pub struct Outage {
    since: Option<Duration>,
    tries: Vec<(Span, bool)>,
}

/// How long it lasted.
#[derive(Debug, Default, Clone, Copy)]
pub struct Recovery {
    /// From sending the first that failed to the first answer that was good, to what was sent after it.
    pub first: Duration,
    /// The same, to the first good one after the last that failed.
    pub steady: Duration,
}

impl Recovery {
    /// The longer of two, each way of telling for itself.
    pub fn longer(self, other: Self) -> Self {
        Self { first: self.first.max(other.first), steady: self.steady.max(other.steady) }
    }
}

impl Outage {
    pub fn since(fault: Duration) -> Self {
        Self { since: Some(fault), tries: Vec::new() }
    }

    /// What was sent before the fault does not count.
    pub fn note(&mut self, span: Span, good: bool) {
        if self.since.is_some_and(|since| since <= span.sent) {
            self.tries.push((span, good));
        }
    }

    pub fn has_a_good_one(&self) -> bool {
        self.tries.iter().any(|(_, good)| *good)
    }

    /// Whether one was good that was sent after `when` and after the last that failed.
    pub fn is_over(&self, when: Duration) -> bool {
        let last = |good: bool| {
            let such = self.tries.iter().filter(|(_, was)| *was == good);
            such.map(|(span, _)| span.sent).max()
        };
        last(true).is_some_and(|sent| sent > when && last(false).is_none_or(|failed| sent > failed))
    }

    /// `None` when it is not over yet; nothing when none failed.
    pub fn recovery(&self) -> Option<Recovery> {
        let failed = self.tries.iter().filter(|(_, good)| !good).map(|(span, _)| span.sent);
        let Some(first) = failed.clone().min() else { return Some(Recovery::default()) };
        let back_after = |moment: Duration| {
            let good = self.tries.iter().filter(|(span, good)| *good && span.sent > moment);
            good.map(|(span, _)| span.answered).min().map(|answered| answered - first)
        };
        Some(Recovery { first: back_after(first)?, steady: back_after(failed.max()?)? })
    }
}
