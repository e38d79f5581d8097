//! One gateway migrates at a time. The lock belongs to an open transaction, so nothing of it is left when anything ends.

use std::time::Duration;

use tokio_postgres::Client;

use super::error::failed;
use super::simple_query::rows;
use crate::store::{StoreError, StoreErrorKind};

/// Turns off all time-outs that could end a waiting or holding connection; with `is_local` for one transaction only.
pub(super) fn without_timeouts(is_local: bool) -> String {
    format!(
        "SELECT set_config(name, '0', {is_local}) FROM pg_settings WHERE name IN ('statement_timeout', 'lock_timeout',
            'idle_in_transaction_session_timeout', 'transaction_timeout')"
    )
}

/// The key is "bridge" in ASCII, as in all earlier versions. Those held the lock until their connection closed.
const TAKE: &str = "SELECT pg_advisory_xact_lock(x'627269646765'::bigint)";

/// This role may not be allowed to see what other connections do. Then the columns are empty.
const HOLDERS: &str = "
    SELECT held.pid, activity.application_name, host(activity.client_addr), activity.xact_start, activity.backend_start
    FROM pg_locks AS held LEFT JOIN pg_stat_activity AS activity USING (pid)
    WHERE held.locktype = 'advisory' AND held.granted AND held.objsubid = 1
        AND (held.classid::bigint << 32 | held.objid::bigint) = x'627269646765'::bigint
        AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())";

/// How long to wait before the first log line, and between log lines.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// Takes the lock in a transaction of `lock`, which does nothing else. `beside` meanwhile logs which connection holds
/// it.
pub(super) async fn take(lock: &Client, beside: &Client) -> Result<(), StoreError> {
    lock.batch_execute(&format!("BEGIN; {}", without_timeouts(true))).await?;
    let mut taking = std::pin::pin!(lock.batch_execute(TAKE));
    let (mut pause, long) = PAUSES;
    loop {
        tokio::select! {
            taken = &mut taking => return Ok(taken?),
            () = tokio::time::sleep(pause) => log_holders(beside).await?,
        }
        pause = long;
    }
}

async fn log_holders(client: &Client) -> Result<(), StoreError> {
    for holder in rows(client, HOLDERS).await? {
        let seen = |place: usize| holder.get(place).filter(|text| !text.is_empty());
        tracing::info!(
            pid = seen(0).unwrap_or_default(),
            application_name = seen(1).unwrap_or("unknown"),
            client_address = seen(2).unwrap_or("unknown, or a Unix socket"),
            since = seen(3).or(seen(4)).unwrap_or("unknown"),
            "waiting to migrate: this connection migrates the database now, or holds the lock of the migrations"
        );
    }
    Ok(())
}

/// Does `work` while `lock` holds the lock, and then ends the transaction of the lock.
pub(super) async fn while_held(
    lock: &Client,
    work: impl Future<Output = Result<(), StoreError>>,
) -> Result<(), StoreError> {
    tokio::select! {
        done = work => done?,
        () = lost(lock) => return Err(StoreError::new(
            StoreErrorKind::Unavailable,
            "the connection that held the lock of the migrations was lost, so this migration stopped: another gateway may \
             migrate now",
        )),
    }
    // Fails if the lock was lost at the last moment.
    lock.batch_execute("COMMIT").await.map_err(failed)
}

/// Returns when the connection has ended.
async fn lost(client: &Client) {
    while !client.is_closed() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
