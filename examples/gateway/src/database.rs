//! Which database the gateway has, and how it is opened.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bridge_auth::store::{PostgresStore, SqliteStore, Store};

/// A database, as `--database` names it.
#[derive(Clone)]
pub enum Database {
    Sqlite(PathBuf),
    Postgres(String),
}

impl Database {
    /// The file of the signing key beside the database.
    pub fn key_file(&self) -> Option<PathBuf> {
        match self {
            Self::Sqlite(file) => Some(file.with_extension("key")),
            Self::Postgres(_) => None,
        }
    }

    pub async fn open(&self, pool_size: usize) -> Result<Arc<dyn Store>> {
        Ok(match self {
            Self::Sqlite(file) => {
                let store = SqliteStore::open(file).await;
                Arc::new(store.with_context(|| format!("cannot open the database {}", file.display()))?)
            }
            // The URL may hold a password, so no message repeats it.
            Self::Postgres(url) => {
                let store = PostgresStore::builder(url).pool_size(pool_size).connect().await;
                Arc::new(store.context("cannot open the PostgreSQL database")?)
            }
        })
    }
}

impl FromStr for Database {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(file) = text.strip_prefix("sqlite:") {
            ensure!(!file.is_empty(), "sqlite: names no file, write sqlite:FILE");
            ensure!(
                !is_in_memory(file),
                "SQLite would make a separate database in memory for each connection: write sqlite:FILE, \
                 for example in a temporary folder"
            );
            return Ok(Self::Sqlite(file.into()));
        }
        let is_postgres = text.starts_with("postgres://") || text.starts_with("postgresql://");
        ensure!(is_postgres, "write sqlite:FILE or postgres://…");
        Ok(Self::Postgres(text.to_owned()))
    }
}

/// Whether a URL means a database in memory, as other programs write it.
fn is_in_memory(file: &str) -> bool {
    let file = file.to_ascii_lowercase();
    let name = file.trim_start_matches('/').trim_start_matches("file:");
    name.starts_with(":memory:") || file.contains("?mode=memory") || file.contains("&mode=memory")
}
