//! The hint that gateways do not share their signing key.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use memchr::memmem;
use serde::Deserialize;

use super::compact::json_object;
use super::numeric_date;

/// Decides when the log says that a refused token of this issuer names a key that the ring does not have.
///
/// Nothing in such a token is proven, and anyone can send one. So the hint changes no answer, and it remembers one time
/// only, however many keys are named.
#[derive(Debug)]
pub(super) struct MissingKeyHint {
    began: Instant,
    /// When the log said it last, in seconds since `began`, counted from one. Zero means never.
    told_at: AtomicU64,
}

/// Claims that nobody has proven.
#[derive(Deserialize)]
struct UnprovenClaims {
    iss: String,
    #[serde(deserialize_with = "numeric_date::down")]
    exp: u64,
}

impl MissingKeyHint {
    /// The least time between two lines.
    const PAUSE: Duration = Duration::from_secs(600);

    pub(super) fn new() -> Self {
        Self { began: Instant::now(), told_at: AtomicU64::new(0) }
    }

    /// Whether the log should mention a token with this `payload`, which was refused for its key. The payload must say that
    /// `issuer` issued the token, and that it has not expired. An expired token is refused with its key too, so it is the
    /// normal end of a rotation.
    pub(super) fn is_due(&self, payload: &[u8], issuer: &str, clock: Duration, now: Instant) -> bool {
        let now = now.saturating_duration_since(self.began).as_secs() + 1;
        let told_at = self.told_at.load(Ordering::Relaxed);
        if told_at != 0 && now < told_at + Self::PAUSE.as_secs() {
            return false;
        }
        let is_ours = |claims: UnprovenClaims| claims.iss == issuer && claims.exp > clock.as_secs();
        // A gateway writes its issuer unescaped. So most tokens of other issuers are told apart without reading JSON.
        memmem::find(payload, issuer.as_bytes()).is_some()
            && json_object(payload).is_some_and(is_ours)
            // Of several at once, one writes to the log.
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
