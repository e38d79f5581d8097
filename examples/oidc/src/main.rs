//! The example gateway, with OpenID Connect as its login: `cargo run --example gateway -- --login oidc` runs it.

#![allow(unreachable_pub, reason = "a program exports nothing")]

#[path = "../../gateway/program.rs"]
mod gateway;
mod http;
mod login;
mod pending;
mod provider;

use std::process::ExitCode;

fn main() -> ExitCode {
    gateway::run(&[&login::Oidc])
}
