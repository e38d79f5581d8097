//! What the tests stand on.

mod backend;
mod sqlite;

pub use backend::Backend;
pub use sqlite::SqliteBackend;
