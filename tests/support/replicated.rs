//! A primary and its standby, and what an operator does with the two.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, NoTls};

use super::postgres::Cluster;

/// What the standby is called where it is named as synchronous.
const STANDBY: &str = "standby";
/// Longer than any of it takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a write waits for before it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replication {
    /// Nothing but the primary.
    Asynchronous,
    /// The standby, as far as this value of `synchronous_commit` says: `on` or `remote_apply`.
    Synchronous(&'static str),
}

/// Two clusters, both gone when this value is dropped.
pub struct Pair {
    pub primary: Arc<Cluster>,
    pub standby: Arc<Cluster>,
    replication: Replication,
}

impl Pair {
    /// Starts both, and returns when the one follows the other.
    ///
    /// # Panics
    ///
    /// When PostgreSQL is not installed or does not start.
    pub async fn start(replication: Replication) -> Self {
        let primary = Arc::new(blocking(Cluster::start).await);
        let port = primary.port();
        let standby = Arc::new(blocking(move || Cluster::standby_of(port, STANDBY)).await);
        let pair = Self { primary, standby, replication };
        pair.follow().await;
        pair
    }

    /// Makes the standby a primary too. What becomes of the old primary is another matter.
    pub async fn promote(&self) {
        tell(&self.standby, "promote").await;
    }

    /// Once the standby is promoted and the old primary is down: a new standby takes the old primary's port.
    pub async fn rebuild(&mut self) {
        let (new, old) = (self.standby.clone(), self.primary.port());
        self.primary = new.clone();
        // The old one goes, and with it what it did not replicate.
        self.standby = new.clone();
        wait_until_free(old).await;
        self.standby = Arc::new(blocking(move || Cluster::standby_at(old, new.port(), STANDBY)).await);
        self.follow().await;
    }

    /// Waits until the standby is connected, and has the primary wait for it if it is to be synchronous.
    async fn follow(&self) {
        let client = self.primary.client().await;
        if let Replication::Synchronous(level) = self.replication {
            for setting in [
                format!("synchronous_standby_names = '{STANDBY}'"),
                format!("synchronous_commit = '{level}'"),
            ] {
                client.batch_execute(&format!("ALTER SYSTEM SET {setting}")).await.unwrap();
            }
            client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        }
        self.wait_until_followed().await;
    }

    /// Waits until the standby streams from the primary, and counts as synchronous if it is to be.
    pub async fn wait_until_followed(&self) {
        let state = match self.replication {
            Replication::Asynchronous => "async",
            Replication::Synchronous(_) => "sync",
        };
        let sql = format!(
            "SELECT FROM pg_stat_replication
             WHERE application_name = '{STANDBY}' AND state = 'streaming' AND sync_state = '{state}'"
        );
        wait_for_rows(&self.primary.client().await, &sql).await;
    }

    /// Waits until the standby has all that the primary has written.
    pub async fn wait_until_caught_up(&self) {
        let sql = "SELECT FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_lsn()";
        wait_for_rows(&self.primary.client().await, sql).await;
    }
}

/// Tells a cluster what [`Cluster::tell`] knows, without holding up what runs beside.
pub async fn tell(cluster: &Arc<Cluster>, command: &'static str) {
    let cluster = cluster.clone();
    blocking(move || cluster.tell(command)).await;
}

/// Has every session of `cluster` refuse writes that does not ask for them, or not any more. Each backend has been told so
/// when this returns.
pub async fn set_read_only(cluster: &Cluster, read_only: bool) {
    let (set, shown) = match read_only {
        true => ("SET default_transaction_read_only = on", "on"),
        false => ("RESET default_transaction_read_only", "off"),
    };
    let client = patient_client(cluster).await;
    client.batch_execute(&format!("ALTER SYSTEM {set}")).await.unwrap();
    client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    // The server tells its backends before it lets another one begin.
    let told = async {
        loop {
            let client = patient_client(cluster).await;
            let row = client.query_one("SHOW default_transaction_read_only", &[]).await.unwrap();
            if row.get::<_, &str>(0) == shown {
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, told).await.expect("the server reads its settings again");
}

/// Cancels every wait for a synchronous standby. How many there were.
pub async fn cancel_synchronous_waits(client: &Client) -> usize {
    let sql = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    client.query(sql, &[]).await.unwrap().len()
}

/// The connections that gateways have on the server, whether the gateway still knows of them or not: what each does.
pub async fn gateways_backends(client: &Client) -> Vec<String> {
    let sql =
        "SELECT concat_ws(' ', pid, client_port, state, wait_event, now() - backend_start, left(query, 80))
        FROM pg_stat_activity WHERE application_name = 'bridge-auth'";
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// A connection to a server that may just be coming up again.
pub async fn patient_client(cluster: &Cluster) -> Client {
    let connected = async {
        loop {
            if let Ok((client, connection)) = tokio_postgres::connect(&cluster.url(), NoTls).await {
                tokio::spawn(connection);
                return client;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, connected).await.expect("the server comes up")
}

async fn wait_for_rows(client: &Client, sql: &str) {
    let seen = async {
        while client.query(sql, &[]).await.unwrap().is_empty() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, seen).await.unwrap_or_else(|_| panic!("never seen: {sql}"));
}

/// Waits until nobody listens at `port`: the script that held a server ends a moment after its value.
async fn wait_until_free(port: u16) {
    let free = async {
        while std::net::TcpListener::bind(("127.0.0.1", port)).is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, free).await.expect("the old server is gone");
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    spawn_blocking(work).await.unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn both_servers_go_with_the_pair_also_when_frozen_or_killed() {
        let pair = Pair::start(Replication::Synchronous("on")).await;
        let ports = [pair.primary.port(), pair.standby.port()];
        tell(&pair.standby, "pause").await;
        tell(&pair.primary, "kill").await;
        drop(pair);
        for port in ports {
            wait_until_free(port).await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_was_acknowledged_outlives_a_failover_and_the_pair_is_whole_again() {
        let mut pair = Pair::start(Replication::Synchronous("remote_apply")).await;
        let create = "CREATE TABLE kept AS SELECT 1";
        pair.primary.client().await.batch_execute(create).await.unwrap();
        for _ in 0..2 {
            tell(&pair.primary, "kill").await;
            pair.promote().await;
            pair.rebuild().await;
            let client = pair.primary.client().await;
            client.batch_execute("INSERT INTO kept SELECT 1; SELECT FROM kept").await.unwrap();
        }
        let kept = pair.standby.client().await.query_one("SELECT count(*) FROM kept", &[]).await.unwrap();
        assert_eq!(kept.get::<_, i64>(0), 3);
    }
}
