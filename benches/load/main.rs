//! Load: many requests at once, beside a comparator, in rounds that take turns. `BENCHMARKS.md` tells how to read it.
//!
//! `cargo bench --bench load -- in-process|sockets|growth|writes|revocations|ends|fair|stranger|lag`; `--help` after each tells its options.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::print_stdout)]

mod chart;
mod ends;
mod fair;
mod growth;
mod in_process;
mod lag;
mod measured;
mod processes;
mod revocations;
mod sockets;
mod stranger;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../support/mod.rs"]
mod support;
mod writes;

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    bench: Bench,
    /// What cargo says to each bench.
    #[arg(long = "bench", hide = true, global = true)]
    _bench: bool,
}

#[derive(Subcommand)]
enum Bench {
    /// The guards beside each other, without sockets.
    InProcess(in_process::Options),
    /// The same over sockets: server, clients and database each a process of their own.
    Sockets(sockets::Options),
    /// Cost and memory as live sessions grow, and as revocations do.
    Growth(growth::Options),
    /// Exchange, provisioning, revocation.
    Writes(writes::Options),
    /// Revocations many at a time beside exchanges, and how soon another gateway refuses meanwhile.
    Revocations(revocations::Options),
    /// How long it takes to end something, whatever a person did before.
    Ends(ends::Options),
    /// An innocent person's calls beside one who writes in a loop.
    Fair(fair::Options),
    /// What one `POST /token` of a stranger costs.
    Stranger(stranger::Options),
    /// From the acknowledgement of a revocation to the first refusal on another node.
    Lag(lag::Options),
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
        Bench::Fair(options) => fair::run(&options).await,
        Bench::Stranger(options) => stranger::run(&options).await,
        Bench::ServeAll(options) => fair::serve(&options).await,
        Bench::Attack(options) => fair::attack(&options).await,
        Bench::Lag(options) => lag::run(&options).await,
        Bench::Serve(options) => sockets::serve(&options).await,
        Bench::Generate(options) => sockets::generate(&options).await,
        Bench::Grow(options) => growth::grow(&options).await,
    }
}
