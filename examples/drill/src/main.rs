//! Failovers under working gateways, on the software that operators run: Patroni, etcd and HAProxy from Debian, with
//! three nodes on this machine. The drill checks every promise of the gateways. See OPERATIONS.md.
//!
//! `cargo run --release -p example-drill` makes 100 failovers. `--part old-primary --count 3` makes three failovers of one kind.

#![allow(unreachable_pub, reason = "a program exports nothing")]

mod cluster;
mod drill;
mod faults;
mod folder;
mod gateway;
mod install;
mod journal;
mod ledger;
mod load;
mod node;
mod options;
mod outage;
#[allow(dead_code, clippy::unwrap_used, reason = "the tests need more of it")]
#[path = "../../../tests/support/process.rs"]
mod process;
mod report;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use clap::Parser;
use example_shared::stop::told_to_stop;

use crate::drill::Drill;
use crate::folder::Folder;
use crate::install::{install_missing, say};
use crate::options::Options;
use crate::report::Report;

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let mut report = Report::default();
    let ended = tokio::select! {
        ended = run(options, &mut report) => ended,
        () = told_to_stop() => Err(anyhow::anyhow!("interrupted before the drill was complete")),
    };
    let clean = match ended {
        Ok(clean) => clean,
        Err(error) => {
            say(&format!("drill: {error:#}"));
            report.finish();
            false
        }
    };
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the drill. Returns whether the gateways kept every promise.
async fn run(options: Options, report: &mut Report) -> Result<bool> {
    // This blocks the thread while apt-get runs. Nothing else runs yet.
    install_missing()?;
    if options.install_only {
        return Ok(true);
    }
    gateway::build();
    if let Some(logs) = &options.logs {
        fs::create_dir_all(logs)?;
    }
    let folder = Arc::new(Folder::create()?);
    let mut drill = Drill::start(folder, options.clone()).await?;
    if options.setup_only {
        writeln!(io::stdout(), "{}everything is running; press ctrl-c to stop it", drill.places())?;
        told_to_stop().await;
        return Ok(true);
    }
    drill.run(report).await?;
    Ok(report.finish())
}
