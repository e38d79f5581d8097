//! SQLite, for a single machine: one file and no server.

mod builder;
mod clients;
mod codes;
mod connect;
mod connections;
mod delegated_sessions;
mod device_grants;
mod devices;
mod end_sessions;
mod file_identity;
mod hanging;
mod hook_sessions;
#[cfg(feature = "serde")]
mod in_file;
#[cfg(feature = "testing")]
mod in_memory;
mod migrate;
mod operations;
mod pool;
mod provision;
#[cfg(test)]
mod query_plan_tests;
mod refresh_rotation;
mod refresh_tokens;
mod revocation_hints;
mod revocations;
mod sessions;
mod store;
mod store_clock;
mod store_trait;
mod sweep;
mod transaction;
mod users;
mod write_probe;

pub use builder::SqliteStoreBuilder;
pub use store::SqliteStore;
