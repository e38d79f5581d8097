//! `cargo run -p example-mcp -- [ADDR]` listens on 127.0.0.1:8083 and prints a code to try.
//!
//! An MCP client that knows the id `mcp-client` finds the rest by itself: it sends its person to the browser. Without a
//! person: exchange the code for a token at `POST /v1/auth/bridge/session`, and let an MCP client call `/mcp` with the
//! token. Or get a client id and a client secret with the token, at `POST /v1/auth/bridge/oauth-client`. An MCP client
//! that has them (`client_credentials`) finds the rest by itself, too.

use std::io::{self, Write as _};

use anyhow::Result;
use bridge_auth::{SignedIn, scopes};
use example_mcp::Server;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8083".to_owned());
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;

    let folder = tempfile::tempdir()?;
    let server = Server::open(&format!("http://{address}"), &folder.path().join("bridges.db")).await?;

    // A real gateway issues codes at `POST /v1/auth/bridge/code`, to people who signed in at its own login.
    let alice = SignedIn::try_new("alice", scopes!("hook:govern hook:track"))?;
    let issued = server.bridge().issuer().issue_code(&alice, Default::default()).await?;
    writeln!(io::stdout(), "code: {}", issued.code.expose())?;
    writeln!(io::stdout(), "listening on http://{address}")?;
    let interrupted = async { drop(tokio::signal::ctrl_c().await) };
    server.serve(listener, interrupted).await
}
