//! `cargo run -p example-tonic -- [ADDR]` listens on 127.0.0.1:8082 and prints a code to try.
//!
//! Exchange the code for a token at `POST /v1/auth/bridge/session`. Then call with the metadata `authorization: Bearer
//! …`.

use std::io::{self, Write as _};

use anyhow::Result;
use bridge_auth::{SignedIn, scopes};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8082".to_owned());
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;

    let folder = tempfile::tempdir()?;
    let bridge =
        example_tonic::bridge(&format!("http://{address}"), &folder.path().join("bridges.db")).await?;

    // A real gateway issues codes at `POST /v1/auth/bridge/code`, to people who signed in at its own login.
    let alice = SignedIn::try_new("alice", scopes!("hook:track"))?;
    let issued = bridge.issuer().issue_code(&alice, Default::default()).await?;
    writeln!(io::stdout(), "code: {}", issued.code.expose())?;
    writeln!(io::stdout(), "listening on http://{address}")?;
    let interrupted = async { drop(tokio::signal::ctrl_c().await) };
    example_tonic::serve(listener, &bridge, interrupted).await
}
