//! The time from the acknowledgement of a revocation on one node to the first refusal on another node, which is
//! watched.

use std::time::{Duration, Instant};

use bridge_auth::authenticate::Authenticator;
use bridge_auth::{Bridge, Freshness, SessionId};
use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::support::database::{Database, SESSIONS, session_id};
use crate::support::drive::Measured;
use crate::support::gateway::bridge;
use crate::support::mint::Mint;

#[derive(clap::Args)]
pub struct Options {
    #[arg(long, default_value_t = 500)]
    revocations: u64,
    #[arg(long, default_value_t = SESSIONS)]
    rows: u64,
}

struct Nodes {
    mint: Mint,
    revoking: Bridge,
    watching: Bridge,
    authenticator: Authenticator,
}

pub async fn run(options: &Options) {
    println!(
        "\nRevoke acknowledged → refused on another node. Watched with a lag of 1 s, {} revocations:\n",
        options.revocations
    );
    println!("| store | p50 ms | p99 ms | max ms |");
    println!("|---|--:|--:|--:|");
    let [fresh, analyzed] = Database::postgres_both(options.rows).await;
    for database in [fresh, analyzed, Database::sqlite(options.rows).await] {
        let nodes = Nodes::open(&database).await;
        let mut lags = Vec::new();
        for session in 0..options.revocations {
            lags.push(nodes.revoke(session).await);
        }
        let Measured { p50, p99, max, .. } = Measured::of(lags, Duration::ZERO);
        let (name, [p50, p99, max]) = (database.name(), [p50, p99, max].map(|lag| lag * 1e3));
        println!("| {name} | {p50:.2} | {p99:.2} | {max:.2} |");
    }
}

impl Nodes {
    async fn open(database: &Database) -> Self {
        let mint = Mint::new();
        let revoking = bridge(Freshness::Strict, 4, &mint, &database.address).await.bridge;
        let watching = bridge(Freshness::watched(), 4, &mint, &database.address).await.bridge;
        let authenticator = watching.authenticator("bridge").unwrap();
        Self { mint, revoking, watching, authenticator }
    }

    /// How long after the acknowledgement the last request was let in.
    async fn revoke(&self, number: u64) -> Duration {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, self.mint.bearer(number))]);
        let is_let_in = async || self.authenticator.authenticate(&headers).await.is_ok();
        // Two requests: the first starts the watcher, and the verdict of the second is cached.
        assert!(is_let_in().await);
        while !self.watching.watch_status().proven {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(is_let_in().await);
        let session = SessionId::parse(session_id(number)).unwrap();
        assert!(self.revoking.admin().revoke_session(&session).await.unwrap());
        let acknowledged = Instant::now();
        while is_let_in().await {
            tokio::task::yield_now().await;
        }
        acknowledged.elapsed()
    }
}
