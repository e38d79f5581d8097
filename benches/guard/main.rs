//! The guard's instructions for each request, over the floor of the same scene in the same run: the gate of CI.
//!
//! A scene is one request through a host, from `call` until request, answer and body are dropped. The handler really
//! runs. `floor` is the host without a guard. `guard` is `BridgeAuthLayer` with watched freshness. `by_hand` decodes
//! the token with `jsonwebtoken` and checks no session. `scenes.rs` has the table of scenes and limits.
//!
//! The package `bench-peers` adds peers from other crates, and checks no limit, because its axum has more features.
//!
//! `cargo bench --bench guard` prints gungraun's output. With `-- --gate` (as in `.ci/bench`) it prints one table, and
//! a missed limit is an error.
//!
//! valgrind's machine counts the instructions. The counts are the same in every run of one binary. This machine has no
//! SHA or AES instructions, so hashing costs more here than on a real machine.

// gungraun's macros generate public items.
#![allow(missing_docs, unreachable_pub, unused_qualifications, clippy::type_complexity, clippy::unwrap_used)]
#![allow(clippy::print_stdout, missing_debug_implementations)]

mod by_hand;
mod cases;
mod gate;
mod gateway;
mod scenes;
#[allow(dead_code, reason = "only the other benches use all of it")]
#[path = "../support/mod.rs"]
mod support;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().position(|argument| argument == "--gate") {
        Some(gate) => gate::run(arguments.iter().skip(gate + 1)),
        None => {
            benchmarks::run();
            ExitCode::SUCCESS
        }
    }
}

/// What gungraun runs: its macro generates a `main` here.
mod benchmarks {
    use std::hint::black_box;

    use axum::Router;
    use bridge_auth::layer::BridgeAuth;
    use gungraun::prelude::*;

    use crate::by_hand::ByHand;
    use crate::cases::{self, Case, Inner, send};
    use crate::scenes::Host::{Axum, Tower};
    use crate::scenes::scenes;

    #[library_benchmark]
    #[benches::scene(iter = scenes(Axum), setup = cases::floor)]
    fn floor(case: Case<Router>) -> Case<Router> {
        black_box(send(case))
    }

    #[library_benchmark]
    #[benches::scene(iter = scenes(Axum), setup = cases::guard)]
    fn guard(case: Case<Router>) -> Case<Router> {
        black_box(send(case))
    }

    #[library_benchmark]
    #[benches::scene(iter = scenes(Axum), setup = cases::by_hand)]
    fn by_hand(case: Case<Router>) -> Case<Router> {
        black_box(send(case))
    }

    #[cfg(peers)]
    #[library_benchmark]
    #[benches::scene(iter = scenes(Axum), setup = cases::jwt_authorizer)]
    fn jwt_authorizer(case: Case<Router>) -> Case<Router> {
        black_box(send(case))
    }

    #[cfg(peers)]
    #[library_benchmark]
    #[benches::scene(iter = scenes(Axum), setup = cases::axum_jwt_auth)]
    fn axum_jwt_auth(case: Case<Router>) -> Case<Router> {
        black_box(send(case))
    }

    #[cfg(peers)]
    #[library_benchmark]
    #[benches::scene(iter = scenes(Axum), setup = cases::axum_login)]
    fn axum_login(case: Case<Router>) -> Case<Router> {
        black_box(send(case))
    }

    #[library_benchmark]
    #[benches::scene(iter = scenes(Tower), setup = cases::tower_floor)]
    fn tower_floor(case: Case<Inner>) -> Case<Inner> {
        black_box(send(case))
    }

    #[library_benchmark]
    #[benches::scene(iter = scenes(Tower), setup = cases::tower_guard)]
    fn tower_guard(case: Case<BridgeAuth<Inner>>) -> Case<BridgeAuth<Inner>> {
        black_box(send(case))
    }

    #[library_benchmark]
    #[benches::scene(iter = scenes(Tower), setup = cases::tower_by_hand)]
    fn tower_by_hand(case: Case<ByHand<Inner>>) -> Case<ByHand<Inner>> {
        black_box(send(case))
    }

    library_benchmark_group!(
        name = requests,
        benchmarks = [floor, guard, by_hand, tower_floor, tower_guard, tower_by_hand]
    );

    #[cfg(peers)]
    library_benchmark_group!(name = peers, benchmarks = [jwt_authorizer, axum_jwt_auth, axum_login]);

    #[cfg(not(peers))]
    main!(library_benchmark_groups = requests);
    #[cfg(peers)]
    main!(library_benchmark_groups = requests, peers);

    pub fn run() {
        main();
    }
}
