//! Sign-ins that people have begun and not ended.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use openidconnect::{Nonce, PkceCodeVerifier};

use gateway::login::ReturnTo;

/// How long a person may take at the provider.
const LIFE: Duration = Duration::from_secs(600);
/// More than people begin at once. A flood of them must not fill the memory.
const MAX: usize = 10_000;

/// What must be known when the person comes back from the provider.
pub struct Begun {
    /// The SHA-256 of the cookie of the browser that began.
    pub browser: [u8; 32],
    /// It must stand in the ID token, so that nobody plays a token of another sign-in.
    pub nonce: Nonce,
    /// Only who has it can redeem the code (PKCE).
    pub verifier: PkceCodeVerifier,
    pub return_to: ReturnTo,
}

/// The sign-ins by their `state`. They are in this process: behind a balancer, a person must come back to the same
/// gateway.
#[derive(Default)]
pub struct Pending(Mutex<HashMap<String, (Begun, Instant)>>);

impl Pending {
    /// Keeps a sign-in. False: too many have begun.
    pub fn keep(&self, state: String, begun: Begun) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX {
            all.retain(|_, (_, since)| since.elapsed() < LIFE);
        }
        let has_room = all.len() < MAX;
        if has_room {
            all.insert(state, (begun, Instant::now()));
        }
        has_room
    }

    /// Takes a sign-in out, once, for the browser that began it.
    pub fn take(&self, state: &str, browser: [u8; 32]) -> Option<Begun> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Another browser that knows the state does not spend it.
        all.get(state).filter(|(begun, _)| begun.browser == browser)?;
        let (begun, since) = all.remove(state)?;
        (since.elapsed() < LIFE).then_some(begun)
    }
}
