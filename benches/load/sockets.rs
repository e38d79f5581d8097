//! The guards over sockets: server, clients and database each a process of their own.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::serve::ListenerExt;
use clap::ValueEnum;
use futures_util::future::join_all;
use http::HeaderValue;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::processes::{self, Running, arguments};
use crate::support::database::{Address, Database, SESSIONS};
use crate::support::drive::{Measured, median};
use crate::support::gateway::{Gateway, Guard};
use crate::support::mint::Mint;
use crate::support::processor::Processes;

#[derive(clap::Args)]
pub struct Options {
    /// How many connections at once, each kept alive.
    #[arg(long, value_delimiter = ',', default_value = "64,256")]
    connections: Vec<usize>,
    #[arg(long, default_value_t = 10_000)]
    sessions: u64,
    #[arg(long, value_delimiter = ',', default_value = "4,16")]
    pools: Vec<usize>,
    #[arg(long, default_value_t = SESSIONS)]
    rows: u64,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each guard has in a round.
    #[arg(long, default_value_t = 1500)]
    millis: u64,
}

#[derive(clap::Args)]
pub struct Server {
    #[arg(long)]
    guard: Guard,
    #[arg(long)]
    pool: usize,
    #[arg(long)]
    mint: PathBuf,
    #[arg(long)]
    postgres: String,
}

#[derive(clap::Args)]
pub struct Clients {
    #[arg(long)]
    server: String,
    #[arg(long)]
    connections: usize,
    #[arg(long)]
    mint: PathBuf,
    #[arg(long)]
    sessions: u64,
    #[arg(long)]
    rows: u64,
    #[arg(long)]
    millis: u64,
}

struct Contestant {
    database: String,
    address: Address,
    guard: Guard,
    pool: usize,
    server: Running,
    measured: Vec<Measured>,
    /// Seconds of processor time, those of the clients and the database included.
    processor: f64,
}

/// What the clients saw.
#[derive(Serialize, Deserialize)]
struct Seen {
    measured: Measured,
    /// Seconds that they computed for themselves.
    processor: f64,
}

pub async fn run(options: &Options) {
    let databases = Database::postgres_both(options.rows).await;
    let folder = tempfile::tempdir().unwrap();
    let mint = folder.path().join("mint");
    Mint::new().write(&mint);
    let mut contestants = Vec::new();
    for database in &databases {
        contestants.extend(start(options, &mint.display().to_string(), database).await);
    }
    println!(
        "\nOver sockets, {} rows, {} sessions, medians of {} rounds:\n",
        options.rows, options.sessions, options.rounds
    );
    println!(
        "| database | connections | guard | pool | requests/s | p50 µs | p99 µs | rate to the comparator | processor µs/request | to the comparator |"
    );
    println!("|---|--:|---|--:|--:|--:|--:|--:|--:|--:|");
    for connections in &options.connections {
        for round in 0..=options.rounds {
            for contestant in &mut contestants {
                let arguments = clients_of(contestant, options, *connections, &mint.display().to_string());
                let processes =
                    Processes::own().and(contestant.server.id()).with_database(&contestant.address).await;
                let start = processes.seconds();
                let seen: Seen = processes::run(&arguments).await;
                // The first round warms up.
                if round > 0 {
                    contestant.processor += processes.seconds() - start + seen.processor;
                    contestant.measured.push(seen.measured);
                }
            }
        }
        for database in &databases {
            let name = database.name();
            let on = contestants.iter().filter(|contestant| contestant.database == name).collect::<Vec<_>>();
            print(*connections, &on);
        }
        for contestant in &mut contestants {
            contestant.measured.clear();
            contestant.processor = 0.0;
        }
    }
}

async fn start(options: &Options, mint: &str, database: &Database) -> Vec<Contestant> {
    let Address::Postgres(url) = &database.address else {
        unreachable!("sockets are measured on PostgreSQL")
    };
    let mut contestants = Vec::new();
    for guard in [Guard::Comparator, Guard::Strict, Guard::Watched, Guard::Bare] {
        let pools = if guard == Guard::Comparator { &options.pools[..] } else { &options.pools[..1] };
        for pool in pools {
            let arguments = arguments(
                "serve",
                &[
                    ("guard", guard.to_possible_value().unwrap().get_name().to_owned()),
                    ("pool", pool.to_string()),
                    ("mint", mint.to_owned()),
                    ("postgres", url.to_owned()),
                ],
            );
            let server = processes::start(&arguments).await;
            contestants.push(Contestant {
                database: database.name(),
                address: database.address.clone(),
                guard,
                pool: *pool,
                server,
                measured: Vec::new(),
                processor: 0.0,
            });
        }
    }
    contestants
}

