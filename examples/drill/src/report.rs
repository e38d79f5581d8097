//! The output: one line for each failover, and a table at the end.

use std::io::{self, Write as _};
use std::time::Duration;

use crate::faults::Kind;
use crate::ledger::Counts;
use crate::outage::Recovery;

/// The outcome of one failover.
#[derive(Debug)]
pub struct Outcome {
    pub kind: Kind,
    pub write: Recovery,
    pub guard: Recovery,
    pub counts: Counts,
    pub told: Vec<String>,
    pub took: Duration,
}

#[derive(Debug, Default)]
pub struct Report {
    outcomes: Vec<Outcome>,
    /// What the check of all sessions at the end found.
    end: Counts,
    sessions: usize,
    planned: usize,
}

impl Counts {
    /// Whether all counts that must be zero are zero.
    fn is_clean(&self) -> bool {
        self.forbidden + self.lost_sessions + self.lost_revocations == 0
    }
}

impl Report {
    pub fn header(&mut self, planned: usize) {
        self.planned = planned;
        print(&format!(
            "{:>3} {:<14} {:>7} {:>7} {:>7} {:>7}  {:>6} {:>6} {:>6} {:>4}  {:>5} {:>5}  {:>6} {:>5} {:>5} {:>5} {:>5}  {:>5}",
            "no",
            "kind",
            "write",
            "steady",
            "guard",
            "steady",
            "let in",
            "401",
            "503",
            "odd",
            "links",
            "revok",
            "judged",
            "forb",
            "lostS",
            "lostR",
            "wrong",
            "took"
        ));
    }

    /// Adds a failover and prints its line.
    pub fn add(&mut self, outcome: Outcome) {
        self.outcomes.push(outcome);
        let Some(outcome) = self.outcomes.last() else { return };
        let Outcome { kind, write, guard, counts, told, took } = outcome;
        let seconds = Duration::as_secs_f64;
        print(&format!(
            "{:>3} {kind:<14} {:>6.2}s {:>6.2}s {:>6.2}s {:>6.2}s  {:>6} {:>6} {:>6} {:>4}  {:>5} {:>5}  {:>6} {:>5} {:>5} {:>5} {:>5}  {:>4.1}s",
            self.outcomes.len(),
            seconds(&write.first),
            seconds(&write.steady),
            seconds(&guard.first),
            seconds(&guard.steady),
            counts.let_in,
            counts.refused,
            counts.unavailable,
            counts.odd,
            counts.opened,
            counts.revoked,
            counts.judged,
            counts.forbidden,
            counts.lost_sessions,
            counts.lost_revocations,
            counts.wrongly_refused,
            seconds(took),
        ));
        tell(told);
    }

    /// Adds what the check of all sessions at the end found.
    pub fn end(&mut self, counts: Counts, told: &[String], sessions: usize) {
        (self.end, self.sessions) = (counts, sessions);
        tell(told);
    }

    /// Prints the table. Returns whether the drill was complete and the gateways kept every promise.
    pub fn finish(&self) -> bool {
        print(
            "\nkind            count  write p50    max  guard p50    max  steady p50    max  forbidden  lost sessions  lost revocations",
        );
        for kind in Kind::ALL {
            self.row(&kind.to_string(), |outcome| outcome.kind == kind, None);
        }
        let all = self.row("all", |_| true, Some(&self.end));
        // If no request could have been forbidden, the drill proves nothing.
        let complete = self.outcomes.len() == self.planned && self.sessions > 0 && all.judged > 0;
        let [write, guard] =
            [|outcome: &Outcome| outcome.write.first, |outcome: &Outcome| outcome.guard.first]
                .map(|of| spread(self.outcomes.iter().map(of).collect()));
        let line = serde_json::json!({
            "complete": complete,
            "failovers": self.outcomes.len(),
            "sessions": self.sessions,
            "requests": all.let_in + all.refused + all.unavailable,
            "let_in": all.let_in,
            "refused": all.refused,
            "unavailable": all.unavailable,
            "odd": all.odd,
            "revocations": all.revoked,
            "write_again_ms": { "p50": write.0.as_millis(), "max": write.1.as_millis() },
            "guarded_again_ms": { "p50": guard.0.as_millis(), "max": guard.1.as_millis() },
            "judged": all.judged,
            "forbidden": all.forbidden,
            "lost_sessions": all.lost_sessions,
            "lost_revocations": all.lost_revocations,
            "wrongly_refused": all.wrongly_refused,
        });
        print(&format!("\n{line}"));
        complete && all.is_clean()
    }

    fn row(&self, name: &str, is_of: impl Fn(&Outcome) -> bool, more: Option<&Counts>) -> Counts {
        let outcomes: Vec<_> = self.outcomes.iter().filter(|outcome| is_of(outcome)).collect();
        let counts = outcomes.iter().map(|outcome| &outcome.counts).chain(more);
        let counts = counts.fold(Counts::default(), Counts::plus);
        if outcomes.is_empty() {
            return counts;
        }
        let spread_of = |of: fn(&Outcome) -> Duration| {
            let (half, most) = spread(outcomes.iter().map(|outcome| of(outcome)).collect());
            (half.as_secs_f64(), most.as_secs_f64())
        };
        let write = spread_of(|outcome| outcome.write.first);
        let guard = spread_of(|outcome| outcome.guard.first);
        let steady = spread_of(|outcome| outcome.write.steady.max(outcome.guard.steady));
        print(&format!(
            "{name:<14} {:>6}  {:>8.2}s {:>5.2}s  {:>8.2}s {:>5.2}s  {:>9.2}s {:>5.2}s  {:>9}  {:>13}  {:>16}",
            outcomes.len(),
            write.0,
            write.1,
            guard.0,
            guard.1,
            steady.0,
            steady.1,
            counts.forbidden,
            counts.lost_sessions,
            counts.lost_revocations,
        ));
        counts
    }
}

impl Counts {
    fn plus(self, other: &Self) -> Self {
        Self {
            let_in: self.let_in + other.let_in,
            refused: self.refused + other.refused,
            unavailable: self.unavailable + other.unavailable,
            odd: self.odd + other.odd,
            opened: self.opened + other.opened,
            revoked: self.revoked + other.revoked,
            judged: self.judged + other.judged,
            forbidden: self.forbidden + other.forbidden,
            wrongly_refused: self.wrongly_refused + other.wrongly_refused,
            lost_sessions: self.lost_sessions + other.lost_sessions,
            lost_revocations: self.lost_revocations + other.lost_revocations,
        }
    }
}

/// The median and the longest.
fn spread(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    let half = times.get(times.len().saturating_sub(1) / 2).copied().unwrap_or_default();
    (half, times.last().copied().unwrap_or_default())
}

fn tell(told: &[String]) {
    for line in told.iter().take(5) {
        print(&format!("      {line}"));
    }
    if told.len() > 5 {
        print(&format!("      and {} more", told.len() - 5));
    }
}

fn print(line: &str) {
    // Standard output may be closed. That is no reason to panic.
    let _ = writeln!(io::stdout(), "{line}");
}
