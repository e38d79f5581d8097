//! Migrations. One gateway migrates at a time.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::Client;

use super::connections::Connections;
use super::error::not_applied;
use super::version::{HISTORY, State};
use super::{migration_lock, preflight, rights, version};
use crate::store::StoreError;
use crate::store::migrations::{Migration, create};

/// Long enough for another gateway to finish a large migration first.
const DEADLINE: Duration = Duration::from_secs(300);

/// `CREATE SCHEMA IF NOT EXISTS` would need the right to create a schema even if it exists.
const SCHEMA: &str =
    "DO $$ BEGIN IF to_regnamespace('bridge_auth') IS NULL THEN CREATE SCHEMA bridge_auth; END IF; END $$";

/// The time as RFC 3339 writes it.
const NOW: &str = r#"to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"#;

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
    let State::Behind(missing) = version::read(client).await? else { return Ok(()) };
    client.batch_execute(SCHEMA).await?;
    client.batch_execute(&create(HISTORY)).await?;
    for migration in missing {
        step(client, &migration).await.map_err(|error| not_applied(migration, error))?;
    }
    Ok(())
}

/// Applies one migration and records it, in one transaction.
async fn step(client: &mut Client, migration: &Migration) -> Result<(), tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    transaction.batch_execute(migration.sql).await?;
    transaction.batch_execute(&migration.record(HISTORY, NOW)).await?;
    transaction.commit().await
}
