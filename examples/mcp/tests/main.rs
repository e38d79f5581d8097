//! The MCP server over real sockets: with rmcp's own client, and request by request.

#![allow(clippy::unwrap_used)]

mod authorization;
mod client;
mod discovery;
mod server;
mod typescript;
