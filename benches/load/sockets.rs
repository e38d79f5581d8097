//! The guards over sockets. Server, clients and database are separate processes.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::serve::ListenerExt;
use clap::ValueEnum;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::processes::{self, Running, arguments};
use crate::support::app::sign_in;
use crate::support::database::{Address, Database, SESSIONS};
use crate::support::drive::{Measured, median};
use crate::support::gateway::{Gateway, Guard};
use crate::support::head::{Credential, Head};
use crate::support::mint::Mint;
use crate::support::processor::Processes;

#[derive(clap::Args)]
pub struct Options {
    /// The numbers of connections at once. Each is kept alive.
    #[arg(long, value_delimiter = ',', default_value = "64,256")]
    connections: Vec<usize>,
    #[arg(long, default_value_t = 10_000)]
    sessions: u64,
    /// The guards; the comparator always runs. The package `bench-peers` also has `jwt-authorizer`, `axum-jwt-auth` and
    /// `axum-login`.
    #[arg(long, value_delimiter = ',', default_value = "strict,watched,bare")]
    guards: Vec<Guard>,
    #[arg(long, value_delimiter = ',', default_value = "4,16")]
    pools: Vec<usize>,
    #[arg(long, default_value_t = SESSIONS)]
    rows: u64,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each guard runs in a round.
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
    /// The file for the cookies, one person for each session, if the guard reads cookies.
    #[arg(long)]
    cookies: PathBuf,
    #[arg(long)]
    sessions: u64,
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
    /// If this file exists, the clients send these cookies instead of tokens.
    #[arg(long)]
    cookies: PathBuf,
}

struct Contestant {
    database: String,
    address: Address,
    guard: Guard,
    pool: usize,
    server: Running,
    cookies: PathBuf,
    measured: Vec<Measured>,
    /// Seconds of processor time of each process.
    processor: Processor,
}

#[derive(Debug, Clone, Copy, Default)]
struct Processor {
    server: f64,
    database: f64,
    clients: f64,
}

/// The figures of the clients.
#[derive(Serialize, Deserialize)]
struct Seen {
    measured: Measured,
    /// Seconds of the clients' own processor time.
    processor: f64,
}

