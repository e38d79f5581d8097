//! The example gateway, with passkeys as its login: `cargo run -p example-gateway -- --login passkey` runs it.

#![allow(unreachable_pub, reason = "a program exports nothing")]

mod ceremony;
mod database;
mod login;
mod store;

use std::process::ExitCode;

fn main() -> ExitCode {
    gateway::run(&[&login::Passkey])
}
