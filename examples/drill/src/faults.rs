//! The ways in which a primary fails.

use std::fmt;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::ValueEnum;
use tokio::time::sleep;

use crate::cluster::Cluster;
use crate::node::SCOPE;

/// How often `patronictl` is tried, and how long to wait in between.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// All processes of the primary are killed
    Kill,
    /// All processes of the primary are stopped, and continue when there is a new primary
    Freeze,
    /// The primary's Patroni is stopped and the primary keeps running; Patroni continues after a time with two
    /// primaries
    FreezePatroni,
    /// The primary's Patroni is killed and the standby is promoted beside the primary; Patroni is started again later
    OldPrimary,
    /// The primary hands its role over, as in maintenance
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
                // `patronictl` cannot reach the leader and prints a traceback. Then it writes the order to etcd.
                cluster.patronictl(&["failover", SCOPE, "--candidate", &candidate, "--force"], at).await?;
                Ok(())
            }
            Self::Switchover => switch_over(cluster, primary).await,
        }
    }

    /// Whether the old primary keeps running beside the new one until it is repaired.
    pub fn leaves_two_primaries(self) -> bool {
        matches!(self, Self::FreezePatroni | Self::OldPrimary)
    }

    /// Undoes the fault, once there is a new primary.
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

/// Switches over. Patroni sometimes refuses while it updates its list of members, so this tries several times.
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
    bail!("patronictl switchover failed {TRIES} times, at last with: {said}")
}

/// The name of the synchronous standby, and its index.
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
