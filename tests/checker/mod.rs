//! Checks what [`Freshness`](bridge_auth::Freshness) promises. Several gateways run on a PostgreSQL with a synchronous
//! standby. People call and revoke, and faults happen. Every answer is compared with the promise.

mod calling;
mod faults;
mod history;
mod identity_provider;
mod person;
mod report;
mod scene;

use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rand::seq::SliceRandom;
use tempfile::TempDir;
use tokio::task::{AbortHandle, JoinSet};

use self::faults::{Fault, Faults, MOVER};
use self::history::Promise;
use self::identity_provider::IdentityProvider;
use self::person::live;
use self::report::Report;
use self::scene::{AGENT, ISSUER, OPERATOR, Scene};
use crate::support::process::{Running, example, start};
use crate::support::replicated::{Pair, Replication};

/// The default of `max_proof_age`: how old the proof of a strict gateway may be.
pub const MAX_PROOF_AGE: Duration = Duration::from_secs(1);

/// What is checked, and for how long.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The value for `--freshness` of the example gateway.
    pub freshness: String,
    promise: Promise,
    /// The least duration. Every fault happens at least once, whatever the duration is.
    pub duration: Duration,
    /// The least number of calls.
    pub calls: u64,
    /// How many people call at the same time.
    pub people: usize,
    /// Whether to print the progress every ten seconds.
    pub tells: bool,
}

impl Plan {
    pub fn strict(max_proof_age: Duration) -> Self {
        Self::new("strict".to_owned(), Promise::strict(max_proof_age))
    }

    pub fn watched(max_lag: Duration, max_proof_age: Duration) -> Self {
        Self::new(
            format!("watched:{}", max_lag.as_millis()),
            Promise { max_lag, ..Promise::strict(max_proof_age) },
        )
    }

    fn new(freshness: String, promise: Promise) -> Self {
        Self { freshness, promise, duration: Duration::ZERO, calls: 0, people: 8, tells: false }
    }

    /// Runs the check.
    ///
    /// # Panics
    ///
    /// When PostgreSQL or the gateways do not start.
    pub async fn run(&self) -> Report {
        let pair = Pair::start(Replication::Synchronous("remote_apply")).await;
        let home = tempfile::tempdir().unwrap();
        let provider = IdentityProvider::start().await;
        let gateways = self.start_gateways(&pair, &home, &provider.issuer).await;
        let urls = gateways.iter().map(|gateway| gateway.url.clone()).collect();
        let scene = Arc::new(Scene::new(urls, provider, self.promise));
        let over = Arc::new(AtomicBool::new(false));
        let violations = Arc::new(AtomicUsize::new(0));
        let mut people = JoinSet::new();
        for place in 0..self.people {
            people.spawn(live_on(scene.clone(), place, over.clone(), violations.clone()));
        }
        let telling = self.tells.then(|| tell_now_and_then(scene.clone(), violations));
        let pause = self.promise.max_lag.max(Duration::from_millis(500)) + Duration::from_millis(300);
        let mut faults = Faults { pair, gateways, pause, scene: scene.clone() };
        let mut report = Report { faults: self.inject(&mut faults, &scene).await, ..Report::default() };
        over.store(true, Ordering::Relaxed);
        for part in people.join_all().await {
            report.add(part);
        }
        if let Some(telling) = telling {
            telling.abort();
        }
        report.took = scene.start.elapsed();
        report
    }

    /// One gateway knows only the first server. The others know both, and the last one moves to a new primary early.
    async fn start_gateways(&self, pair: &Pair, home: &TempDir, provider: &str) -> Vec<Running> {
        let role = format!("CREATE ROLE {MOVER} LOGIN SUPERUSER");
        pair.primary.client().await.batch_execute(&role).await.unwrap();
        let (one, other) = (pair.primary.port(), pair.standby.port());
        let of_both =
            |role, first, second| format!("postgres://{role}@127.0.0.1:{first},127.0.0.1:{second}/postgres");
        let databases = [
            (pair.primary.url(), "8"),
            (of_both("postgres", one, other), "4"),
            (of_both(MOVER, other, one), "4"),
        ];
        let mut gateways = Vec::new();
        for (database, pool) in &databases {
            gateways.push(self.start_gateway(database, home, pool, provider).await);
        }
        gateways
    }

