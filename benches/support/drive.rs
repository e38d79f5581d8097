//! Many requests at once through one router, in this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use futures_util::future::join_all;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use tower::Service;

use super::head;

/// The credentials that clients send, one after the other.
#[derive(Debug, Clone)]
pub struct Credentials {
    header: HeaderName,
    values: Arc<[HeaderValue]>,
}

/// When to stop: at the limit that is reached first.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    pub requests: usize,
    pub time: Duration,
}

/// The figures of a run. Durations are in seconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Measured {
    pub requests: usize,
    pub elapsed: f64,
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
}

struct Run {
    credentials: Credentials,
    next: AtomicUsize,
    limit: usize,
    end: Instant,
}

impl Credentials {
    pub fn bearers(values: Vec<HeaderValue>) -> Self {
        Self { header: AUTHORIZATION, values: values.into() }
    }

    pub fn cookies(values: Vec<HeaderValue>) -> Self {
        Self { header: COOKIE, values: values.into() }
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }
}

impl Limit {
    pub const fn time(time: Duration) -> Self {
        Self { requests: usize::MAX, time }
    }

    pub const fn requests(requests: usize) -> Self {
        Self { requests, time: Duration::from_secs(600) }
    }
}

impl Measured {
    /// Computes the figures from latencies in any order.
    pub fn of(mut latencies: Vec<Duration>, elapsed: Duration) -> Self {
        latencies.sort_unstable();
        let at = |part: f64| {
            let place = (latencies.len() as f64 * part) as usize;
            latencies.get(place.min(latencies.len() - 1)).map_or(0.0, Duration::as_secs_f64)
        };
        let (p50, p99, max) = (at(0.5), at(0.99), at(1.0));
        Self { requests: latencies.len(), elapsed: elapsed.as_secs_f64(), p50, p99, max }
    }

    /// Requests a second.
    pub fn rate(&self) -> f64 {
        self.requests as f64 / self.elapsed
    }
}

/// Sends requests with `credentials` in turn, `concurrent` at a time. Each is sent as soon as the one before it is
/// answered.
///
/// # Panics
///
/// When a request is refused.
pub async fn drive(router: &Router, credentials: &Credentials, concurrent: usize, limit: Limit) -> Measured {
    let started = Instant::now();
    let run = Arc::new(Run {
        credentials: credentials.clone(),
        next: AtomicUsize::new(0),
        limit: limit.requests,
        end: started + limit.time,
    });
    let clients = (0..concurrent).map(|_| tokio::spawn(client(router.clone(), run.clone())));
    let latencies = join_all(clients).await.into_iter().flat_map(Result::unwrap).collect();
    Measured::of(latencies, started.elapsed())
}

/// The median of `figure` over the rounds.
pub fn median<T>(rounds: &[T], figure: impl Fn(&T) -> f64) -> f64 {
    let mut figures: Vec<_> = rounds.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

async fn client(mut router: Router, run: Arc<Run>) -> Vec<Duration> {
    let mut latencies = Vec::new();
    loop {
        let number = run.next.fetch_add(1, Ordering::Relaxed);
        let sent = Instant::now();
        if number >= run.limit || sent >= run.end {
            return latencies;
        }
        let Credentials { header, values } = &run.credentials;
        let request = head::post_of_5(header, &values[number % values.len()]);
        let response = router.call(request).await.unwrap();
        latencies.push(sent.elapsed());
        assert!(response.status().is_success(), "{}", response.status());
        // A task that never waits must yield to the others, as it would at a socket.
        tokio::task::yield_now().await;
    }
}