pub async fn run(options: &Options) {
    let databases = Database::postgres_both(options.rows).await;
    let folder = tempfile::tempdir().unwrap();
    Mint::new().write(&folder.path().join("mint"));
    let mut contestants = Vec::new();
    for database in &databases {
        contestants.extend(start(options, folder.path(), database).await);
    }
    println!(
        "\nOver sockets, {} rows, {} sessions, medians of {} rounds:\n",
        options.rows, options.sessions, options.rounds
    );
    println!(
        "| database | connections | guard | pool | requests/s | p50 µs | p99 µs | rate to the comparator | rate to bare | server µs/request | database µs/request | clients µs/request | cost to the comparator |"
    );
    println!("|---|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for connections in &options.connections {
        for round in 0..=options.rounds {
            for contestant in &mut contestants {
                let arguments = clients_of(contestant, options, *connections, folder.path());
                let (seen, processor) = contestant.asked(&arguments).await;
                // The first round warms up.
                if round > 0 {
                    contestant.processor.add(processor);
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
            contestant.processor = Processor::default();
        }
    }
}

async fn start(options: &Options, folder: &Path, database: &Database) -> Vec<Contestant> {
    let Address::Postgres(url) = &database.address else {
        unreachable!("sockets are measured on PostgreSQL")
    };
    let mut contestants = Vec::new();
    for guard in std::iter::once(Guard::Comparator).chain(options.guards.iter().copied()) {
        let pools = if guard == Guard::Comparator { &options.pools[..] } else { &options.pools[..1] };
        for pool in pools {
            let name = guard.to_possible_value().unwrap().get_name().to_owned();
            let cookies = folder.join(format!("{name}, {pool}, {}", database.name()));
            let arguments = arguments(
                "serve",
                &[
                    ("guard", name),
                    ("pool", pool.to_string()),
                    ("mint", folder.join("mint").display().to_string()),
                    ("postgres", url.to_owned()),
                    ("cookies", cookies.display().to_string()),
                    ("sessions", options.sessions.to_string()),
                ],
            );
            let server = processes::start(&arguments).await;
            contestants.push(Contestant {
                database: database.name(),
                address: database.address.clone(),
                guard,
                pool: *pool,
                server,
                cookies,
                measured: Vec::new(),
                processor: Processor::default(),
            });
        }
    }
    contestants
}

fn clients_of(contestant: &Contestant, options: &Options, connections: usize, folder: &Path) -> Vec<String> {
    arguments(
        "generate",
        &[
            ("server", contestant.server.line.clone()),
            ("connections", connections.to_string()),
            ("mint", folder.join("mint").display().to_string()),
            ("sessions", options.sessions.to_string()),
            ("rows", options.rows.to_string()),
            ("millis", options.millis.to_string()),
            ("cookies", contestant.cookies.display().to_string()),
        ],
    )
}

fn print(connections: usize, contestants: &[&Contestant]) {
    let rate = |contestant: &Contestant| median(&contestant.measured, Measured::rate);
    let comparators = contestants.iter().filter(|contestant| contestant.guard == Guard::Comparator);
    let best = comparators.max_by(|a, b| rate(a).total_cmp(&rate(b))).unwrap();
    let bare = contestants.iter().find(|contestant| contestant.guard == Guard::Bare);
    for contestant in contestants {
        let Contestant { database, guard, pool, measured, .. } = contestant;
        let p50 = median(measured, |measured| measured.p50) * 1e6;
        let p99 = median(measured, |measured| measured.p99) * 1e6;
        let ratio = contestant.ratio_to(best);
        let nearness = bare.map_or(String::new(), |bare| format!("{:.2}x", contestant.ratio_to(bare)));
        let rate = rate(contestant);
        let Processor { server, database: asked, clients } = contestant.each();
        let cheaper = best.each().sum() / contestant.each().sum();
        println!(
            "| {database} | {connections} | {guard} | {pool} | {rate:.0} | {p50:.0} | {p99:.0} | {ratio:.2}x | {nearness} | {server:.1} | {asked:.1} | {clients:.1} | {cheaper:.2}x |"
        );
    }
}

impl Contestant {
    /// Runs clients with these arguments. Returns their figures and the costs.
    async fn asked(&self, arguments: &[String]) -> (Seen, Processor) {
        let server = Processes::of(self.server.id());
        let database = Processes::database(&self.address).await;
        let start = [server.seconds(), database.seconds()];
        let seen: Seen = processes::run(arguments).await;
        let (server, database) = (server.seconds() - start[0], database.seconds() - start[1]);
        let clients = seen.processor;
        (seen, Processor { server, database, clients })
    }

    /// Microseconds for each request.
    fn each(&self) -> Processor {
        let requests: f64 = self.measured.iter().map(|measured| measured.requests as f64).sum();
        let each = |seconds: f64| seconds * 1e6 / requests;
        let Processor { server, database, clients } = self.processor;
        Processor { server: each(server), database: each(database), clients: each(clients) }
    }

    /// The median of the ratios within each round.
    fn ratio_to(&self, other: &Self) -> f64 {
        let pairs: Vec<_> = self.measured.iter().zip(&other.measured).collect();
        median(&pairs, |(own, other)| own.rate() / other.rate())
    }
}

impl Processor {
    fn add(&mut self, other: Self) {
        self.server += other.server;
        self.database += other.database;
        self.clients += other.clients;
    }

    fn sum(self) -> f64 {
        self.server + self.database + self.clients
    }
}

/// The process that serves.
pub async fn serve(options: &Server) {
    let database = Address::Postgres(options.postgres.clone());
    let mint = Mint::read(&options.mint);
    let gateway = Gateway::open(options.guard, options.pool, &mint, &database).await;
    if options.guard == Guard::AxumLogin {
        let cookies = sign_in(&gateway.router, options.sessions).await;
        std::fs::write(&options.cookies, cookies.join("\n")).unwrap();
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    std::io::stdout().flush().unwrap();
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
    axum::serve(listener, gateway.router).await.unwrap();
}

/// The process that sends requests.
///
/// It does as little as possible, because it shares the two cores with the server.
pub async fn generate(options: &Clients) {
    let requests: Arc<[Vec<u8>]> =
        credentials(options).iter().map(|credential| Head::of_5(credential).text()).collect();
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

fn credentials(options: &Clients) -> Vec<Credential> {
    match std::fs::read_to_string(&options.cookies) {
        Ok(cookies) => cookies.lines().map(|cookie| Credential::Cookie(cookie.to_owned())).collect(),
        Err(_) => {
            let mint = Mint::read(&options.mint);
            mint.tokens(options.sessions, options.rows).map(Credential::Bearer).collect()
        }
    }
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
