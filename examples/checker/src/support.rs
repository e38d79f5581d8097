//! What the checker needs of that on which the tests stand.

#[path = "../../../tests/support/backend.rs"]
mod backend;
#[path = "../../../tests/support/postgres.rs"]
pub mod postgres;
#[path = "../../../tests/support/process.rs"]
pub mod process;
#[path = "../../../tests/support/replicated.rs"]
pub mod replicated;

pub use self::backend::Backend;
