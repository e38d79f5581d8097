//! Checks that a server can be used, before anything is prepared or changed on it. All queries are simple queries,
//! because a prepared statement goes wrong behind a transaction pooler.

use deadpool_postgres::Object;
use tokio::time::timeout;
use tokio_postgres::Client;

use super::connect::Connector;
use super::connections::{Connections, PooledConnection};
use super::error::{TRANSACTION_POOLER, misconfigured};
use super::simple_query::{row, rows};
use super::version::State;
use super::{rights, version};
use crate::store::StoreError;

/// How often to look for a pooler. In one round the load of other clients may hide it.
const ROUNDS: usize = 8;

/// Refuses a server on which a gateway cannot work, and a database that lacks migrations.
pub(super) async fn check(connections: &Connections) -> Result<(), StoreError> {
    let [lease, _] = two(connections).await?;
    let client = lease.connection();
    let checks = async {
        check_server(connections, client).await?;
        rights::to_use(client).await?;
        match version::read(client).await? {
            State::Usable => Ok(()),
            State::Behind(missing) => Err(misconfigured(format!(
                "the database lacks the migrations {}: run `PostgresStore::migrate` on it first, with a role \
                 that may change the schema bridge_auth",
                missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            ))),
        }
    };
    timeout(connections.rest.statement, checks).await.unwrap_or_else(|_| Err(StoreError::timed_out()))
}

/// Two connections at once. A host's pool is checked for a transaction pooler first.
pub(super) async fn two(connections: &Connections) -> Result<[PooledConnection; 2], StoreError> {
    let (rest, size) = (&connections.rest, connections.rest.pool.status().max_size);
    let are_of_one_pool = connections.settings_of_pool().is_some();
    if are_of_one_pool {
        if size < 2 {
            return Err(misconfigured(
                "the pool may have one connection only: set its `max_size` to at least two",
            ));
        }
        // Without our settings: behind a transaction pooler they would stay on connections that serve other clients.
        let checks = async {
            // Both are closed after the check, whatever it finds: one may be left with an open transaction.
            let (first, second) = (rest.pool.get().await?, rest.pool.get().await?);
            let (first, second) = (Object::take(first), Object::take(second));
            refuse_transaction_pooler(&first, &second).await
        };
        let longest = rest.acquire.saturating_mul(2).saturating_add(rest.statement);
        timeout(longest, checks).await.unwrap_or_else(|_| Err(StoreError::timed_out()))?;
    }
    let first = rest.lease().await?;
    // If the rest may have one connection only, the look-ups lend the other one.
    let lane = if are_of_one_pool || size < 2 { &connections.look_ups } else { rest };
    Ok([first, lane.lease().await?])
}

/// Refuses an encoding other than UTF8, and a host's pool on whose connections our settings do not take effect. For
/// connections of our own, [`check_connectors`] has checked the settings before.
pub(super) async fn check_server(connections: &Connections, client: &Client) -> Result<(), StoreError> {
    if let Some(settings) = connections.settings_of_pool() {
        check_settings(client, settings).await?;
    }
    check_encoding(client).await
}

/// Refuses a server behind a transaction pooler, and a server on which the settings of a connector do not take effect.
///
/// The settings are made last: behind a transaction pooler they would stay on connections that serve other clients.
pub(super) async fn check_connectors(connectors: [&Connector; 2]) -> Result<(), StoreError> {
    let (first, _driving) = connectors[0].bare().open().await?;
    let (second, _driving_too) = connectors[1].bare().open().await?;
    refuse_transaction_pooler(&first, &second).await?;
    for (client, connector) in [(first, connectors[0]), (second, connectors[1])] {
        client.batch_execute(connector.settings()).await?;
        check_settings(&client, connector.settings()).await?;
    }
    Ok(())
}

async fn refuse_transaction_pooler(first: &Client, second: &Client) -> Result<(), StoreError> {
    for round in 0..ROUNDS {
        let (one, other) = if round % 2 == 0 { (first, second) } else { (second, first) };
        if is_shared(one, other).await? {
            return Err(misconfigured(TRANSACTION_POOLER));
        }
    }
    Ok(())
}

/// Whether two connections of ours share a connection of the server, or one of them changes its server connection.
async fn is_shared(one: &Client, other: &Client) -> Result<bool, StoreError> {
    let marker = format!("{:032x}", rand::random::<u128>());
    // The start time tells two processes with the same number on two machines apart.
    let look = "SELECT pg_backend_pid() || '/' || coalesce((SELECT backend_start::text FROM pg_stat_activity
        WHERE pid = pg_backend_pid()), '') AS server, coalesce(current_setting('bridge_auth.probe', true), '')";
    let before = row(one, &format!("SET bridge_auth.probe = '{marker}'; {look}")).await?;
    // While this transaction is open, it keeps its server connection.
    let beside = row(other, &format!("BEGIN; {look}")).await?;
    if beside.get(0) == before.get(0) || beside.get(1) == Some(&*marker) {
        // The first connection would wait for the server connection that the second one holds.
        return Ok(true);
    }
    let after = row(one, look).await?;
    other.batch_execute("ROLLBACK").await?;
    one.batch_execute("RESET bridge_auth.probe").await?;
    Ok(after.get(0) != before.get(0) || after.get(1) != Some(&*marker))
}

async fn check_encoding(client: &Client) -> Result<(), StoreError> {
    let row = row(
        client,
        "SELECT pg_encoding_to_char(encoding), quote_ident(datname) FROM pg_database WHERE datname = \
         current_database()",
    )
    .await?;
    match row.get(0) {
        Some("UTF8") => Ok(()),
        encoding => Err(misconfigured(format!(
            "the encoding of the database {} is {}, but user names, device names and user agents need UTF8. Create \
             another database: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0",
            row.get(1).unwrap_or_default(),
            encoding.unwrap_or("unknown"),
        ))),
    }
}

/// Refuses a connection on which one of the `settings` has no effect. Their form is `SET name = value; …`.
async fn check_settings(client: &Client, settings: &str) -> Result<(), StoreError> {
    let expected: Vec<_> = settings.split(';').filter_map(setting).collect();
    let names: Vec<_> = expected.iter().map(|(name, _)| format!("'{name}'")).collect();
    // The values come in the units in which they were set.
    let sql = format!("SELECT name, setting FROM pg_settings WHERE name IN ({})", names.join(", "));
    let rows = rows(client, &sql).await?;
    for (name, value) in expected {
        let seen = rows.iter().find(|row| row.get(0) == Some(name)).and_then(|row| row.get(1));
        if seen != Some(value) {
            return Err(misconfigured(format!(
                "the setting {name} did not reach the server: it was set to `{value}` and is `{}`. A pooler between \
                 must pass SET on and keep one server connection for a session: write `pool_mode = session` for this \
                 database in pgbouncer.ini, or connect to PostgreSQL directly",
                seen.unwrap_or("unknown to the server")
            )));
        }
    }
    Ok(())
}

/// The name and the value in `SET name = value`.
fn setting(statement: &str) -> Option<(&str, &str)> {
    let (name, value) = statement.trim().strip_prefix("SET ")?.split_once(" = ")?;
    Some((name, value.trim_matches('\'')))
}
