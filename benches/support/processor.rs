//! Processor time: what a request costs, however busy the machine is with other work.

use std::fs;

use super::database::Address;
use super::postgres::connect;

/// All server processes except the one of this query, which ends with the query.
const OTHERS: &str = "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()";

/// Processes whose processor time is added up.
pub struct Processes(Vec<u32>);

impl Processes {
    /// This process.
    pub fn own() -> Self {
        Self::of(std::process::id())
    }

    pub fn of(process: u32) -> Self {
        Self(vec![process])
    }

    /// The database's processes that serve a connection now. SQLite has none: it computes in its host's process.
    pub async fn database(address: &Address) -> Self {
        Self(Vec::new()).with_database(address).await
    }

    /// These processes, and the database's processes that serve a connection now.
    pub async fn with_database(mut self, database: &Address) -> Self {
        if let Address::Postgres(url) = database {
            let rows = connect(url).await.query(OTHERS, &[]).await.unwrap();
            self.0.extend(rows.iter().map(|row| row.get::<_, i32>(0).unsigned_abs()));
        }
        self
    }

    /// The processor time of all their threads together, in seconds.
    pub fn seconds(&self) -> f64 {
        let nanoseconds = |process: &u32| -> f64 {
            let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
            threads
                .filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok())
                .filter_map(|stat| stat.split(' ').next()?.parse::<f64>().ok())
                .sum()
        };
        self.0.iter().map(nanoseconds).sum::<f64>() / 1e9
    }
}
