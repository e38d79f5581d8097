//! Databases with many live sessions: session `n` belongs to user `n / 10`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bridge_auth::store::{PostgresStore, SqliteStore, Store};
use tempfile::TempDir;

use super::postgres::{Cluster, connect};

/// The number of sessions in the tables of the budgets.
pub const SESSIONS: u64 = 1_000_000;

/// A migrated and filled database. It is removed when this value is dropped.
pub struct Database {
    pub address: Address,
    pub statistics: Statistics,
    /// How many sessions it was filled with.
    pub sessions: u64,
    keep: Keep,
}

/// What the planner knows of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistics {
    /// Nothing: the tables were never analysed, as on most databases that a gateway starts on.
    None,
    Analyzed,
}

/// The address of a database, for another process.
#[derive(Debug, Clone)]
pub enum Address {
    Postgres(String),
    Sqlite(PathBuf),
}

enum Keep {
    Cluster { cluster: Arc<Cluster> },
    Folder { _folder: TempDir },
}

pub fn session_id(n: u64) -> String {
    format!("sess_{n:032x}")
}

pub fn user_id(n: u64) -> String {
    format!("user-{}", n / 10)
}

impl Database {
    /// PostgreSQL as in production: acknowledged writes are on the disk, and the tables are analysed.
    pub async fn postgres(sessions: u64) -> Self {
        let mut database = Self::filled(sessions, "autovacuum = on").await;
        database.analyze().await;
        database.statistics = Statistics::Analyzed;
        database
    }

    /// The same, just migrated and filled, and never analysed.
    pub async fn postgres_not_analyzed(sessions: u64) -> Self {
        Self::filled(sessions, "autovacuum = off").await
    }

    /// Two databases on one server, so that look-ups are measured on both side by side. The first was just migrated and
    /// filled, and is never analysed. The second is analysed.
    pub async fn postgres_both(sessions: u64) -> [Self; 2] {
        let fresh = Self::filled(sessions, "autovacuum = off").await;
        let (Address::Postgres(url), Keep::Cluster { cluster }) = (&fresh.address, &fresh.keep) else {
            unreachable!("`filled` makes a PostgreSQL database")
        };
        let other = |name: &str| format!("{}/{name}", url.rsplit_once('/').expect("a URL").0);
        let admin = connect(&other("template1")).await;
        // A database can be copied only after the connections that filled it have closed.
        while admin.batch_execute("CREATE DATABASE analyzed TEMPLATE postgres").await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let keep = Keep::Cluster { cluster: cluster.clone() };
        let analyzed = Self {
            address: Address::Postgres(other("analyzed")),
            statistics: Statistics::Analyzed,
            sessions,
            keep,
        };
        analyzed.analyze().await;
        [fresh, analyzed]
    }

    async fn filled(sessions: u64, autovacuum: &str) -> Self {
        let settings = [
            "fsync = on",
            "full_page_writes = on",
            "shared_buffers = 1GB",
            "max_wal_size = 4GB",
            "checkpoint_timeout = 30min",
            autovacuum,
        ];
        let cluster = Arc::new(Cluster::start_with(&settings.map(str::to_owned)));
        let url = cluster.url();
        PostgresStore::connect(&url).await.unwrap();
        let fill = include_str!("fill_postgres.sql").replace("{sessions}", &sessions.to_string());
        let client = connect(&url).await;
        client.batch_execute(&fill).await.unwrap();
        client.batch_execute("CHECKPOINT").await.unwrap();
        let statistics = Statistics::None;
        Self { address: Address::Postgres(url), statistics, sessions, keep: Keep::Cluster { cluster } }
    }

    async fn analyze(&self) {
        if let Address::Postgres(url) = &self.address {
            let client = connect(url).await;
            client.batch_execute("VACUUM ANALYZE").await.unwrap();
            client.batch_execute("CHECKPOINT").await.unwrap();
        }
    }

    /// SQLite, in its own file.
    pub async fn sqlite(sessions: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bridges.db");
        SqliteStore::open(&path).await.unwrap();
        let fill = include_str!("fill_sqlite.sql").replace("{sessions}", &sessions.to_string());
        rusqlite::Connection::open(&path).unwrap().execute_batch(&fill).unwrap();
        let statistics = Statistics::None;
        Self { address: Address::Sqlite(path), statistics, sessions, keep: Keep::Folder { _folder: folder } }
    }

    /// The name in a table.
    pub fn name(&self) -> String {
        match (&self.address, self.statistics) {
            (Address::Postgres(_), Statistics::None) => "PostgreSQL, never analysed".to_owned(),
            (address, _) => address.name().to_owned(),
        }
    }

    pub async fn open(&self, pool: usize) -> Arc<dyn Store> {
        self.address.open(pool).await
    }
}

impl Address {
    /// A store with its own `pool` connections.
    pub async fn open(&self, pool: usize) -> Arc<dyn Store> {
        match self {
            Self::Postgres(url) => {
                Arc::new(PostgresStore::builder(url).pool_size(pool).migrate(false).connect().await.unwrap())
            }
            Self::Sqlite(path) => Arc::new(SqliteStore::builder(path).readers(pool).open().await.unwrap()),
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "PostgreSQL",
            Self::Sqlite(_) => "SQLite",
        }
    }
}
