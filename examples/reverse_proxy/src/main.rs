//! `cargo run -p example-reverse-proxy -- UPSTREAM [ADDR]` listens on 127.0.0.1:8084 and prints a code to try.
//!
//! With a server of files as the upstream (`python3 -m http.server 9000`), and `http://127.0.0.1:9000` for `UPSTREAM`:
//!
//! ```sh
//! proxy=http://127.0.0.1:8084
//! curl -i $proxy/   # → 401: no token
//! token=$(curl -s -H 'content-type: application/json' -d "{\"code\":\"$CODE\"}" $proxy/v1/auth/bridge/session | jq -r .token)
//! curl -i -H "authorization: Bearer $token" $proxy/   # → 200: what the upstream answers
//! ```

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::extract::{ConnectInfo, MatchedPath};
use bridge_auth::store::SqliteStore;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use bridge_auth::{Bridge, Scopes, SignedIn, UserId};
use example_reverse_proxy::{Upstream, app};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let upstream = arguments.next().context("name the upstream, such as http://127.0.0.1:9000")?;
    let upstream = Upstream::new(&upstream, Duration::from_secs(60))?;
    let listener = TcpListener::bind(arguments.next().as_deref().unwrap_or("127.0.0.1:8084")).await?;
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
    let app = app(&bridge, upstream)?.into_make_service_with_connect_info::<SocketAddr>();
    Ok(axum::serve(listener, app).await?)
}
