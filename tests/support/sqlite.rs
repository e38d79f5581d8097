//! A SQLite file in a folder of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bridge_auth::store::{SqliteStore, Store};
use rusqlite::Connection;
use tempfile::TempDir;

use super::Backend;

pub struct SqliteBackend {
    folder: TempDir,
}

/// Every column that holds a time.
const TIMES: [(&str, &[&str]); 8] = [
    ("users", &["not_before"]),
    (
        "sessions",
        &[
            "created_at",
            "renewed_at",
            "expires_at",
            "revoked_at",
            "ends_at",
            "authenticated_at",
            "rotated_at",
        ],
    ),
    ("codes", &["created_at", "expires_at", "spent_at"]),
    ("client_secrets", &["created_at", "expires_at"]),
    ("revocations", &["at"]),
    ("refresh_tokens", &["issued_at", "round_at"]),
    ("used_assertions", &["expires_at"]),
    ("device_grants", &["created_at", "expires_at", "next_poll_at", "decided_at"]),
];

impl SqliteBackend {
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("bridges.db")
    }

    /// Takes away what every look-up and every write need: from now on the store cannot answer.
    pub fn break_down(&self) {
        let lose = |table| format!("ALTER TABLE {table} RENAME TO lost_{table};");
        let lose = ["sessions", "users", "codes", "clients", "device_grants"].map(lose).concat();
        self.connect().execute_batch(&lose).unwrap();
    }

    fn connect(&self) -> Connection {
        let connection = Connection::open(self.path()).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        connection
    }
}

#[async_trait]
impl Backend for SqliteBackend {
    async fn start() -> Self {
        let backend = Self { folder: tempfile::tempdir().unwrap() };
        backend.open().await;
        backend
    }

    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(SqliteStore::builder(self.path()).timeout(Duration::from_secs(30)).open().await.unwrap())
    }

    async fn pass_time(&self, by: Duration) {
        let mut connection = self.connect();
        let transaction = connection.transaction().unwrap();
        for (table, columns) in TIMES {
            let shifts: Vec<_> = columns.iter().map(|column| format!("{column} = {column} - ?1")).collect();
            let sql = format!("UPDATE {table} SET {}", shifts.join(", "));
            transaction.execute(&sql, [by.as_millis() as i64]).unwrap();
        }
        transaction.commit().unwrap();
    }

    async fn count(&self, table: &str) -> u64 {
        let rows: i64 =
            self.connect().query_one(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
        rows as u64
    }
}
