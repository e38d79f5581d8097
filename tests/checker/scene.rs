//! What people, faults and the judgement share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use reqwest::{Client, Method, RequestBuilder, StatusCode};

use super::history::{Promise, Span};
use super::identity_provider::IdentityProvider;

pub const OPERATOR: &str = "the-operators-own-secret";
/// The name of the gateways.
pub const ISSUER: &str = "http://127.0.0.1:1";
/// The client id of the gateways at the identity provider.
pub const CLIENT: &str = "gateway";
/// The program that acts for people, and its secret.
pub const AGENT: (&str, &str) = ("agent", "the-secret-of-an-agent-that-acts-for-people");

/// The gateways that people call, and the one clock for all times.
pub struct Scene {
    pub gateways: Vec<String>,
    /// What the gateways hear events from.
    pub provider: IdentityProvider,
    pub client: Client,
    pub start: Instant,
    pub promise: Promise,
    /// When there were, or may have been, two primaries.
    doubled: Mutex<Vec<Span>>,
    calls: AtomicU64,
}

impl Scene {
    pub fn new(gateways: Vec<String>, provider: IdentityProvider, promise: Promise) -> Self {
        // A request to a frozen gateway waits no longer than the gateway is frozen.
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
        Self {
            gateways,
            provider,
            client,
            start: Instant::now(),
            promise,
            doubled: Mutex::default(),
            calls: AtomicU64::new(0),
        }
    }

    /// How long to call after all sessions are ended: until no session may be let in any more, and a little longer.
    pub fn tail(&self) -> Duration {
        self.promise.longest() + Duration::from_millis(500)
    }

    /// Notes that a second primary starts now.
    pub fn two_primaries_begin(&self) {
        let sent = self.start.elapsed();
        self.doubled().push(Span { sent, answered: Duration::MAX });
    }

    /// Notes that the old primary is gone.
    pub fn two_primaries_end(&self) {
        let answered = self.start.elapsed();
        if let Some(last) = self.doubled().last_mut() {
            last.answered = answered;
        }
    }

    pub fn had_two_primaries_since(&self, time: Duration) -> bool {
        !self.doubled_since(time).is_empty()
    }

    /// The times with two primaries that were not over at `time`. A time that still lasts has no end.
    pub fn doubled_since(&self, time: Duration) -> Vec<Span> {
        self.doubled().iter().filter(|span| span.answered >= time).copied().collect()
    }

    pub fn count_call(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    pub fn any_gateway(&self) -> usize {
        rand::random_range(0..self.gateways.len())
    }

    pub fn request(&self, method: Method, gateway: usize, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.gateways[gateway]))
    }

    pub fn operate(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, self.any_gateway(), path).bearer_auth(OPERATOR)
    }

    /// The status, or why there is no status.
    pub async fn send(&self, request: RequestBuilder) -> (Span, Result<StatusCode, String>) {
        let sent = self.start.elapsed();
        let answer = request.send().await;
        let answered = self.start.elapsed();
        let status = match answer {
            Ok(answer) => {
                let status = answer.status();
                // Read the body to its end, so that the connection can be used again.
                let _ = answer.bytes().await;
                Ok(status)
            }
            Err(error) => Err(format!("{error:?}")),
        };
        (Span { sent, answered }, status)
    }

    fn doubled(&self) -> MutexGuard<'_, Vec<Span>> {
        self.doubled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
