//! One conformance suite for every store: each promise of the trait's documentation is a test.

pub mod given;

mod client_keys;
mod clients;
mod codes;
pub mod delegated;
mod delegated_ends;
pub mod device_grants;
mod device_polls;
mod device_writes;
mod events;
mod log;
mod migrations;
mod old_gateways;
mod outside;
mod plans;
mod provision;
mod redeem;
mod refresh;
mod refresh_reuse;
mod revoke;
mod revoke_others;
mod sessions;
mod sqlite_file;
mod sqlite_place;
mod sweep;
mod ticks;
mod users;

/// Makes a test of each promise, against each store.
macro_rules! promises {
    (@ $store:ident, $backend:ty: $($promise:ident)*) => {
        mod $store {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    let db = <$backend as crate::support::Backend>::start().await;
                    super::$promise(db).await;
                }
            )*
        }
    };
    ($($promise:ident),* $(,)?) => {
        crate::store::promises!(@ sqlite, crate::support::SqliteBackend: $($promise)*);
        crate::store::promises!(@ postgres, crate::support::PostgresBackend: $($promise)*);
    };
}
pub(crate) use promises;
