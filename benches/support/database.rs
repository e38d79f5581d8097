//! Databases with many live sessions: session `n` belongs to user `n / 10`.

use std::path::PathBuf;
use std::sync::Arc;

use bridge_auth::store::{PostgresStore, SqliteStore, Store};
use tempfile::TempDir;

use super::postgres::{Cluster, connect};

/// How many sessions the tables of the budgets have.
pub const SESSIONS: u64 = 1_000_000;

/// A migrated database that was filled; it goes with the value.
pub struct Database {
    pub address: Address,
    _keep: Keep,
}

/// Where a database is: all that another process needs.
#[derive(Debug, Clone)]
pub enum Address {
    Postgres(String),
    Sqlite(PathBuf),
}

enum Keep {
    Cluster { _cluster: Cluster },
    Folder { _folder: TempDir },
}

pub fn session_id(n: u64) -> String {
    format!("sess_{n:032x}")
}

pub fn user_id(n: u64) -> String {
    format!("user-{}", n / 10)
}

impl Database {
    /// PostgreSQL as in production: what is acknowledged is on the disk, and the tables are analysed.
    pub async fn postgres(sessions: u64) -> Self {
        let database = Self::filled(sessions, "autovacuum = on").await;
        if let Address::Postgres(url) = &database.address {
            let client = connect(url).await;
            client.batch_execute("VACUUM ANALYZE").await.unwrap();
            client.batch_execute("CHECKPOINT").await.unwrap();
        }
        database
    }

    /// The same as it was just migrated and filled: nobody analyses it.
    pub async fn postgres_not_analyzed(sessions: u64) -> Self {
        Self::filled(sessions, "autovacuum = off").await
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
        let cluster = Cluster::start_with(&settings.map(str::to_owned));
        let url = cluster.url();
        PostgresStore::connect(&url).await.unwrap();
        let fill = include_str!("fill_postgres.sql").replace("{sessions}", &sessions.to_string());
        let client = connect(&url).await;
        client.batch_execute(&fill).await.unwrap();
        client.batch_execute("CHECKPOINT").await.unwrap();
        Self { address: Address::Postgres(url), _keep: Keep::Cluster { _cluster: cluster } }
    }

    /// SQLite, in a file of its own.
    pub async fn sqlite(sessions: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bridges.db");
        SqliteStore::open(&path).await.unwrap();
        let fill = include_str!("fill_sqlite.sql").replace("{sessions}", &sessions.to_string());
        rusqlite::Connection::open(&path).unwrap().execute_batch(&fill).unwrap();
        Self { address: Address::Sqlite(path), _keep: Keep::Folder { _folder: folder } }
    }

    pub async fn open(&self, pool: usize) -> Arc<dyn Store> {
        self.address.open(pool).await
    }
}

impl Address {
    /// A handle with `pool` connections of its own.
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
