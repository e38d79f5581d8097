//! What the benches share: databases with a million sessions, tokens for them, and the gateways to compare.
//!
//! The peers among the gateways exist only in the package `bench-peers`, which sets `cfg(peers)`.

pub mod app;
#[path = "../../tests/support/backend.rs"]
mod backend;
pub mod comparator;
#[path = "../../tests/support/counting.rs"]
pub mod counting;
pub mod database;
pub mod drive;
pub mod gateway;
pub mod head;
pub mod mint;
#[cfg(peers)]
pub mod peers;
#[path = "../../tests/support/postgres.rs"]
pub mod postgres;
pub mod processor;

// tests/support/postgres.rs uses this name.
pub use backend::Backend;
