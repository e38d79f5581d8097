//! The faults that happen during the check.

use std::sync::Arc;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::{Instant, sleep};
use tokio_postgres::Client;

use super::scene::Scene;
use crate::support::process::Running;
use crate::support::replicated::{Pair, cancel_synchronous_waits, patient_client, set_read_only, tell};

/// The database role of the gateway that moves to the new primary while the old one is alive.
pub const MOVER: &str = "mover";

/// Injects faults. A fault that lasts takes `pause`.
pub struct Faults {
    pub pair: Pair,
    pub gateways: Vec<Running>,
    pub pause: Duration,
    pub scene: Arc<Scene>,
}

#[derive(Debug, Clone, Copy)]
pub enum Fault {
    ConnectionsTerminated,
    ListenersTerminated,
    /// The connections are stopped, but not closed.
    ListenersStopped,
    /// The connections that read the revocation log last are stopped.
    WatchersStopped,
    DatabasePaused,
    DatabaseRestarted,
    /// A backend is killed, and the server recovers as after a crash.
    DatabaseCrashed,
    GatewayFrozen,
    NotificationsForged,
    /// A transaction stays open, so that the watchers cannot read to the end of the log.
    TransactionHeldOpen,
    PrimaryReadOnly,
    StandbyGone,
    StandbyFrozen,
    /// The waits are cancelled while the standby is gone. Then the primary commits alone what it did not acknowledge.
    SynchronousWaitsCancelled,
    /// The primary is killed, and the standby takes over.
    FailedOver,
    /// The standby is promoted, and the old primary keeps running.
    OldPrimaryAlive,
}

impl Fault {
    pub const ALL: [Self; 16] = [
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
        Self::PrimaryReadOnly,
        Self::StandbyGone,
        Self::StandbyFrozen,
        Self::SynchronousWaitsCancelled,
        Self::FailedOver,
        Self::OldPrimaryAlive,
    ];
}

impl Faults {
    /// Makes the fault happen, and repairs it.
    pub async fn inject(&mut self, fault: Fault) {
        match fault {
            Fault::ConnectionsTerminated => self.terminate("random() < 0.5").await,
            Fault::ListenersTerminated => self.terminate("query LIKE 'INSERT INTO bridge_auth.ticks%'").await,
            Fault::ListenersStopped => self.stop("query LIKE 'INSERT INTO bridge_auth.ticks%'").await,
            Fault::WatchersStopped => self.stop("query LIKE '%bridge_auth.revocations%'").await,
            Fault::DatabasePaused => self.interrupt("pause", "resume").await,
            Fault::DatabaseRestarted => self.interrupt("stop", "start").await,
            Fault::DatabaseCrashed => signal("KILL", &self.pids("true LIMIT 1").await).await,
            Fault::GatewayFrozen => self.freeze_a_gateway().await,
            Fault::NotificationsForged => self.forge_notifications().await,
            Fault::TransactionHeldOpen => self.hold_a_transaction_open().await,
            Fault::PrimaryReadOnly => self.make_read_only().await,
            Fault::StandbyGone => self.do_without_the_standby().await,
            Fault::StandbyFrozen => self.freeze_the_standby().await,
            Fault::SynchronousWaitsCancelled => self.cancel_what_waits_for_the_standby().await,
            Fault::FailedOver => self.fail_over().await,
            Fault::OldPrimaryAlive => self.promote_beside_the_old_primary().await,
        }
    }

    async fn interrupt(&self, cut: &'static str, mend: &'static str) {
        tell(&self.pair.primary, cut).await;
        sleep(self.pause).await;
        tell(&self.pair.primary, mend).await;
    }

    async fn freeze_a_gateway(&self) {
        let gateway = &self.gateways[rand::random_range(0..self.gateways.len())];
        gateway.signal("STOP").await;
        sleep(self.pause).await;
        gateway.signal("CONT").await;
    }

    async fn forge_notifications(&self) {
        let client = self.client().await;
        let end = Instant::now() + self.pause;
        while Instant::now() < end {
            client.batch_execute(&"NOTIFY bridge_auth_revoked;".repeat(100)).await.unwrap();
        }
    }

    async fn hold_a_transaction_open(&self) {
        let client = self.client().await;
        client.batch_execute("BEGIN; SELECT pg_current_xact_id()").await.unwrap();
        sleep(self.pause).await;
    }

    async fn make_read_only(&self) {
        set_read_only(&self.pair.primary, true).await;
        sleep(self.pause).await;
        set_read_only(&self.pair.primary, false).await;
    }

    async fn do_without_the_standby(&self) {
        tell(&self.pair.standby, "stop").await;
        sleep(self.until_nothing_is_proved()).await;
        tell(&self.pair.standby, "start").await;
        self.pair.wait_until_followed().await;
    }

    async fn freeze_the_standby(&self) {
        tell(&self.pair.standby, "pause").await;
        sleep(self.until_nothing_is_proved()).await;
        tell(&self.pair.standby, "resume").await;
    }

    async fn cancel_what_waits_for_the_standby(&self) {
        tell(&self.pair.standby, "stop").await;
        let client = self.client().await;
        let end = Instant::now() + self.until_nothing_is_proved();
        while Instant::now() < end {
            cancel_synchronous_waits(&client).await;
            sleep(Duration::from_millis(10)).await;
        }
        tell(&self.pair.standby, "start").await;
        self.pair.wait_until_followed().await;
    }

    async fn fail_over(&mut self) {
        tell(&self.pair.primary, "kill").await;
        self.pair.promote().await;
        self.pair.rebuild().await;
    }

    async fn promote_beside_the_old_primary(&mut self) {
        self.scene.two_primaries_begin();
        self.pair.promote().await;
        let end = Instant::now() + self.until_nothing_is_proved() + self.pause;
        // For a time, some of one gateway's connections lead to one primary and some to the other. Then all lead to the
        // new one.
        while Instant::now() < end {
            self.terminate(&format!("usename = '{MOVER}' AND random() < 0.3")).await;
            sleep(Duration::from_millis(100)).await;
        }
        tell(&self.pair.primary, "stop").await;
        self.scene.two_primaries_end();
        self.pair.rebuild().await;
    }

    /// How long to wait until no earlier proof is good any more.
    fn until_nothing_is_proved(&self) -> Duration {
        self.scene.promise.longest() + self.pause
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

    async fn client(&self) -> Client {
        patient_client(&self.pair.primary).await
    }
}

fn gateways_backends(which: &str) -> String {
    format!("SELECT pid FROM pg_stat_activity WHERE application_name = 'bridge-auth' AND {which}")
}

async fn signal(name: &str, pids: &[String]) {
    if !pids.is_empty() {
        // The process may have ended in the meantime.
        let _ = Command::new("kill").arg(format!("-{name}")).args(pids).output().await.unwrap();
    }
}
