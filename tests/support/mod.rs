//! What the tests stand on.

mod backend;
pub mod bridge;
pub mod counting;
pub mod disk;
pub mod gateway;
mod listed;
#[cfg(feature = "metrics")]
pub mod meter;
pub mod pages;
pub mod pgbouncer;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod record;
pub mod replicated;
mod sqlite;
pub mod stock;
pub mod terminal;
pub mod wire;

pub use backend::Backend;
pub use listed::{Listed, ListedByAdmin, known};
pub use postgres::PostgresBackend;
pub use sqlite::SqliteBackend;
