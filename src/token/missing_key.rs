//! The hint that gateways do not share their signing key.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use memchr::memmem;
use serde::Deserialize;

use super::compact::json_object;

/// Tells the log that a token of this issuer names a key that the ring does not hold, now and then.
///
/// Nothing of such a token is proven, and anyone can send one: so the hint changes no answer, and what is kept is one time,
/// however many keys are named.
#[derive(Debug)]
pub(super) struct MissingKeyHint {
    began: Instant,
    /// When the log was told last: seconds since `began`, counted from one. Zero: never.
    told_at: AtomicU64,
}

/// What a token says that nobody has proven.
#[derive(Deserialize)]
struct Unverified {
    iss: String,
    exp: u64,
}

impl MissingKeyHint {
    /// How often the log is told at most.
    const PAUSE: Duration = Duration::from_secs(600);

    pub(super) fn new() -> Self {
        Self { began: Instant::now(), told_at: AtomicU64::new(0) }
    }

    /// Whether the log is to be told of a token with this `payload`, which was refused for its key: it says that `issuer`
    /// issued it, and that it has not expired. An expired one would be refused with its key too: that is how rotation ends.
    pub(super) fn is_due(&self, payload: &[u8], issuer: &str, clock: Duration, now: Instant) -> bool {
        let now = now.saturating_duration_since(self.began).as_secs() + 1;
        let told_at = self.told_at.load(Ordering::Relaxed);
        if told_at != 0 && now < told_at + Self::PAUSE.as_secs() {
            return false;
        }
        let is_ours = |claims: Unverified| claims.iss == issuer && claims.exp > clock.as_secs();
        // A gateway writes its issuer as it is, so most of what is foreign is found out without reading it as JSON.
        memmem::find(payload, issuer.as_bytes()).is_some()
            && json_object(payload).is_some_and(is_ours)
            // Of those that come at once, one tells.
            && self.told_at.compare_exchange(told_at, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://gateway.example";
    const CLOCK: Duration = Duration::from_secs(1_000);

    fn is_due(hint: &MissingKeyHint, payload: &str, seconds: u64) -> bool {
        let now = hint.began + Duration::from_secs(seconds);
        hint.is_due(payload.as_bytes(), ISSUER, CLOCK, now)
    }

    #[test]
    fn the_log_is_told_once_in_ten_minutes() {
        let hint = MissingKeyHint::new();
        let payload = r#"{"iss":"https://gateway.example","exp":1001,"sub":"alice"}"#;
        for (seconds, due) in [(0, true), (0, false), (599, false), (600, true), (601, false), (1200, true)] {
            assert_eq!(is_due(&hint, payload, seconds), due, "{seconds}");
        }
    }

    #[test]
    fn only_an_unexpired_token_of_this_issuer_is_told_of() {
        let hint = MissingKeyHint::new();
        for payload in [
            "",
            "garbage",
            "{}",
            r#"["https://gateway.example",1001]"#,
            r#"{"iss":"https://gateway.example"}"#,
            r#"{"iss":"https://gateway.example","exp":"1001"}"#,
            r#"{"iss":"https://gateway.example","exp":1000}"#,
            r#"{"iss":"https://gateway.example/","exp":1001}"#,
            r#"{"iss":"https://GATEWAY.example","exp":1001}"#,
            r#"{"iss":["https://gateway.example"],"exp":1001}"#,
            r#"{"iss":"https://gateway.example","iss":"https://gateway.example","exp":1001}"#,
        ] {
            assert!(!is_due(&hint, payload, 0), "{payload}");
        }
        assert!(is_due(&hint, r#"{"iss":"https://gateway.example","exp":1001}"#, 0));
    }
}
