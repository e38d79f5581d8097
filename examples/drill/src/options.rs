//! The command line.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Error};
use clap::{Parser, value_parser};

use crate::faults::Kind;

/// Fails a Patroni cluster over again and again under working gateways, and checks what the gateways promise.
#[derive(Debug, Clone, Parser)]
pub struct Options {
    /// How the primary fails; may be repeated [default: every kind]
    #[arg(long, value_enum, value_delimiter = ',')]
    pub part: Vec<Kind>,

    /// How many failovers to make, spread evenly over the kinds [default: 20 of each kind]
    #[arg(long)]
    pub count: Option<usize>,

    /// The seed of the order of the failovers [default: random]
    #[arg(long)]
    pub seed: Option<u64>,

    /// Starts the cluster and the gateways, prints their addresses, and waits for ctrl-c
    #[arg(long)]
    pub setup_only: bool,

    /// Installs missing packages and ends
    #[arg(long)]
    pub install_only: bool,

    /// The freshness of each gateway: `strict` or `watched:MILLISECONDS`; starts one gateway for each
    #[arg(long, value_delimiter = ',', default_value = "strict,watched:1000")]
    pub gateways: Vec<Mode>,

    /// The `max_proof_age` of a strict gateway that the drill checks, in milliseconds
    #[arg(long, default_value_t = 1000)]
    pub max_proof_age: u64,

    /// Also passes `--max-proof-age` to the gateways, which must know this flag
    #[arg(long)]
    pub pass_max_proof_age: bool,

    /// The connection pool size of each gateway
    #[arg(long, default_value_t = 8)]
    pub pool_size: u16,

    /// Turns Patroni's synchronous_mode_strict off
    #[arg(long)]
    pub no_synchronous_mode_strict: bool,

    /// Makes HAProxy cut the connections to a server that it marks down
    #[arg(long)]
    pub shutdown_sessions: bool,

    /// Makes Patroni use etcd's API v3. In Patroni 3.0.2, a leader that was stopped for longer than the ttl takes the
    /// leader's key back from the new leader, and what was acknowledged in the meantime is lost
    #[arg(long)]
    pub etcd3: bool,

    /// Patroni's ttl in seconds; loop_wait is 1, and retry_timeout is half of the rest
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u32).range(3..))]
    pub ttl: u32,

    /// The folder for the logs of the gateways and Patroni [default: no logs are kept]
    #[arg(long)]
    pub logs: Option<PathBuf>,
}

/// What a gateway promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    Strict,
    Watched { max_lag: Duration },
}

impl Options {
    /// The kinds of failovers to make.
    pub fn kinds(&self) -> Vec<Kind> {
        if self.part.is_empty() { Kind::ALL.to_vec() } else { self.part.clone() }
    }

    /// How long a gateway may still let a session in after its revocation was answered.
    pub fn allowance(&self, mode: &Mode) -> Duration {
        match mode {
            Mode::Strict => Duration::from_millis(self.max_proof_age),
            Mode::Watched { max_lag } => *max_lag,
        }
    }
}

impl Mode {
    /// The value for `--freshness` of the example gateway.
    pub fn argument(&self) -> String {
        match self {
            Self::Strict => "strict".to_owned(),
            Self::Watched { max_lag } => format!("watched:{}", max_lag.as_millis()),
        }
    }
}

impl FromStr for Mode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text == "strict" {
            return Ok(Self::Strict);
        }
        let lag = text.strip_prefix("watched:").and_then(|lag| lag.parse().ok());
        let max_lag = Duration::from_millis(lag.context("write strict or watched:MILLISECONDS")?);
        Ok(Self::Watched { max_lag })
    }
}
