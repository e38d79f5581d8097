//! The example gateway, with passkeys as its login: `cargo run --example gateway -- --login passkey` runs it.

#![allow(unreachable_pub, reason = "a program exports nothing")]

mod ceremony;
mod database;
#[path = "../../gateway/program.rs"]
mod gateway;
mod login;
mod store;

use std::process::ExitCode;

fn main() -> ExitCode {
    gateway::run(&[&login::Passkey])
}
