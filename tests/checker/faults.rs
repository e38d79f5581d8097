//! What goes wrong meanwhile.

use std::sync::Arc;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::{Instant, sleep};
use tokio_postgres::{Client, NoTls};

use crate::support::postgres::Cluster;
use crate::support::process::Running;

/// All that can be made to go wrong, for `pause` where it lasts.
pub struct Faults {
    pub cluster: Arc<Cluster>,
    pub gateways: Vec<Running>,
    pub pause: Duration,
}

#[derive(Debug, Clone, Copy)]
pub enum Fault {
    ConnectionsTerminated,
    ListenersTerminated,
    /// Stopped without being closed.
    ListenersStopped,
    /// Those that read the revocation log last.
    WatchersStopped,
    DatabasePaused,
    DatabaseRestarted,
    /// A backend is killed, and the server recovers as after a crash.
    DatabaseCrashed,
    GatewayFrozen,
    NotificationsForged,
    /// So that the end of the log stays out of reach.
    TransactionHeldOpen,
}

impl Fault {
    pub const ALL: [Self; 10] = [
        Self::ConnectionsTerminated,
        Self::ListenersTerminated,
        Self::ListenersStopped,
        Self::WatchersStopped,
        Self::DatabasePaused,
        Self::DatabaseRestarted,
        Self::DatabaseCrashed,
        Self::GatewayFrozen,
        Self::NotificationsForged,
        Self::TransactionHeldOpen,
    ];
}

impl Faults {
    /// Makes it happen, and mends it.
    pub async fn inject(&self, fault: Fault) {
        match fault {
            Fault::ConnectionsTerminated => self.terminate("random() < 0.5").await,
            Fault::ListenersTerminated => self.terminate("query LIKE 'LISTEN%'").await,
            Fault::ListenersStopped => self.stop("query LIKE 'LISTEN%'").await,
            Fault::WatchersStopped => self.stop("query LIKE '%bridge_auth.revocations%'").await,
            Fault::DatabasePaused => {
                self.tell("pause").await;
                sleep(self.pause).await;
                self.tell("resume").await;
            }
            Fault::DatabaseRestarted => {
                self.tell("stop").await;
                sleep(self.pause).await;
                self.tell("start").await;
            }
            Fault::DatabaseCrashed => signal("KILL", &self.pids("true LIMIT 1").await).await,
            Fault::GatewayFrozen => {
                let gateway = &self.gateways[rand::random_range(0..self.gateways.len())];
                gateway.signal("STOP").await;
                sleep(self.pause).await;
                gateway.signal("CONT").await;
            }
            Fault::NotificationsForged => {
                let client = self.client().await;
                let end = Instant::now() + self.pause;
                while Instant::now() < end {
                    client.batch_execute(&"NOTIFY bridge_auth_revoked;".repeat(100)).await.unwrap();
                }
            }
            Fault::TransactionHeldOpen => {
                let client = self.client().await;
                client.batch_execute("BEGIN; SELECT pg_current_xact_id()").await.unwrap();
                sleep(self.pause).await;
            }
        }
    }

    async fn terminate(&self, which: &str) {
        let sql = format!("SELECT pg_terminate_backend(pid) FROM ({}) AS chosen", gateways_backends(which));
        self.client().await.batch_execute(&sql).await.unwrap();
    }

    async fn stop(&self, which: &str) {
        let pids = self.pids(which).await;
        signal("STOP", &pids).await;
        sleep(self.pause).await;
        signal("CONT", &pids).await;
    }

    async fn pids(&self, which: &str) -> Vec<String> {
        let rows = self.client().await.query(&gateways_backends(which), &[]).await.unwrap();
        rows.iter().map(|row| row.get::<_, i32>(0).to_string()).collect()
    }

    /// A connection to a server that may just be coming up again.
    async fn client(&self) -> Client {
        loop {
            if let Ok((client, connection)) = tokio_postgres::connect(&self.cluster.url(), NoTls).await {
                tokio::spawn(connection);
                return client;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn tell(&self, command: &'static str) {
        let cluster = self.cluster.clone();
        tokio::task::spawn_blocking(move || cluster.tell(command)).await.unwrap();
    }
}

fn gateways_backends(which: &str) -> String {
    format!("SELECT pid FROM pg_stat_activity WHERE application_name = 'bridge-auth' AND {which}")
}

async fn signal(name: &str, pids: &[String]) {
    if !pids.is_empty() {
        // A process may have ended since it was found.
        let _ = Command::new("kill").arg(format!("-{name}")).args(pids).output().await.unwrap();
    }
}
