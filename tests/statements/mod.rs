//! PostgreSQL as it is shipped, a database that was just migrated, and nobody who ever analyses it: every statement of ours
//! is planned as well as on any other, and compiled on none.
//!
//! The plans are those that really ran, inside functions too. What was not seen fails as well.

mod coverage;
mod log;
mod operations;
mod rules;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bridge_auth::store::{PostgresStore, Store};
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio_postgres::{Client, NoTls};

use self::coverage::{Seen, missing_operations, uncalled_functions};
use self::log::{Log, OURS};
use self::rules::{SMALL, Tables, faults};
use crate::support::PostgresBackend;

/// More often than a prepared statement is planned for its values, at first.
const ROUNDS: usize = 8;

/// A store on a database, told apart in the log.
#[derive(Clone, Copy)]
enum Handle {
    /// As the builder makes it.
    Built,
    /// On a pool that knows nothing of us.
    OfStockPool,
}

/// What was asked of a database, and what it did.
struct Trial {
    db: PostgresBackend,
    admin: Client,
    log: Log,
    seen: Seen,
    performed: BTreeSet<&'static str>,
    faults: BTreeSet<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_n13_every_statement_is_planned_well_on_a_database_that_nobody_analysed() {
    let cluster = log::stock_cluster();
    let mut trial = Trial::on(PostgresBackend::in_cluster(&cluster).await).await;
    trial.run(Handle::Built).await;
    trial.missed_nothing().await;
    trial.found_nothing();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_n13_on_a_stock_pool_every_statement_is_planned_as_well() {
    let cluster = log::stock_cluster();
    let mut trial = Trial::on(PostgresBackend::in_cluster(&cluster).await).await;
    trial.run(Handle::OfStockPool).await;
    trial.found_nothing();
}

impl Handle {
    async fn open(self, db: &PostgresBackend) -> Arc<dyn Store> {
        let url = format!("{}?application_name={OURS}", db.url());
        match self {
            Self::Built => Arc::new(PostgresStore::builder(&url).migrate(false).connect().await.unwrap()),
            Self::OfStockPool => Arc::new(PostgresStore::from_pool(stock_pool(&url))),
        }
    }
}

fn stock_pool(url: &str) -> Pool {
    let config = format!("{url}&target_session_attrs=read-write").parse().unwrap();
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(config, NoTls, recycling);
    Pool::builder(manager).max_size(8).runtime(Runtime::Tokio1).build().unwrap()
}

impl Trial {
    async fn on(db: PostgresBackend) -> Self {
        let admin = db.client().await;
        let log = log::explain_all(&admin).await;
        Self { db, admin, log, seen: Seen::default(), performed: BTreeSet::new(), faults: BTreeSet::new() }
    }

    /// On the empty database, then on the filled one: with the connections from before, which may have kept their plans,
    /// and with new ones.
    async fn run(&mut self, handle: Handle) {
        let store = handle.open(&self.db).await;
        self.all("while it was empty", Tables::Empty, &store, ROUNDS).await;
        self.fill().await;
        self.all("by connections from when it was empty", Tables::Filled, &store, 2).await;
        drop(store);
        let store = handle.open(&self.db).await;
        self.all("once it was filled", Tables::Filled, &store, ROUNDS).await;
        self.is_never_analysed().await;
    }

    async fn all(&mut self, when: &str, tables: Tables, store: &Arc<dyn Store>, rounds: usize) {
        for round in 0..rounds {
            let name = if round == 0 { "busy".to_owned() } else { format!("alice-{round}") };
            self.performed.extend(operations::perform(&**store, &self.admin, &name).await);
        }
        operations::guard(store, "bob").await;
        let statements = self.log.take();
        assert!(statements.len() > 100 * rounds, "only {} statements were seen {when}", statements.len());
        self.seen.add(&statements);
        self.faults.extend(faults(&statements, tables).into_iter().map(|fault| format!("{when}: {fault}")));
    }

    async fn fill(&self) {
        let filling = self.db.client().await;
        filling.batch_execute(include_str!("fill.sql")).await.unwrap();
        let sql = "SELECT relname::text FROM pg_class
            WHERE relnamespace = 'bridge_auth'::regnamespace AND relkind IN ('r', 'p')";
        for row in filling.query(sql, &[]).await.unwrap() {
            let table: String = row.get(0);
            if SMALL.iter().all(|(small, _)| *small != table) {
                let sql = format!("SELECT count(*) FROM bridge_auth.{table}");
                let rows: i64 = filling.query_one(&sql, &[]).await.unwrap().get(0);
                assert!(
                    rows >= 10_000,
                    "{table} has {rows} rows: fill it in fill.sql, or name it in rules.rs if it stays small"
                );
            }
        }
    }

    async fn is_never_analysed(&self) {
        let sql = "SELECT count(*) FROM pg_stats WHERE schemaname = 'bridge_auth'";
        assert_eq!(
            self.admin.query_one(sql, &[]).await.unwrap().get::<_, i64>(0),
            0,
            "somebody analysed a table"
        );
    }

    /// Everything there is ran at least once.
    async fn missed_nothing(&mut self) {
        let in_functions = self.seen.missing_in_functions(&self.admin).await;
        let all = [
            ("perform this operation of the trait in operations.rs", missing_operations(&self.performed)),
            ("perform what sends this statement", self.seen.missing_statements()),
            ("perform what leads to this", in_functions),
            (
                "perform what calls this function, or tell in coverage.rs why not",
                self.uncalled_functions().await,
            ),
        ];
        for (what, missing) in all {
            self.faults.extend(missing.into_iter().map(|one| format!("{what}: {one}")));
        }
    }

    /// The calls that a connection has counted are told at the latest when it ends.
    async fn uncalled_functions(&self) -> Vec<String> {
        let end = Instant::now() + Duration::from_secs(15);
        loop {
            let uncalled = uncalled_functions(&self.admin).await;
            if uncalled.is_empty() || Instant::now() > end {
                return uncalled;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// No plan is bad.
    fn found_nothing(&self) {
        let faults: Vec<_> = self.faults.iter().map(String::as_str).collect();
        assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    }
}
