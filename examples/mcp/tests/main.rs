//! The MCP server over real sockets: with rmcp's own client, and request by request.

#![allow(clippy::unwrap_used)]

mod authorization;
mod client;
mod cross_app_access;
mod discovery;
mod server;
#[path = "../../../tests/support/stock.rs"]
#[allow(unreachable_pub, reason = "the tests of other crates share it")]
mod stock;
mod typescript;

use std::path::{Path, PathBuf};

/// The root of the repository.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
