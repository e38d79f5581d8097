//! The `state` of verification requests (SSF 1.0 §8.1.4).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{Clock, HostClock};
use crate::id::UserId;
use crate::token::{KeyRing, Ticket};

/// Makes states for one transmitter, and knows them again.
///
/// A state is signed by the gateway. So each gateway of a database knows the states of all, whichever of them the
/// verification event reaches, and nothing is stored.
#[derive(Debug)]
pub(crate) struct VerificationStates {
    gateway: String,
    transmitter: String,
    keys: KeyRing,
    clock: HostClock,
    /// When the last expected state came, in milliseconds since the epoch. Zero: none came.
    expected_at: AtomicU64,
}

/// What a state says beside its transmitter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stream {
    verifies_stream: String,
}

impl VerificationStates {
    /// The states that the gateway with the issuer name `gateway` sends to `transmitter`.
    pub(crate) fn new(gateway: &str, transmitter: &str, keys: KeyRing, clock: HostClock) -> Self {
        let (gateway, transmitter) = (gateway.to_owned(), transmitter.to_owned());
        Self { gateway, transmitter, keys, clock, expected_at: AtomicU64::new(0) }
    }

    /// A state for `stream`. It is good for ten minutes. `None`: the stream's id is too long, or the keys cannot sign.
    pub(crate) fn make(&self, stream: &str) -> Option<String> {
        let transmitter = UserId::parse(&*self.transmitter).ok()?;
        let stream = Stream { verifies_stream: stream.to_owned() };
        Ticket::new(&self.gateway, &transmitter, self.clock.now(), stream).sign(&self.keys).ok()
    }

    /// Whether one of the gateways with these keys made `state` for `stream` at most ten minutes ago.
    pub(crate) fn is_expected(&self, stream: &str, state: &str) -> bool {
        let Ok(transmitter) = UserId::parse(&*self.transmitter) else { return false };
        let now = self.clock.now();
        let ticket = Ticket::<Stream>::open(state, &self.keys, &self.gateway, &transmitter, now);
        let is_expected = ticket.is_some_and(|ticket| ticket.into_shown().verifies_stream == stream);
        if is_expected {
            let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
            self.expected_at.store(now, Ordering::Relaxed);
        }
        is_expected
    }

    /// When the last expected state came to this gateway, as the time since the epoch. `None`: none came.
    pub(crate) fn expected_at(&self) -> Option<Duration> {
        let at = self.expected_at.load(Ordering::Relaxed);
        (at > 0).then(|| Duration::from_millis(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{Algorithm, SigningKey};

    const IDP: &str = "https://idp.example";

    fn ring() -> KeyRing {
        KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap()
    }

    fn states(transmitter: &str, keys: &KeyRing) -> VerificationStates {
        VerificationStates::new("https://gateway.example", transmitter, keys.clone(), HostClock::default())
    }

    #[test]
    fn a_state_is_known_by_every_gateway_with_the_same_keys_and_by_no_other() {
        let keys = ring();
        let state = states(IDP, &keys).make("s1").unwrap();
        let other = states(IDP, &keys);
        assert_eq!(other.expected_at(), None);
        for (stream, state) in [("s2", &*state), ("s1", ""), ("s1", &format!("{state}x"))] {
            assert!(!other.is_expected(stream, state));
        }
        assert_eq!(other.expected_at(), None);
        assert!(other.is_expected("s1", &state));
        assert!(other.expected_at().is_some());
        assert!(!states("https://other.example", &keys).is_expected("s1", &state));
        assert!(!states(IDP, &ring()).is_expected("s1", &state));
    }

    #[test]
    fn a_ticket_of_a_page_is_no_state() {
        let keys = ring();
        let states = states(IDP, &keys);
        let person = UserId::parse(IDP).unwrap();
        let ticket = Ticket::new(&states.gateway, &person, states.clock.now(), "s1".to_owned());
        assert!(!states.is_expected("s1", &ticket.sign(&keys).unwrap()));
    }
}
