//! `cargo run -p example-websocket -- [ADDR]` listens on 127.0.0.1:8085 and prints a code to try.
//!
//! ```sh
//! gateway=http://127.0.0.1:8085
//! token=$(curl -s -H 'content-type: application/json' -d "{\"code\":\"$CODE\"}" $gateway/v1/auth/bridge/session | jq -r .token)
//! handshake() { curl -i -s -m 2 -H 'connection: upgrade' -H 'upgrade: websocket' -H 'sec-websocket-version: 13' \
//!     -H 'sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==' "$@" $gateway/v1/chat; }
//! handshake   # → 401: no token
//! handshake -H "authorization: Bearer $token"   # → 101
//! handshake -H "sec-websocket-protocol: bearer, $token, chat"   # → 101, with the protocol `chat`
//! ```
//!
//! curl speaks no further. `websocat -H "authorization: Bearer $token" ws://127.0.0.1:8085/v1/chat` does, and so does a
//! page: `new WebSocket("ws://127.0.0.1:8085/v1/chat", ["bearer", token, "chat"])`.

use std::io::{self, Write as _};
use std::net::SocketAddr;

use anyhow::Result;
use axum::extract::{ConnectInfo, MatchedPath};
use bridge_auth::store::SqliteStore;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use bridge_auth::{Bridge, Scopes, SignedIn, UserId};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8085".to_owned());
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;

    let folder = tempfile::tempdir()?;
    let store = SqliteStore::open(folder.path().join("bridges.db")).await?;
    let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa)?)?;
    let bridge = Bridge::builder(format!("http://{address}"), keys, store)
        .peer_address(|extensions| Some(extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip()))
        .route_template(|extensions| Some(extensions.get::<MatchedPath>()?.as_str()))
        .build()?;

    // A real gateway issues codes at `POST /v1/auth/bridge/code`, to people who signed in at its own login.
    let alice = SignedIn::new(UserId::parse("alice")?, Scopes::default());
    let issued = bridge.issuer().issue_code(&alice, Default::default()).await?;
    writeln!(io::stdout(), "CODE={}", issued.code.expose())?;
    writeln!(io::stdout(), "listening on http://{address}")?;
    let app = example_websocket::app(&bridge)?.into_make_service_with_connect_info::<SocketAddr>();
    Ok(axum::serve(listener, app).await?)
}
