//! Migrations. One gateway migrates at a time.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::Client;

use super::connections::Connections;
use super::migrations::runner;
use super::version::State;
use super::{migration_lock, preflight, rights, version};
use crate::store::StoreError;

/// Long enough for another gateway to finish a large migration first.
const DEADLINE: Duration = Duration::from_secs(300);

/// `CREATE SCHEMA IF NOT EXISTS` would need the right to create a schema even if it exists.
const SCHEMA: &str =
    "DO $$ BEGIN IF to_regnamespace('bridge_auth') IS NULL THEN CREATE SCHEMA bridge_auth; END IF; END $$";

/// Applies the migrations that are missing, in their order. Each one is applied whole or not at all.
///
/// If no migration is missing, it changes nothing and needs no right to change the schema.
pub(super) async fn migrate(connections: &Connections) -> Result<(), StoreError> {
    // Neither connection goes back to the pool: both get settings of their own.
    let [mut work, lock] = preflight::two(connections).await?;
    let work = async {
        let client: &mut Client = work.connection_mut();
        let lock = lock.connection();
        let server = preflight::check_server(connections, client);
        timeout(connections.rest.statement, server).await.unwrap_or_else(|_| Err(StoreError::timed_out()))?;
        rights::to_use(client).await?;
        if version::read(client).await? != State::Usable {
            rights::to_migrate(client).await?;
            client.batch_execute(&migration_lock::without_timeouts(false)).await?;
            migration_lock::take(lock, client).await?;
            migration_lock::while_held(lock, apply(client)).await?;
        }
        rights::to_use(client).await
    };
    timeout(DEADLINE, work).await.unwrap_or_else(|_| Err(StoreError::timed_out()))
}

/// Applies what is still missing: another gateway may have migrated meanwhile.
async fn apply(client: &mut Client) -> Result<(), StoreError> {
    if version::read(client).await? == State::Usable {
        return Ok(());
    }
    client.batch_execute(SCHEMA).await?;
    runner().run_async(client).await?;
    Ok(())
}
