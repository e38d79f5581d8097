//! SQLite, for a single machine: one file and no server.

mod builder;
mod clients;
mod codes;
mod connect;
mod connections;
mod contract;
mod devices;
mod end_sessions;
mod file_identity;
mod hints;
mod hook_sessions;
mod operations;
#[cfg(test)]
mod plans;
mod pool;
mod provision;
mod refresh_rotation;
mod refresh_tokens;
mod revocations;
mod sessions;
mod store;
mod sweep;
mod transaction;
mod users;
mod write_probe;

pub use builder::SqliteStoreBuilder;
pub use store::SqliteStore;
