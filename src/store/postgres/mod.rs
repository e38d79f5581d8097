//! PostgreSQL, for real use: many gateways on one database.
//!
//! Every operation is one statement, and so one transaction and one round trip. An operation of several steps is a
//! function that the migrations make (`migrations/postgres`). Everything is in a schema of its own, `bridge_auth`,
//! beside the host's tables. PostgreSQL 13 or later.

mod builder;
mod clients;
mod codes;
mod connect;
mod connection_settings;
mod connections;
mod device_grants;
mod devices;
mod error;
#[cfg(feature = "serde")]
mod in_file;
mod migrate;
mod migration_lock;
mod operations;
mod preflight;
mod refresh_rotation;
mod revocations;
mod rights;
mod row;
mod sessions;
mod simple_query;
mod store;
mod store_trait;
mod tick_connection;
mod timeline;
mod tls;
mod url;
mod users;
mod version;

pub use builder::PostgresStoreBuilder;
pub use store::PostgresStore;
