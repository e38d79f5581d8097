//! Migrations, one node at a time.

use std::time::Duration;

use tokio::time::timeout;

use super::connections::Connections;
use super::error::failed;
use crate::store::StoreError;

mod embedded {
    #![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]
    refinery::embed_migrations!("migrations/postgres");
}

/// Long enough for another node to finish a large migration first.
const DEADLINE: Duration = Duration::from_secs(300);

/// Held while migrating; released when the connection closes, whatever happens to this node. The key
/// is "bridge" in ASCII.
const LOCK: &str =
    "SET statement_timeout = 0; SET lock_timeout = 0; SELECT pg_advisory_lock(x'627269646765'::bigint)";

const UNLOCK: &str = "SELECT pg_advisory_unlock(x'627269646765'::bigint)";

/// `CREATE SCHEMA IF NOT EXISTS` would ask for the right to create one even where it exists.
const SCHEMA: &str =
    "DO $$ BEGIN IF to_regnamespace('bridge_auth') IS NULL THEN CREATE SCHEMA bridge_auth; END IF; END $$";

/// Applies what is missing: each migration whole or not at all, in their order.
pub(super) async fn migrate(connections: &Connections) -> Result<(), StoreError> {
    let mut lease = connections.rest.lease().await?;
    let client = &mut **lease.connection_mut();
    let work = async {
        client.batch_execute(LOCK).await?;
        client.batch_execute(SCHEMA).await?;
        embedded::migrations::runner()
            .set_migration_table_name("bridge_auth.migrations")
            .run_async(&mut **client)
            .await
            .map_err(failed)?;
        client.batch_execute(UNLOCK).await?;
        Ok(())
    };
    // The lease is not given back: the connection has settings of its own now.
    timeout(DEADLINE, work).await.unwrap_or_else(|_| Err(StoreError::timed_out()))
}
