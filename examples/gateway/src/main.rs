//! A gateway that lets people's bridges in: axum, SQLite or PostgreSQL, and every endpoint of the crate.
//!
//! `cargo run -p example-gateway -- --demo` plays the whole life of a bridge, with one line for each scene. `--help`
//! lists all options. `identity-provider` is a small identity provider, whose people and agents the gateway lets in.

use std::process::ExitCode;

fn main() -> ExitCode {
    gateway::run(&[])
}
