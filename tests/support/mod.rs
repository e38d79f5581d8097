//! What the tests stand on.

mod backend;
pub mod bridge;
pub mod gateway;
mod sqlite;

pub use backend::Backend;
pub use sqlite::SqliteBackend;