fn clients_of(contestant: &Contestant, options: &Options, connections: usize, mint: &str) -> Vec<String> {
    arguments(
        "generate",
        &[
            ("server", contestant.server.line.clone()),
            ("connections", connections.to_string()),
            ("mint", mint.to_owned()),
            ("sessions", options.sessions.to_string()),
            ("rows", options.rows.to_string()),
            ("millis", options.millis.to_string()),
        ],
    )
}

fn print(connections: usize, contestants: &[&Contestant]) {
    let rate = |contestant: &Contestant| median(&contestant.measured, Measured::rate);
    let comparators = contestants.iter().filter(|contestant| contestant.guard == Guard::Comparator);
    let best = comparators.max_by(|a, b| rate(a).total_cmp(&rate(b))).unwrap();
    for contestant in contestants {
        let Contestant { database, guard, pool, measured, .. } = contestant;
        let p50 = median(measured, |measured| measured.p50) * 1e6;
        let p99 = median(measured, |measured| measured.p99) * 1e6;
        let pairs: Vec<_> = measured.iter().zip(&best.measured).collect();
        let ratio = median(&pairs, |(own, other)| own.rate() / other.rate());
        let rate = rate(contestant);
        let processor = contestant.cost() * 1e6;
        let cheaper = best.cost() * 1e6 / processor;
        println!(
            "| {database} | {connections} | {guard} | {pool} | {rate:.0} | {p50:.0} | {p99:.0} | {ratio:.2}x | {processor:.1} | {cheaper:.2}x |"
        );
    }
}

impl Contestant {
    /// Seconds of processor time a request.
    fn cost(&self) -> f64 {
        self.processor / self.measured.iter().map(|measured| measured.requests as f64).sum::<f64>()
    }
}

/// The process that serves.
pub async fn serve(options: &Server) {
    let database = Address::Postgres(options.postgres.clone());
    let mint = Mint::read(&options.mint);
    let gateway = Gateway::open(options.guard, options.pool, &mint, &database).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    std::io::stdout().flush().unwrap();
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
    axum::serve(listener, gateway.router).await.unwrap();
}

/// The process that asks.
///
/// It does as little as it can: what it takes of the two cores it takes from the server.
pub async fn generate(options: &Clients) {
    let bearers = Mint::read(&options.mint).bearers(options.sessions, options.rows);
    let requests: Arc<[Vec<u8>]> = bearers.iter().map(request).collect();
    let own = Processes::own();
    let start = own.seconds();
    let started = Instant::now();
    let end = started + Duration::from_millis(options.millis);
    let share = requests.len() / options.connections;
    let clients = (0..options.connections)
        .map(|number| tokio::spawn(client(options.server.clone(), requests.clone(), number * share, end)));
    let latencies = join_all(clients).await.into_iter().flat_map(Result::unwrap).collect();
    let measured = Measured::of(latencies, started.elapsed());
    let seen = Seen { measured, processor: own.seconds() - start };
    println!("{}", serde_json::to_string(&seen).unwrap());
}

fn request(bearer: &HeaderValue) -> Vec<u8> {
    let bearer = bearer.to_str().unwrap();
    format!("GET / HTTP/1.1\r\nhost: gateway.example\r\nauthorization: {bearer}\r\n\r\n").into_bytes()
}

async fn client(server: String, requests: Arc<[Vec<u8>]>, first: usize, end: Instant) -> Vec<Duration> {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut latencies = Vec::new();
    let mut answer = [0; 1024];
    for request in requests.iter().cycle().skip(first) {
        let sent = Instant::now();
        if sent >= end {
            break;
        }
        stream.write_all(request).await.unwrap();
        let mut length = 0;
        while !answer[..length].ends_with(b"\r\n\r\nok") {
            let read = stream.read(&mut answer[length..]).await.unwrap();
            length += read;
            let refused = length >= 12 && !answer.starts_with(b"HTTP/1.1 200");
            assert!(read > 0 && !refused, "{}", String::from_utf8_lossy(&answer[..length]));
        }
        latencies.push(sent.elapsed());
    }
    latencies
}