    async fn start_gateway(&self, database: &str, home: &TempDir, pool: &str, provider: &str) -> Running {
        let mut gateway = example("gateway", home.path());
        gateway.args([
            "--listen",
            "127.0.0.1:0",
            "--issuer",
            ISSUER,
            "--admin-token",
            OPERATOR,
            "--no-rate-limits",
        ]);
        let agent = format!("{}:{}", AGENT.0, AGENT.1);
        gateway.args(["--identity-provider", provider, "--agent", &agent]);
        gateway.args(["--database", database, "--pool-size", pool, "--freshness", &self.freshness]);
        gateway.args(["--max-proof-age", &self.promise.max_proof_age.as_millis().to_string()]);
        start(&mut gateway).await
    }

    /// Injects one fault after the other, in random order, with a calm time after each. Returns how many there were.
    async fn inject(&self, faults: &mut Faults, scene: &Scene) -> usize {
        let start = Instant::now();
        let mut count = 0;
        loop {
            let mut round = Fault::ALL;
            round.shuffle(&mut rand::rng());
            for fault in round {
                let is_done = start.elapsed() >= self.duration && scene.calls() >= self.calls;
                if count >= Fault::ALL.len() && is_done {
                    return count;
                }
                tokio::time::sleep(Duration::from_millis(rand::random_range(200..800))).await;
                faults.inject(fault).await;
                count += 1;
            }
        }
    }
}

/// Runs one person after the other.
async fn live_on(
    scene: Arc<Scene>,
    place: usize,
    over: Arc<AtomicBool>,
    violations: Arc<AtomicUsize>,
) -> Report {
    let mut report = Report::default();
    let mut number = 0;
    while !over.load(Ordering::Relaxed) {
        let born = scene.start.elapsed();
        let history = live(scene.clone(), format!("person-{place}-{number}")).await;
        let broken = report.count(&history, &scene.promise, &scene.doubled_since(born));
        violations.fetch_add(broken, Ordering::Relaxed);
        number += 1;
    }
    report
}

/// Prints the progress every ten seconds.
fn tell_now_and_then(scene: Arc<Scene>, violations: Arc<AtomicUsize>) -> AbortHandle {
    let telling = async move {
        let mut before = 0;
        loop {
            tokio::time::sleep(Duration::from_secs(10)).await;
            let (seconds, calls) = (scene.start.elapsed().as_secs(), scene.calls());
            let (rate, broken) = ((calls - before) / 10, violations.load(Ordering::Relaxed));
            // Standard output may be closed. That is no reason to panic.
            let _ = writeln!(io::stdout(), "{seconds} s: {calls} calls, {rate}/s; {broken} violations");
            before = calls;
        }
    };
    tokio::spawn(telling).abort_handle()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn keeps_its_promise(plan: Plan) {
        let report = plan.run().await;
        assert!(report.violations.is_empty(), "{}: {report}", plan.freshness);
        // The check proves nothing if nobody was let in, refused or revoked.
        let seen = [report.let_in, report.refused, report.acknowledged, report.delays.len()];
        assert!(seen.iter().all(|count| *count > 20), "{}: {report}", plan.freshness);
        assert!(
            report.events > 3 && report.logouts > 0 && report.exchanged > 10 && report.acted > 0,
            "{}: {report}",
            plan.freshness
        );
        assert!(report.faults >= Fault::ALL.len());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn strict_gateways_keep_their_promise_whatever_goes_wrong() {
        keeps_its_promise(Plan::strict(MAX_PROOF_AGE)).await;
    }

    /// A revoked session may never be let in, not even beside a second primary.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn strict_gateways_without_any_allowance_keep_their_promise_whatever_goes_wrong() {
        keeps_its_promise(Plan::strict(Duration::ZERO)).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn watched_gateways_keep_their_promise_whatever_goes_wrong() {
        keeps_its_promise(Plan::watched(Duration::from_millis(500), MAX_PROOF_AGE)).await;
    }
}
