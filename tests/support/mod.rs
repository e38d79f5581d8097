//! What the tests stand on.

mod backend;
pub mod bridge;
mod sqlite;

pub use backend::Backend;
pub use sqlite::SqliteBackend;
