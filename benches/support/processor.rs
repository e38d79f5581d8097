//! Processor time: what a request costs however busy the machine is with other things.

use std::fs;

use super::database::Address;
use super::postgres::connect;

/// All but who asks: that one ends with its question.
const OTHERS: &str = "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()";

/// Processes whose processor time is told together.
pub struct Processes(Vec<u32>);

impl Processes {
    /// This one.
    pub fn own() -> Self {
        Self::of(std::process::id())
    }

    pub fn of(process: u32) -> Self {
        Self(vec![process])
    }

    /// The database's that serve anybody now. SQLite has none: what it computes is its host's.
    pub async fn database(address: &Address) -> Self {
        Self(Vec::new()).with_database(address).await
    }

    /// These, and the database's that serve anybody now.
    pub async fn with_database(mut self, database: &Address) -> Self {
        if let Address::Postgres(url) = database {
            let rows = connect(url).await.query(OTHERS, &[]).await.unwrap();
            self.0.extend(rows.iter().map(|row| row.get::<_, i32>(0).unsigned_abs()));
        }
        self
    }

    /// Seconds that they have computed for, all their threads together.
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
