//! The guards beside each other, in one process.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use crate::chart;
use crate::support::database::{Database, SESSIONS};
use crate::support::drive::{Limit, Measured, drive, median};
use crate::support::gateway::{Gateway, Guard};
use crate::support::mint::Mint;
use crate::support::processor::Processes;

#[derive(clap::Args)]
pub struct Options {
    /// How many requests at once.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64,256,1024")]
    concurrent: Vec<usize>,
    /// How many different sessions they are of.
    #[arg(long, value_delimiter = ',', default_value = "1,10000")]
    sessions: Vec<u64>,
    /// Which guards; the comparator is always there.
    #[arg(long, value_delimiter = ',', default_value = "strict,watched,bare")]
    guards: Vec<Guard>,
    /// Sizes of the pools.
    #[arg(long, value_delimiter = ',', default_value = "4,16")]
    pools: Vec<usize>,
    /// How many sessions the table has.
    #[arg(long, default_value_t = SESSIONS)]
    rows: u64,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each guard has in a round.
    #[arg(long, default_value_t = 300)]
    millis: u64,
    /// Measure on SQLite instead of PostgreSQL.
    #[arg(long)]
    sqlite: bool,
    /// Where to draw what was measured.
    #[arg(long)]
    chart: Option<PathBuf>,
}

/// All rounds of one gateway under one load.
pub struct Rounds {
    pub guard: Guard,
    pub pool: usize,
    pub measured: Vec<Measured>,
    pub queries: usize,
    /// Seconds of processor time, the database's included.
    pub processor: f64,
}

/// All gateways under one load.
pub struct Setting {
    pub database: String,
    pub sessions: u64,
    pub concurrent: usize,
    pub all: Vec<Rounds>,
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
        "| database | sessions | at once | guard | pool | requests/s | p50 µs | p99 µs | queries/request | rate to the comparator | processor µs/request | to the comparator |"
    );
    println!("|---|--:|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|");
    let mut settings = Vec::new();
    for sessions in &options.sessions {
        let tokens: Arc<[HeaderValue]> = mint.bearers(*sessions, options.rows).into();
        for gateway in gateways.iter().flatten() {
            drive(&gateway.router, &tokens, 64, Limit::requests(tokens.len().max(1000))).await;
        }
        for concurrent in &options.concurrent {
            // One database after the other under each load: what disturbs the machine disturbs both alike.
            for (database, gateways) in databases.iter().zip(&gateways) {
                let processes = Processes::own().with_database(&database.address).await;
                let all = measure(options, gateways, &tokens, *concurrent, &processes).await;
                let setting =
                    Setting { database: database.name(), sessions: *sessions, concurrent: *concurrent, all };
                print(&setting);
                settings.push(setting);
            }
        }
    }
    if let Some(file) = &options.chart {
        // The one that nobody analysed comes first, and is what is promised of.
        let database = databases[0].name();
        settings.retain(|setting| setting.database == database);
        chart::draw(file, &settings, &database).unwrap();
    }
}

async fn open(options: &Options, mint: &Mint, database: &Database) -> Vec<Gateway> {
    let mut gateways = Vec::new();
    for guard in std::iter::once(Guard::Comparator).chain(options.guards.iter().copied()) {
        // Watched and bare ask nothing: one pool will do for them.
        let asks = matches!(guard, Guard::Comparator | Guard::Strict);
        for pool in &options.pools[..if asks { options.pools.len() } else { 1 }] {
            gateways.push(Gateway::open(guard, *pool, mint, &database.address).await);
        }
    }
    gateways
}

/// Every gateway has its turn in every round: what disturbs the machine disturbs all alike.
async fn measure(
    options: &Options,
    gateways: &[Gateway],
    tokens: &Arc<[HeaderValue]>,
    concurrent: usize,
    processes: &Processes,
) -> Vec<Rounds> {
    let rounds = |gateway: &Gateway| Rounds {
        guard: gateway.guard,
        pool: gateway.pool,
        measured: Vec::new(),
        queries: 0,
        processor: 0.0,
    };
    let mut all: Vec<_> = gateways.iter().map(rounds).collect();
    let limit = Limit::time(Duration::from_millis(options.millis));
    for _ in 0..options.rounds {
        for (rounds, gateway) in all.iter_mut().zip(gateways) {
            gateway.take_queries(0);
            let start = processes.seconds();
            let measured = drive(&gateway.router, tokens, concurrent, limit).await;
            rounds.processor += processes.seconds() - start;
            rounds.queries += gateway.take_queries(measured.requests);
            rounds.measured.push(measured);
        }
    }
    all
}

fn print(setting: &Setting) {
    let Setting { database, sessions, concurrent, all } = setting;
    let best = setting.best_comparator();
    for rounds in all {
        let Rounds { guard, pool, .. } = rounds;
        let (rate, p50, p99) = (rounds.rate(), rounds.p50() * 1e6, rounds.p99() * 1e6);
        let (queries, ratio) = (rounds.each(rounds.queries as f64), rounds.ratio_to(best));
        let processor = rounds.each(rounds.processor) * 1e6;
        let cheaper = best.each(best.processor) * 1e6 / processor;
        println!(
            "| {database} | {sessions} | {concurrent} | {guard} | {pool} | {rate:.0} | {p50:.0} | {p99:.0} | {queries:.3} | {ratio:.2}x | {processor:.1} | {cheaper:.2}x |"
        );
    }
}

impl Setting {
    /// With the pool that serves it best.
    pub fn best_comparator(&self) -> &Rounds {
        self.best(Guard::Comparator)
    }

    pub fn best(&self, guard: Guard) -> &Rounds {
        let all = self.all.iter().filter(|rounds| rounds.guard == guard);
        all.max_by(|a, b| a.rate().total_cmp(&b.rate())).unwrap()
    }
}

impl Rounds {
    pub fn rate(&self) -> f64 {
        median(&self.measured, Measured::rate)
    }

    pub fn p50(&self) -> f64 {
        median(&self.measured, |measured| measured.p50)
    }

    pub fn p99(&self) -> f64 {
        median(&self.measured, |measured| measured.p99)
    }

    /// So much for each request.
    fn each(&self, total: f64) -> f64 {
        total / self.measured.iter().map(|measured| measured.requests as f64).sum::<f64>()
    }

    /// The median of the ratios within each round.
    fn ratio_to(&self, other: &Self) -> f64 {
        let pairs: Vec<_> = self.measured.iter().zip(&other.measured).collect();
        median(&pairs, |(own, other)| own.rate() / other.rate())
    }
}
