//! `cargo run -p example-axum-login -- [ADDR]` listens on 127.0.0.1:8086.
//!
//! In a browser, open the address, sign in (alice, `alice's password`) and press "Connect a program". Or with curl:
//!
//! ```sh
//! site=http://127.0.0.1:8086
//! curl -s -c jar --data-urlencode name=alice --data-urlencode "password=alice's password" $site/login
//! code=$(curl -s -b jar -X POST $site/v1/auth/bridge/code | jq -r .code)
//! token=$(curl -s -H 'content-type: application/json' -d "{\"code\":\"$code\"}" $site/v1/auth/bridge/session | jq -r .token)
//! curl -s -H "authorization: Bearer $token" $site/v1/whoami   # → user 1 with the scopes models:admin models:call
//! curl -s -b jar -X POST $site/logout/everywhere
//! curl -i -H "authorization: Bearer $token" $site/v1/whoami   # → 401
//! ```

use std::io::{self, Write as _};
use std::net::SocketAddr;

use anyhow::Result;
use axum::extract::{ConnectInfo, MatchedPath};
use bridge_auth::Bridge;
use bridge_auth::store::SqliteStore;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use example_axum_login::{Users, app};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8086".to_owned());
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let issuer = format!("http://{address}");

    let folder = tempfile::tempdir()?;
    let store = SqliteStore::open(folder.path().join("bridges.db")).await?;
    let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa)?)?;
    let bridge = Bridge::builder(issuer.as_str(), keys, store)
        .peer_address(|extensions| Some(extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip()))
        .route_template(|extensions| Some(extensions.get::<MatchedPath>()?.as_str()))
        .build()?;

    writeln!(io::stdout(), "listening on {issuer}")?;
    let app = app(&bridge, &issuer, Users::demo())?.into_make_service_with_connect_info::<SocketAddr>();
    Ok(axum::serve(listener, app).await?)
}
