//! The guards side by side, in one process.

use std::path::PathBuf;
use std::time::Duration;

use http::HeaderValue;

use crate::chart;
use crate::measured::{Rounds, Setting};
use crate::support::database::{Database, SESSIONS};
use crate::support::drive::{Credentials, Limit, drive};
use crate::support::gateway::{Gateway, Guard};
use crate::support::mint::Mint;
use crate::support::processor::Processes;

#[derive(clap::Args)]
pub struct Options {
    /// The numbers of requests at once.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64,256,1024")]
    concurrent: Vec<usize>,
    /// The numbers of different sessions that the requests use.
    #[arg(long, value_delimiter = ',', default_value = "1,10000")]
    sessions: Vec<u64>,
    /// The guards; the comparator always runs. The package `bench-peers` also has `jwt-authorizer`, `axum-jwt-auth` and
    /// `axum-login`.
    #[arg(long, value_delimiter = ',', default_value = "strict,watched,bare")]
    guards: Vec<Guard>,
    /// The sizes of the connection pools.
    #[arg(long, value_delimiter = ',', default_value = "4,16")]
    pools: Vec<usize>,
    /// How many sessions the table has.
    #[arg(long, default_value_t = SESSIONS)]
    rows: u64,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each guard runs in a round.
    #[arg(long, default_value_t = 300)]
    millis: u64,
    /// Measures on SQLite instead of PostgreSQL.
    #[arg(long)]
    sqlite: bool,
    /// The SVG file to draw the figures in.
    #[arg(long)]
    chart: Option<PathBuf>,
}

pub async fn run(options: &Options) {
    let databases = match options.sqlite {
        true => vec![Database::sqlite(options.rows).await],
        false => Database::postgres_both(options.rows).await.into(),
    };
    let mint = Mint::new();
    let mut gateways = Vec::new();
    for database in &databases {
        gateways.push(open(options, &mint, database).await);
    }
    println!("\n{} rows, medians of {} rounds:\n", options.rows, options.rounds);
    println!(
        "| database | sessions | at once | guard | pool | requests/s | p50 µs | p99 µs | rate to the comparator | rate to bare | own µs/request | database µs/request | cost to the comparator | queries/request | database µs/query |"
    );
    println!("|---|--:|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    let mut settings = Vec::new();
    for sessions in &options.sessions {
        let credentials = warm(&gateways, &mint.bearers(*sessions, options.rows)).await;
        for concurrent in &options.concurrent {
            // One database after the other under each load. So a disturbance of the machine affects both alike.
            for ((database, gateways), credentials) in databases.iter().zip(&gateways).zip(&credentials) {
                let processes = [Processes::own(), Processes::database(&database.address).await];
                let all = measure(options, gateways, credentials, *concurrent, &processes).await;
                let setting =
                    Setting { database: database.name(), sessions: *sessions, concurrent: *concurrent, all };
                print(&setting);
                settings.push(setting);
            }
        }
    }
    if let Some(file) = &options.chart {
        // The database that was never analysed comes first. The promises are about it.
        let database = databases[0].name();
        settings.retain(|setting| setting.database == database);
        chart::draw(file, &settings, &database).unwrap();
    }
}

async fn open(options: &Options, mint: &Mint, database: &Database) -> Vec<Gateway> {
    let mut gateways = Vec::new();
    for guard in std::iter::once(Guard::Comparator).chain(options.guards.iter().copied()) {
        // A guard that asks no database needs only one pool.
        for pool in &options.pools[..if guard.asks() { options.pools.len() } else { 1 }] {
            gateways.push(Gateway::open(guard, *pool, mint, &database.address).await);
        }
    }
    gateways
}

/// The credentials for each gateway of each database. When this returns, each was sent once.
async fn warm(gateways: &[Vec<Gateway>], bearers: &[HeaderValue]) -> Vec<Vec<Credentials>> {
    let mut all = Vec::new();
    for gateways in gateways {
        let mut shown = Vec::new();
        for gateway in gateways {
            let credentials = gateway.credentials(bearers).await;
            let limit = Limit::requests(credentials.len().max(1000));
            drive(&gateway.router, &credentials, 64, limit).await;
            shown.push(credentials);
        }
        all.push(shown);
    }
    all
}

/// Runs every gateway in every round. So a disturbance of the machine affects all gateways alike.
async fn measure(
    options: &Options,
    gateways: &[Gateway],
    credentials: &[Credentials],
    concurrent: usize,
    [own, database]: &[Processes; 2],
) -> Vec<Rounds> {
    let rounds = |gateway: &Gateway| Rounds {
        guard: gateway.guard,
        pool: gateway.pool,
        measured: Vec::new(),
        queries: 0,
        own: 0.0,
        database: 0.0,
    };
    let mut all: Vec<_> = gateways.iter().map(rounds).collect();
    let limit = Limit::time(Duration::from_millis(options.millis));
    for _ in 0..options.rounds {
        for ((rounds, gateway), credentials) in all.iter_mut().zip(gateways).zip(credentials) {
            gateway.take_queries(0);
            let start = [own.seconds(), database.seconds()];
            let measured = drive(&gateway.router, credentials, concurrent, limit).await;
            rounds.own += own.seconds() - start[0];
            rounds.database += database.seconds() - start[1];
            rounds.queries += gateway.take_queries(measured.requests);
            rounds.measured.push(measured);
        }
    }
    all
}

fn print(setting: &Setting) {
    let Setting { database, sessions, concurrent, all } = setting;
    let best = setting.best(Guard::Comparator).expect("the comparator always runs");
    let bare = setting.best(Guard::Bare);
    for rounds in all {
        let Rounds { guard, pool, .. } = rounds;
        let (rate, p50, p99) = (rounds.rate(), rounds.p50() * 1e6, rounds.p99() * 1e6);
        let (queries, ratio) = (rounds.each(rounds.queries as f64), rounds.ratio_to(best));
        let nearness = bare.map_or(String::new(), |bare| format!("{:.2}x", rounds.ratio_to(bare)));
        let own = rounds.each(rounds.own) * 1e6;
        // SQLite computes in this process, so the parts cannot be separated.
        let apart = |seconds: f64| match best.database {
            0.0 => String::new(),
            _ => format!("{:.1}", seconds * 1e6),
        };
        let of_database = apart(rounds.each(rounds.database));
        let cheaper = best.cost() / rounds.cost();
        let query = match rounds.queries {
            0 => String::new(),
            queries => apart(rounds.database / queries as f64),
        };
        println!(
            "| {database} | {sessions} | {concurrent} | {guard} | {pool} | {rate:.0} | {p50:.0} | {p99:.0} | {ratio:.2}x | {nearness} | {own:.1} | {of_database} | {cheaper:.2}x | {queries:.3} | {query} |"
        );
    }
}
