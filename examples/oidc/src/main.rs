//! The example gateway, with OpenID Connect as its login: `cargo run -p example-gateway -- --login oidc` runs it.

#![allow(unreachable_pub, reason = "a program exports nothing")]

mod http;
mod login;
mod pending;
mod provider;

use std::process::ExitCode;

fn main() -> ExitCode {
    gateway::run(&[&login::Oidc])
}
