//! How a primary fails.

use std::fmt;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::ValueEnum;
use tokio::time::sleep;

use crate::cluster::Cluster;
use crate::node::SCOPE;

/// How often `patronictl` is told, and how long one waits in between.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// All processes of the primary are killed
    Kill,
    /// All processes of the primary are stopped, and go on when there is a new one
    Freeze,
    /// The primary's Patroni is stopped, the primary goes on; so does Patroni after some time with two primaries
    FreezePatroni,
    /// The primary's Patroni is killed, the standby promoted beside the primary; Patroni is started again later
    OldPrimary,
    /// The primary hands over
    Switchover,
}

impl Kind {
    pub const ALL: [Self; 5] =
        [Self::Kill, Self::Freeze, Self::FreezePatroni, Self::OldPrimary, Self::Switchover];

    /// Makes the primary fail.
    pub async fn inject(self, cluster: &mut Cluster, primary: usize) -> Result<()> {
        match self {
            Self::Kill => cluster.nodes[primary].signal_server("KILL").await,
            Self::Freeze => cluster.nodes[primary].signal_server("STOP").await,
            Self::FreezePatroni => cluster.nodes[primary].signal_patroni("STOP").await,
            Self::OldPrimary => {
                let (candidate, at) = candidate(cluster, primary).await?;
                cluster.nodes[primary].signal_patroni("KILL").await?;
                // It does not reach the leader and says so, with a traceback; then it leaves the order in etcd.
                cluster.patronictl(&["failover", SCOPE, "--candidate", &candidate, "--force"], at).await?;
                Ok(())
            }
            Self::Switchover => switch_over(cluster, primary).await,
        }
    }

    /// Whether the old primary runs on beside the new one until it is repaired.
    pub fn leaves_two_primaries(self) -> bool {
        matches!(self, Self::FreezePatroni | Self::OldPrimary)
    }

    /// Mends what was done, once there is a new primary.
    pub async fn repair(self, cluster: &mut Cluster, old: usize) -> Result<()> {
        match self {
            Self::Kill | Self::Switchover => Ok(()),
            Self::Freeze => cluster.nodes[old].signal_server("CONT").await,
            Self::FreezePatroni => cluster.nodes[old].signal_patroni("CONT").await,
            Self::OldPrimary => cluster.nodes[old].start_patroni(),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kill => "kill",
            Self::Freeze => "freeze",
            Self::FreezePatroni => "freeze-patroni",
            Self::OldPrimary => "old-primary",
            Self::Switchover => "switchover",
        })
    }
}

/// Patroni refuses now and then, while it looks at its members anew.
async fn switch_over(cluster: &Cluster, primary: usize) -> Result<()> {
    let leader = cluster.nodes[primary].name.clone();
    let mut said = String::new();
    for _ in 0..TRIES {
        let (candidate, at) = candidate(cluster, primary).await?;
        let arguments = ["switchover", SCOPE, "--leader", &leader, "--candidate", &candidate, "--force"];
        said = cluster.patronictl(&arguments, at).await?;
        if said.contains("Successfully") || !cluster.nodes[primary].is_leader().await {
            return Ok(());
        }
        sleep(PAUSE).await;
    }
    bail!("patronictl switchover: {said}")
}

/// The name of the synchronous standby, and its place.
async fn candidate(cluster: &Cluster, primary: usize) -> Result<(String, usize)> {
    for _ in 1..TRIES {
        if let Ok(standby) = cluster.synchronous_standby(primary).await {
            return Ok((cluster.nodes[standby].name.clone(), standby));
        }
        sleep(PAUSE).await;
    }
    let standby = cluster.synchronous_standby(primary).await?;
    Ok((cluster.nodes[standby].name.clone(), standby))
}
