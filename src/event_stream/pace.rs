//! How long the task waits between two requests.

use std::time::Duration;

/// Waits that grow with each fault in a row. A part of each is random, so that many gateways do not ask at one moment.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    faults: u32,
}

impl Backoff {
    const FIRST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_secs(60);
    /// The most that a transmitter may ask to wait. Longer would leave who left inside.
    const LONGEST_ASKED: Duration = Duration::from_secs(300);

    pub(super) fn reset(&mut self) {
        self.faults = 0;
    }

    /// The wait after one more fault. `asked`: what the transmitter asks for.
    pub(super) fn after_fault(&mut self, asked: Option<Duration>) -> Duration {
        let full = Self::FIRST.saturating_mul(1 << self.faults.min(6)).min(Self::LONGEST);
        self.faults = self.faults.saturating_add(1);
        let wait = full.mul_f64(rand::random_range(0.5..1.0));
        asked.map_or(wait, |asked| wait.max(asked.min(Self::LONGEST_ASKED)))
    }
}

/// `wait`, up to a tenth shorter.
pub(super) fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(rand::random_range(0.9..1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_minute_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..12).map(|_| backoff.after_fault(None)).collect();
        assert!(waits[0] <= Duration::from_secs(1) && waits[0] >= Duration::from_millis(500));
        assert!(waits[3] >= Duration::from_secs(4) && waits[3] <= Duration::from_secs(8));
        assert!(
            waits[6..]
                .iter()
                .all(|wait| *wait >= Duration::from_secs(30) && *wait <= Duration::from_secs(60))
        );
        backoff.reset();
        assert!(backoff.after_fault(None) <= Duration::from_secs(1));
    }

    #[test]
    fn a_transmitter_is_left_alone_for_as_long_as_it_asks_but_not_for_hours() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.after_fault(Some(Duration::from_secs(20))), Duration::from_secs(20));
        assert_eq!(backoff.after_fault(Some(Duration::from_secs(86_400))), Duration::from_secs(300));
    }
}
