//! The time in which something did not work.

use std::time::Duration;

use super::ledger::Span;

/// The requests since a fault, and whether each was answered as it should be.
#[derive(Debug, Default)]
pub struct Outage {
    since: Option<Duration>,
    tries: Vec<(Span, bool)>,
}

/// How long an outage lasted.
#[derive(Debug, Default, Clone, Copy)]
pub struct Recovery {
    /// From when the first failed request was sent, to the first good answer to a request that was sent after it.
    pub first: Duration,
    /// The same, to the first good answer after the last failed request.
    pub steady: Duration,
}

impl Recovery {
    /// The longer one of the two, for each way to measure.
    pub fn longer(self, other: Self) -> Self {
        Self { first: self.first.max(other.first), steady: self.steady.max(other.steady) }
    }
}

impl Outage {
    pub fn since(fault: Duration) -> Self {
        Self { since: Some(fault), tries: Vec::new() }
    }

    /// Notes a request. A request that was sent before the fault does not count.
    pub fn note(&mut self, span: Span, good: bool) {
        if self.since.is_some_and(|since| since <= span.sent) {
            self.tries.push((span, good));
        }
    }

    pub fn has_a_good_one(&self) -> bool {
        self.tries.iter().any(|(_, good)| *good)
    }

    /// Whether a request was answered well that was sent after `when` and after the last failed one.
    pub fn is_over(&self, when: Duration) -> bool {
        let last = |good: bool| {
            let such = self.tries.iter().filter(|(_, was)| *was == good);
            such.map(|(span, _)| span.sent).max()
        };
        last(true).is_some_and(|sent| sent > when && last(false).is_none_or(|failed| sent > failed))
    }

    /// The recovery. `None`: the outage is not over yet. Zero: no request failed.
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
