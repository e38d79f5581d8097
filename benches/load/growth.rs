//! Cost and memory as the number of live sessions grows, and as the number of revocations grows.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bridge_auth::SessionId;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::processes::{self, arguments};
use crate::support::database::{Address, Database, SESSIONS, session_id};
use crate::support::drive::{Credentials, Limit, Measured, drive, median};
use crate::support::gateway::{Gateway, Guard};
use crate::support::mint::Mint;
use crate::support::processor::Processes;

#[derive(clap::Args)]
pub struct Options {
    /// The numbers of sessions in use.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,1000000")]
    live: Vec<u64>,
    /// The numbers of sessions that are revoked in a second.
    #[arg(long, value_delimiter = ',', default_value = "0,10,100")]
    revocations: Vec<u32>,
    #[arg(long, default_value_t = SESSIONS)]
    rows: u64,
    /// The rounds with revocations, of a second each.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

#[derive(clap::Args)]
pub struct Child {
    #[arg(long)]
    guard: Guard,
    #[arg(long)]
    live: u64,
    #[arg(long)]
    mint: PathBuf,
    #[arg(long)]
    postgres: String,
}

/// What a process measured of itself.
#[derive(Serialize, Deserialize)]
struct Grown {
    /// By how many bytes the process grew with all its sessions.
    memory: u64,
    /// Seconds of its own processor time for each request.
    processor: f64,
    measured: Measured,
}

/// How many requests are sent at once.
const CONCURRENT: usize = 64;

/// How many tokens are made at a time. A larger number would count as the gateway's memory.
const CHUNK: u64 = 1000;

/// How many requests the cost is computed from. Each is for another session, if there are as many.
const SAMPLE: u64 = 200_000;

pub async fn run(options: &Options) {
    let databases = Database::postgres_both(options.rows).await;
    let folder = tempfile::tempdir().unwrap();
    let mint = folder.path().join("mint");
    Mint::new().write(&mint);
    println!("\nLive sessions, each with its own token, {CONCURRENT} requests at once:\n");
    println!(
        "| database | live sessions | guard | requests/s | p50 µs | p99 µs | processor µs/request | memory MB | bytes/session |"
    );
    println!("|---|--:|---|--:|--:|--:|--:|--:|--:|");
    for live in &options.live {
        for guard in [Guard::Strict, Guard::Watched] {
            for database in &databases {
                let grown = grow_on(database, *live, guard, &mint).await;
                print(&database.name(), *live, guard, &grown);
            }
        }
    }
    revoke(options, &databases, &Mint::read(&mint)).await;
}

async fn grow_on(database: &Database, live: u64, guard: Guard, mint: &Path) -> Grown {
    let Address::Postgres(url) = &database.address else { unreachable!("growth is measured on PostgreSQL") };
    let pairs = [
        ("guard", guard.to_possible_value().unwrap().get_name().to_owned()),
        ("live", live.to_string()),
        ("mint", mint.display().to_string()),
        ("postgres", url.clone()),
    ];
    processes::run(&arguments("grow", &pairs)).await
}

fn print(database: &str, live: u64, guard: Guard, grown: &Grown) {
    let Grown { memory, processor, measured } = grown;
    let (rate, p50, p99) = (measured.rate(), measured.p50 * 1e6, measured.p99 * 1e6);
    let (processor, megabytes) = (processor * 1e6, *memory as f64 / 1e6);
    let each = memory / live;
    println!(
        "| {database} | {live} | {guard} | {rate:.0} | {p50:.0} | {p99:.0} | {processor:.1} | {megabytes:.1} | {each} |"
    );
}

/// The process whose memory grows.
pub async fn grow(options: &Child) {
    let mint = Mint::read(&options.mint);
    let database = Address::Postgres(options.postgres.clone());
    let gateway = Gateway::open(options.guard, 8, &mint, &database).await;
    // Creates the driver's own memory, pools and threads before anything is counted.
    let first = Credentials::bearers(mint.bearers(CHUNK, options.live));
    drive(&gateway.router, &first, CONCURRENT, Limit::requests(4 * first.len())).await;
    let before = resident();
    for start in (0..options.live).step_by(CHUNK as usize) {
        let chunk = Credentials::bearers((start..start + CHUNK).map(|n| mint.bearer(n)).collect());
        drive(&gateway.router, &chunk, CONCURRENT, Limit::requests(chunk.len())).await;
    }
    let memory = resident().saturating_sub(before);
    let sample = Credentials::bearers(mint.bearers(SAMPLE.min(options.live), options.live));
    let own = Processes::own();
    let start = own.seconds();
    let measured = drive(&gateway.router, &sample, CONCURRENT, Limit::requests(SAMPLE as usize)).await;
    let processor = (own.seconds() - start) / measured.requests as f64;
    println!("{}", serde_json::to_string(&Grown { memory, processor, measured }).unwrap());
}

/// Measures what revocations of other sessions cost the requests here.
async fn revoke(options: &Options, databases: &[Database], mint: &Mint) {
    const LIVE: u64 = 10_000;
    let tokens = Credentials::bearers((0..LIVE).map(|n| mint.bearer(n)).collect());
    println!("\nThe same while other sessions are revoked, {LIVE} live sessions, 256 requests at once:\n");
    println!("| database | revocations/s | guard | requests/s | p50 µs | p99 µs | queries/s |");
    println!("|---|--:|---|--:|--:|--:|--:|");
    for database in databases {
        let strict = Gateway::open(Guard::Strict, 8, mint, &database.address).await;
        let watched = Gateway::open(Guard::Watched, 8, mint, &database.address).await;
        let mut victims = LIVE..;
        for rate in &options.revocations {
            for gateway in [&strict, &watched] {
                drive(&gateway.router, &tokens, 256, Limit::requests(tokens.len())).await;
                gateway.take_queries(0);
                let mut rounds = Vec::new();
                for _ in 0..options.rounds {
                    let limit = Limit::time(Duration::from_secs(1));
                    let drive = drive(&gateway.router, &tokens, 256, limit);
                    let (measured, ()) = tokio::join!(drive, revoke_some(&strict, &mut victims, *rate));
                    rounds.push(measured);
                }
                let queries = gateway.take_queries(0) as f64 / options.rounds as f64;
                let (p50, p99) =
                    (median(&rounds, |round| round.p50) * 1e6, median(&rounds, |round| round.p99) * 1e6);
                let (name, guard, served) = (database.name(), gateway.guard, median(&rounds, Measured::rate));
                println!("| {name} | {rate} | {guard} | {served:.0} | {p50:.0} | {p99:.0} | {queries:.1} |");
            }
        }
    }
}

/// Revokes `count` sessions, evenly over a second.
async fn revoke_some(gateway: &Gateway, victims: &mut impl Iterator<Item = u64>, count: u32) {
    let Some(pause) = Duration::from_secs(1).checked_div(count) else { return };
    let admin = gateway.own.as_ref().unwrap().bridge.admin();
    let mut beat = tokio::time::interval(pause);
    for victim in victims.take(count as usize) {
        beat.tick().await;
        let session = SessionId::parse(session_id(victim)).unwrap();
        assert!(admin.revoke_session(&session).await.unwrap());
    }
}

/// The resident memory of this process, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}
