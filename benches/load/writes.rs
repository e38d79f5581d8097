//! Exchange, provisioning and revocation: one at a time, and many at a time.

use std::time::Instant;

use bridge_auth::authenticate::Authenticator;
use bridge_auth::id::ExchangeCode;
use bridge_auth::issue::Exchange;
use bridge_auth::{Bridge, Caller, Freshness, Scopes, SessionId, SignedIn, UserId};
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::support::database::{Database, SESSIONS, session_id, user_id};
use crate::support::drive::{Measured, median};
use crate::support::gateway::bridge;
use crate::support::mint::Mint;

#[derive(clap::Args)]
pub struct Options {
    #[arg(long, value_delimiter = ',', default_value = "1,32")]
    concurrent: Vec<usize>,
    /// How many of each operation run in a round.
    #[arg(long, default_value_t = 500)]
    operations: u64,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    #[arg(long, default_value_t = SESSIONS)]
    rows: u64,
}

/// A bridge whose sessions are used up one after the other.
pub struct Writer {
    pub bridge: Bridge,
    authenticator: Authenticator,
    pub mint: Mint,
    /// How many were used.
    used: u64,
    rows: u64,
    operations: u64,
}

pub async fn run(options: &Options) {
    println!("\nWrites, {} rows, medians of {} rounds:\n", options.rows, options.rounds);
    println!("| store | operation | at once | operations/s | p50 ms | p99 ms |");
    println!("|---|---|--:|--:|--:|--:|");
    let [fresh, analyzed] = Database::postgres_both(options.rows).await;
    for database in [fresh, analyzed, Database::sqlite(options.rows).await] {
        let mut writer = Writer::open(&database, options.operations).await;
        for concurrent in &options.concurrent {
            let mut rounds = [Vec::new(), Vec::new(), Vec::new()];
            for _ in 0..options.rounds {
                rounds[0].push(writer.exchange(*concurrent).await);
                rounds[1].push(writer.provision(*concurrent).await);
                rounds[2].push(writer.revoke(*concurrent).await);
            }
            for (operation, rounds) in ["exchange", "provision", "revoke"].iter().zip(&rounds) {
                print(&database.name(), operation, *concurrent, rounds);
            }
        }
    }
}

fn print(store: &str, operation: &str, concurrent: usize, rounds: &[Measured]) {
    let rate = median(rounds, Measured::rate);
    let (p50, p99) = (median(rounds, |round| round.p50) * 1e3, median(rounds, |round| round.p99) * 1e3);
    println!("| {store} | {operation} | {concurrent} | {rate:.0} | {p50:.2} | {p99:.2} |");
}

impl Writer {
    pub async fn open(database: &Database, operations: u64) -> Self {
        let mint = Mint::new();
        let bridge = bridge(Freshness::Strict, 16, &mint, &database.address).await.bridge;
        let authenticator = bridge.authenticator("bridge").unwrap();
        Self { bridge, authenticator, mint, used: 0, rows: database.sessions, operations }
    }

    pub async fn exchange(&mut self, concurrent: usize) -> Measured {
        let sessions = self.take();
        let issue = async |n| {
            let user_id = UserId::parse(user_id(n)).unwrap();
            let scopes = Scopes::parse("bridge:call").unwrap();
            self.bridge
                .issuer()
                .issue_code(&SignedIn::new(user_id, scopes), Default::default())
                .await
                .unwrap()
                .code
        };
        let codes = join_all(sessions.map(issue)).await;
        let bridge = &self.bridge;
        measure(codes, concurrent, async |code: ExchangeCode| {
            let exchange = Exchange::new(code);
            bridge.issuer().exchange(exchange).await.unwrap();
        })
        .await
    }

    async fn provision(&mut self, concurrent: usize) -> Measured {
        let sessions = self.take();
        let caller = async |n| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, self.mint.bearer(n))]);
            self.authenticator.authenticate(&headers).await.unwrap()
        };
        let callers = join_all(sessions.map(caller)).await;
        let bridge = &self.bridge;
        measure(callers, concurrent, async |caller: Caller| {
            bridge.issuer().provision_client(&caller).await.unwrap();
        })
        .await
    }

    pub async fn revoke(&mut self, concurrent: usize) -> Measured {
        let sessions = self.take().collect();
        measure(sessions, concurrent, async |session| self.revoke_one(session).await).await
    }

    /// Revokes session number `session`, which is live.
    pub async fn revoke_one(&self, session: u64) {
        let session = SessionId::parse(session_id(session)).unwrap();
        assert!(self.bridge.admin().revoke_session(&session).await.unwrap());
    }

    /// Sessions that were not used yet. Neighbours belong to different people, so nobody waits for another person's
    /// lock. First comes the first session of each person, then the second of each, and so on.
    pub fn sessions(&self) -> impl Iterator<Item = u64> + use<> {
        let persons = self.rows / 10;
        (self.used..self.rows).map(move |place| place % persons * 10 + place / persons)
    }

    /// Counts sessions as used.
    pub fn skip(&mut self, count: u64) {
        self.used += count;
    }

    fn take(&mut self) -> impl Iterator<Item = u64> + use<> {
        let sessions = self.sessions().take(self.operations as usize);
        self.skip(self.operations);
        sessions
    }
}

/// Runs the work for all `items`, `concurrent` at a time.
async fn measure<T>(items: Vec<T>, concurrent: usize, operation: impl AsyncFn(T)) -> Measured {
    let started = Instant::now();
    let timed = async |item| {
        let begun = Instant::now();
        operation(item).await;
        begun.elapsed()
    };
    let latencies = stream::iter(items).map(timed).buffer_unordered(concurrent).collect().await;
    Measured::of(latencies, started.elapsed())
}
