//! Several gateways on one PostgreSQL, people who call and revoke, and things that go wrong meanwhile: what was seen is
//! held against what [`Freshness`](bridge_auth::Freshness) promises.

mod faults;
mod history;
mod person;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::seq::SliceRandom;
use reqwest::Client;
use tempfile::TempDir;
use tokio::task::JoinSet;

use self::faults::{Fault, Faults};
use self::history::{Delay, History, Verdict, Violation};
use self::person::{Scene, live};
use crate::support::postgres::Cluster;
use crate::support::process::{Running, example, start};

const OPERATOR: &str = "the-operators-own-secret";
/// How many people live at the same time.
const PEOPLE: usize = 4;
/// The size of each gateway's pool.
const POOLS: [&str; 3] = ["8", "4", "1"];

/// What to check, and for how long.
#[derive(Debug, Clone)]
pub struct Plan {
    /// As the example gateway takes it.
    pub freshness: String,
    /// How far a gateway may lag behind.
    pub max_lag: Duration,
    /// At least; every fault has its turn in any case.
    pub duration: Duration,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Report {
    pub let_in: usize,
    pub refused: usize,
    pub unavailable: usize,
    pub acknowledged: usize,
    pub unanswered: usize,
    pub faults: usize,
    pub violations: Vec<Violation>,
    delays: Vec<Delay>,
}

impl Plan {
    pub fn strict(duration: Duration) -> Self {
        Self { freshness: "strict".to_owned(), max_lag: Duration::ZERO, duration }
    }

    pub fn watched(max_lag: Duration, duration: Duration) -> Self {
        Self { freshness: format!("watched:{}", max_lag.as_millis()), max_lag, duration }
    }

    /// Carries it out.
    ///
    /// # Panics
    ///
    /// When PostgreSQL or the gateways do not start.
    pub async fn run(&self) -> Report {
        let cluster = Arc::new(tokio::task::spawn_blocking(Cluster::start).await.unwrap());
        let home = tempfile::tempdir().unwrap();
        let mut gateways = Vec::new();
        for pool in POOLS {
            gateways.push(self.start_gateway(&cluster, &home, pool).await);
        }
        // Whoever waits for a frozen gateway waits no longer than it is frozen.
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
        let scene = Arc::new(Scene {
            gateways: gateways.iter().map(|gateway| gateway.url.clone()).collect(),
            operator: OPERATOR.to_owned(),
            client,
            start: Instant::now(),
            tail: self.max_lag + Duration::from_millis(300),
        });
        let over = Arc::new(AtomicBool::new(false));
        let mut people = JoinSet::new();
        for place in 0..PEOPLE {
            people.spawn(live_on(scene.clone(), self.max_lag, place, over.clone()));
        }
        let pause = self.max_lag.max(Duration::from_millis(500)) + Duration::from_millis(300);
        let faults = Faults { cluster, gateways, pause };
        let mut report = Report { faults: self.inject(&faults).await, ..Report::default() };
        over.store(true, Ordering::Relaxed);
        for part in people.join_all().await {
            report.add(part);
        }
        report
    }

    async fn start_gateway(&self, cluster: &Cluster, home: &TempDir, pool: &str) -> Running {
        let mut gateway = example("gateway", home.path());
        gateway.args([
            "--listen",
            "127.0.0.1:0",
            "--issuer",
            "http://127.0.0.1:1",
            "--admin-token",
            OPERATOR,
            "--no-rate-limits",
        ]);
        gateway.args(["--database", &cluster.url(), "--pool-size", pool, "--freshness", &self.freshness]);
        start(&mut gateway).await
    }

    /// One fault after the other, in any order, each with a calm after it. How many there were.
    async fn inject(&self, faults: &Faults) -> usize {
        let start = Instant::now();
        let mut count = 0;
        loop {
            let mut round = Fault::ALL;
            round.shuffle(&mut rand::rng());
            for fault in round {
                tokio::time::sleep(Duration::from_millis(rand::random_range(200..800))).await;
                faults.inject(fault).await;
                count += 1;
            }
            if start.elapsed() >= self.duration {
                return count;
            }
        }
    }
}

/// One person after the other.
async fn live_on(scene: Arc<Scene>, max_lag: Duration, place: usize, over: Arc<AtomicBool>) -> Report {
    let mut report = Report::default();
    let mut number = 0;
    while !over.load(Ordering::Relaxed) {
        report.count(&live(scene.clone(), format!("person-{place}-{number}")).await, max_lag);
        number += 1;
    }
    report
}

impl Report {
    fn count(&mut self, history: &History, max_lag: Duration) {
        for call in &history.calls {
            match call.verdict {
                Verdict::LetIn => self.let_in += 1,
                Verdict::Refused => self.refused += 1,
                Verdict::Unavailable => self.unavailable += 1,
                Verdict::Other(_) => {}
            }
        }
        let acknowledged = history.revocations.iter().filter(|revocation| revocation.acknowledged).count();
        self.acknowledged += acknowledged;
        self.unanswered += history.revocations.len() - acknowledged;
        self.delays.extend(history.delays());
        self.violations.extend(history.violations(max_lag));
    }

    fn add(&mut self, part: Self) {
        self.let_in += part.let_in;
        self.refused += part.refused;
        self.unavailable += part.unavailable;
        self.acknowledged += part.acknowledged;
        self.unanswered += part.unanswered;
        self.delays.extend(part.delays);
        self.violations.extend(part.violations);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let requests = self.let_in + self.refused + self.unavailable;
        writeln!(
            f,
            "{requests} requests: {} let in, {} refused, {} answered 503",
            self.let_in, self.refused, self.unavailable
        )?;
        writeln!(
            f,
            "{} revocations acknowledged, {} not; {} faults",
            self.acknowledged, self.unanswered, self.faults
        )?;
        let spread = |f: &mut fmt::Formatter<'_>, what, of: fn(&Delay) -> Duration| {
            let mut delays: Vec<_> = self.delays.iter().map(of).collect();
            delays.sort_unstable();
            let last = delays.len().saturating_sub(1);
            let at = |thousandths| delays.get(last * thousandths / 1000).copied().unwrap_or_default();
            writeln!(f, "{what}: p50 {:.1?}, p99 {:.1?}, maximum {:.1?}", at(500), at(990), at(1000))
        };
        spread(f, "from a revocation's answer to the last request let in", |delay| delay.last_let_in)?;
        spread(f, "from a revocation's answer to the first that none was let in after", |delay| {
            delay.in_force
        })?;
        for violation in self.violations.iter().take(20) {
            write!(f, "{violation}")?;
        }
        write!(f, "{} violations", self.violations.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn keeps_its_promise(plan: Plan) {
        let report = plan.run().await;
        assert!(report.violations.is_empty(), "{}: {report}", plan.freshness);
        // Nothing is proved by those who never came, or were never let in or refused.
        let seen = [report.let_in, report.refused, report.acknowledged, report.delays.len()];
        assert!(seen.iter().all(|count| *count > 20), "{}: {report}", plan.freshness);
        assert!(report.faults >= Fault::ALL.len());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn strict_gateways_keep_their_promise_whatever_goes_wrong() {
        keeps_its_promise(Plan::strict(Duration::from_secs(1))).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn watched_gateways_keep_their_promise_whatever_goes_wrong() {
        keeps_its_promise(Plan::watched(Duration::from_millis(500), Duration::from_secs(1))).await;
    }
}
