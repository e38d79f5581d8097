//! Load: many requests at once, beside a comparator, in rounds that take turns. `BENCHMARKS.md` says how to read the
//! tables.
//!
//! `cargo bench --bench load -- in-process|sockets|growth|writes|revocations|ends|offboarding|fair|stranger|lag|signals`.
//! `--help` after each lists its options.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::print_stdout)]

mod chart;
mod ends;
mod fair;
mod growth;
mod in_process;
mod lag;
mod measured;
mod offboarding;
mod processes;
mod revocations;
mod signals;
mod sockets;
mod stranger;
#[allow(dead_code, reason = "only the tests use all of it")]
#[path = "../support/mod.rs"]
mod support;
mod writes;

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    bench: Bench,
    /// The flag that cargo gives to each bench.
    #[arg(long = "bench", hide = true, global = true)]
    _bench: bool,
}

#[derive(Subcommand)]
enum Bench {
    /// The guards side by side, without sockets.
    InProcess(in_process::Options),
    /// The same over sockets: server, clients and database are separate processes.
    Sockets(sockets::Options),
    /// Cost and memory as the number of live sessions grows, and as the number of revocations grows.
    Growth(growth::Options),
    /// Exchange, provisioning and revocation.
    Writes(writes::Options),
    /// Many revocations at a time compared with exchanges, and how soon another gateway refuses in the meantime.
    Revocations(revocations::Options),
    /// How long it takes to end something, whatever a person did before.
    Ends(ends::Options),
    /// How long it takes to end a person with as many delegated sessions as the limits allow, and whether a call is let in later.
    Offboarding(offboarding::Options),
    /// A person's calls while another person writes in a loop.
    Fair(fair::Options),
    /// What one `POST /token` of a caller without valid credentials costs.
    Stranger(stranger::Options),
    /// The time from the acknowledgement of a revocation to the first refusal on another node.
    Lag(lag::Options),
    /// The time from the answer to a security event on one node to the first refusal on another node.
    Signals(signals::Options),
    #[command(hide = true)]
    Serve(sockets::Server),
    #[command(hide = true)]
    Generate(sockets::Clients),
    #[command(hide = true)]
    Grow(growth::Child),
    #[command(hide = true)]
    ServeAll(fair::Server),
    #[command(hide = true)]
    Attack(fair::Attacker),
}

#[tokio::main]
async fn main() {
    match Arguments::parse().bench {
        Bench::InProcess(options) => in_process::run(&options).await,
        Bench::Sockets(options) => sockets::run(&options).await,
        Bench::Growth(options) => growth::run(&options).await,
        Bench::Writes(options) => writes::run(&options).await,
        Bench::Revocations(options) => revocations::run(&options).await,
        Bench::Ends(options) => ends::run(&options).await,
        Bench::Offboarding(options) => offboarding::run(&options).await,
        Bench::Fair(options) => fair::run(&options).await,
        Bench::Stranger(options) => stranger::run(&options).await,
        Bench::ServeAll(options) => fair::serve(&options).await,
        Bench::Attack(options) => fair::attack(&options).await,
        Bench::Lag(options) => lag::run(&options).await,
        Bench::Signals(options) => signals::run(&options).await,
        Bench::Serve(options) => sockets::serve(&options).await,
        Bench::Generate(options) => sockets::generate(&options).await,
        Bench::Grow(options) => growth::grow(&options).await,
    }
}
