//! Checks the promise of freshness for as long as you like.
//!
//! The checker starts several gateways on a PostgreSQL server with a synchronous standby. People call and revoke, and
//! faults happen. The tests do the same for a short time.
//!
//! `cargo run --release -p example-checker -- --minutes 10 --mode watched:1000`, or `--calls 2000000 --mode strict`.

#![allow(unreachable_pub, reason = "a program exports nothing")]
#![allow(clippy::unwrap_used, reason = "an error outside the gateways ends the check")]

#[path = "../../../tests/checker/mod.rs"]
mod checker;
#[allow(dead_code, reason = "only the tests use all of it")]
mod support;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::checker::{MAX_PROOF_AGE, Plan};

/// Checks that gateways refuse revoked sessions in time, whatever goes wrong
#[derive(Parser)]
struct Options {
    /// How many minutes to check [default: 1, or until --calls is reached]
    #[arg(long)]
    minutes: Option<f64>,

    /// The least number of calls to make
    #[arg(long)]
    calls: Option<u64>,

    /// How many people call at the same time
    #[arg(long, default_value_t = 32)]
    people: usize,

    /// The freshness of the gateways: `strict` or `watched:MILLISECONDS`
    #[arg(long, default_value = "watched:1000", value_parser = max_lag)]
    mode: Mode,

    /// How old the proof may be that a gateway's server is the primary, in milliseconds; 0 for a new proof with each
    /// look-up [default: 1000]
    #[arg(long, value_name = "MILLISECONDS")]
    max_proof_age: Option<u64>,
}

/// The `max_lag` of watched gateways. `None`: strict.
#[derive(Clone)]
struct Mode(Option<Duration>);

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let minutes = options.minutes.unwrap_or(if options.calls.is_some() { 0.0 } else { 1.0 });
    let max_proof_age = options.max_proof_age.map_or(MAX_PROOF_AGE, Duration::from_millis);
    let mut plan = match options.mode.0 {
        None => Plan::strict(max_proof_age),
        Some(max_lag) => Plan::watched(max_lag, max_proof_age),
    };
    plan.duration = Duration::from_secs_f64(minutes.max(0.0) * 60.0);
    plan.calls = options.calls.unwrap_or_default();
    plan.people = options.people;
    plan.tells = true;
    let report = plan.run().await;
    let _ = writeln!(io::stdout(), "{}: {report}", plan.freshness);
    if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn max_lag(text: &str) -> Result<Mode, &'static str> {
    let lag = |text: &str| text.strip_prefix("watched:")?.parse().ok().map(Duration::from_millis);
    match text {
        "strict" => Ok(Mode(None)),
        _ => lag(text).map(|lag| Mode(Some(lag))).ok_or("write strict or watched:MILLISECONDS"),
    }
}
