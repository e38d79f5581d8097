//! The command line.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Error};
use clap::{Parser, value_parser};

use crate::faults::Kind;

/// Fails a Patroni cluster over, again and again, under gateways at work, and checks what the gateways promise.
#[derive(Debug, Clone, Parser)]
pub struct Options {
    /// How the primary fails; may be repeated [default: every kind]
    #[arg(long, value_enum, value_delimiter = ',')]
    pub part: Vec<Kind>,

    /// How many failovers, shared out among the kinds [default: 20 of each kind]
    #[arg(long)]
    pub count: Option<usize>,

    /// What the order of the failovers comes from [default: any]
    #[arg(long)]
    pub seed: Option<u64>,

    /// Starts the cluster and the gateways, says where they are, and waits for ctrl-c
    #[arg(long)]
    pub setup_only: bool,

    /// Installs what is missing and ends
    #[arg(long)]
    pub install_only: bool,

    /// What each gateway promises: `strict` or `watched:MILLISECONDS`; one gateway for each
    #[arg(long, value_delimiter = ',', default_value = "strict,watched:1000")]
    pub gateways: Vec<Mode>,

    /// How old the proof of a strict gateway may be, in milliseconds
    #[arg(long, default_value_t = 1000)]
    pub max_proof_age: u64,

    /// Gives `--max-proof-age` to the gateways too: they must know that flag
    #[arg(long)]
    pub pass_fence: bool,

    /// The size of each gateway's pool
    #[arg(long, default_value_t = 8)]
    pub pool_size: u16,

    /// Leaves Patroni's synchronous_mode_strict off
    #[arg(long)]
    pub no_synchronous_mode_strict: bool,

    /// Lets HAProxy cut the connections to a server that it marks down
    #[arg(long)]
    pub shutdown_sessions: bool,

    /// Lets Patroni use etcd's API v3: in Patroni 3.0.2, a leader that was stopped for longer than the ttl takes the
    /// leader's key back from the new one, and what was acknowledged meanwhile is lost
    #[arg(long)]
    pub etcd3: bool,

    /// Patroni's ttl in seconds; loop_wait is 1, retry_timeout half of the rest
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u32).range(3..))]
    pub ttl: u32,

    /// Where the gateways and Patroni log to; a folder
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

    /// How long after the answer to a revocation a gateway may still let the session in.
    pub fn allowance(&self, mode: &Mode) -> Duration {
        match mode {
            Mode::Strict => Duration::from_millis(self.max_proof_age),
            Mode::Watched { max_lag } => *max_lag,
        }
    }
}

impl Mode {
    /// As the example gateway takes it.
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
        let max_lag = Duration::from_millis(lag.context("it is strict or watched:MILLISECONDS")?);
        Ok(Self::Watched { max_lag })
    }
}
