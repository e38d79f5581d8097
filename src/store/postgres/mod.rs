//! PostgreSQL, for real use: many gateways on one database.
//!
//! Every operation is one statement, and so one transaction and one round trip. An operation of several steps is a
//! function that the migrations make (`migrations/postgres`). Everything is in a schema of its own, `bridge_auth`,
//! beside the host's tables. PostgreSQL 13 or later.

mod builder;
mod client;
mod code;
mod connect;
mod connection_settings;
mod connections;
mod contract;
mod device;
mod error;
mod migrate;
mod migration_lock;
mod migrations;
mod operations;
mod preflight;
mod refresh_rotation;
mod revocation;
mod rights;
mod row;
mod session;
mod simple_query;
mod store;
mod tick_connection;
mod timeline;
mod tls;
mod url;
mod user;
mod version;

pub use builder::PostgresStoreBuilder;
pub use store::PostgresStore;
