//! Many revocations at a time: how many a second compared with exchanges, and how soon another gateway refuses in the
//! meantime.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bridge_auth::authenticate::Authenticator;
use bridge_auth::{Bridge, Freshness, SessionId};
use futures_util::future::join_all;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::support::database::{Address, Database, session_id};
use crate::support::drive::{Measured, median};
use crate::support::gateway::bridge;
use crate::support::mint::Mint;
use crate::writes::Writer;

#[derive(clap::Args)]
pub struct Options {
    #[arg(long, value_delimiter = ',', default_value = "1,8,32")]
    concurrent: Vec<usize>,
    /// How many of each operation run in a round.
    #[arg(long, default_value_t = 1000)]
    operations: u64,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How many revocations are followed to the other gateway.
    #[arg(long, default_value_t = 200)]
    followed: u64,
    #[arg(long, default_value_t = 400_000)]
    rows: u64,
}

/// The other gateway, on its own threads.
struct Other {
    bridge: Bridge,
    authenticator: Authenticator,
    mint: Mint,
    runtime: Runtime,
}

pub async fn run(options: &Options) {
    let database = Database::postgres_not_analyzed(options.rows).await;
    let mut writer = Writer::open(&database, options.operations).await;
    println!(
        "\nRevocations compared with exchanges, {}, {} rows, medians of {} rounds. Then {} revocations are followed to \
         another gateway, watched with a lag of 1 s, while other revocations go on:\n",
        database.name(),
        options.rows,
        options.rounds,
        options.followed
    );
    println!(
        "| at once | exchanges/s | revocations/s | ratio | followed: others/s | refused after p50 ms | p99 ms | max ms |"
    );
    println!("|--:|--:|--:|--:|--:|--:|--:|--:|");
    for concurrent in &options.concurrent {
        let mut rounds = Vec::new();
        for _ in 0..options.rounds {
            rounds.push((writer.exchange(*concurrent).await, writer.revoke(*concurrent).await));
        }
        let exchanges = median(&rounds, |(exchange, _)| exchange.rate());
        let revocations = median(&rounds, |(_, revoke)| revoke.rate());
        let ratio = median(&rounds, |(exchange, revoke)| revoke.rate() / exchange.rate());
        let (others, lags) = follow(&mut writer, &database.address, *concurrent, options.followed).await;
        let Measured { p50, p99, max, .. } = Measured::of(lags, Duration::ZERO);
        let [p50, p99, max] = [p50, p99, max].map(|lag| lag * 1e3);
        println!(
            "| {concurrent} | {exchanges:.0} | {revocations:.0} | {ratio:.2} | {others:.0} | {p50:.2} | {p99:.2} | {max:.2} |"
        );
    }
}

/// How many other sessions were revoked in a second, and how long after each acknowledgement the other gateway refused.
async fn follow(
    writer: &mut Writer,
    address: &Address,
    concurrent: usize,
    followed: u64,
) -> (f64, Vec<Duration>) {
    // The followed sessions come first. The other revocations take the rest.
    let mut sessions = writer.sessions();
    let probes: Vec<_> = sessions.by_ref().take(followed as usize).collect();
    let left: Vec<_> = sessions.collect();
    let (bridge, mint) = (writer.bridge.clone(), writer.mint.clone());
    let (address, main) = (address.clone(), Handle::current());
    let done = AtomicBool::new(false);
    let revoked = AtomicU64::new(0);
    let started = Instant::now();
    let following = tokio::task::spawn_blocking(move || {
        let other = Other::open(mint, &address);
        probes.into_iter().map(|number| other.refuses_after(number, &bridge, &main)).collect()
    });
    let revoking = join_all((0..concurrent).map(async |_| {
        while !done.load(Ordering::Relaxed) {
            let place = revoked.fetch_add(1, Ordering::Relaxed) as usize;
            let number =
                left.get(place).copied().expect("the table has enough rows: give it more with --rows");
            writer.revoke_one(number).await;
        }
    }));
    let following = async {
        let lags = following.await.unwrap();
        done.store(true, Ordering::Relaxed);
        lags
    };
    let (lags, _) = tokio::join!(following, revoking);
    let revoked = revoked.into_inner();
    writer.skip(followed + revoked);
    (revoked as f64 / started.elapsed().as_secs_f64(), lags)
}

impl Other {
    fn open(mint: Mint, address: &Address) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let bridge = runtime.block_on(bridge(Freshness::watched(), 4, &mint, address)).bridge;
        let authenticator = bridge.authenticator("bridge").unwrap();
        Self { bridge, authenticator, mint, runtime }
    }

    /// How long after the acknowledgement the last request was let in. There is one request every tenth of a
    /// millisecond. That leaves the processors to the other work.
    fn refuses_after(&self, number: u64, revoking: &Bridge, main: &Handle) -> Duration {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, self.mint.bearer(number))]);
        let is_let_in = || self.runtime.block_on(self.authenticator.authenticate(&headers)).is_ok();
        // Two requests: the first starts the watcher, and the verdict of the second is cached.
        assert!(is_let_in());
        while !self.bridge.watch_status().proven {
            thread::sleep(Duration::from_millis(1));
        }
        assert!(is_let_in());
        let session = SessionId::parse(session_id(number)).unwrap();
        assert!(main.block_on(revoking.admin().revoke_session(&session)).unwrap());
        let acknowledged = Instant::now();
        while is_let_in() {
            thread::sleep(Duration::from_micros(100));
        }
        acknowledged.elapsed()
    }
}
