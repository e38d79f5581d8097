//! An MCP server behind the guard of `bridge-auth`, made with rmcp over streamable HTTP: its tools see who calls, each
//! request is judged by itself, and a stock MCP client finds its way to a token.

mod scopes;
mod sessions;
mod tools;

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::extract::ConnectInfo;
use axum::{Router, middleware};
use bridge_auth::Bridge;
use bridge_auth::store::SqliteStore;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use rmcp::transport::StreamableHttpServerConfig;
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

use sessions::SessionSeal;
use tools::Tools;

/// Where the MCP server is, below the server's own URL.
const MCP: &str = "/mcp";

/// How long a stream of events may outlive the session of its caller.
const STREAMS_END_WITHIN: Duration = Duration::from_secs(5);

/// A bridge that issues tokens as `issuer`, for the MCP server at `/mcp` below it, and keeps its sessions in the SQLite
/// file at `path`.
///
/// # Errors
///
/// The file cannot be opened, or `issuer` is no URL of a server.
pub async fn bridge(issuer: &str, path: &Path) -> Result<Bridge> {
    let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa)?)?;
    let store = SqliteStore::open(path).await?;
    let bridge = Bridge::builder(issuer, keys, store)
        // Recorded with the sessions that are opened.
        .peer_address(|extensions| Some(extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip()));
    Ok(bridge.build()?)
}

/// Serves until `stop` is ready, and lets the requests under way end.
///
/// # Errors
///
/// The routes cannot be made.
pub async fn serve(
    listener: TcpListener,
    bridge: &Bridge,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    // Streams to clients go on for as long as their sessions: they end before the requests under way are waited for.
    let streams = CancellationToken::new();
    let url = format!("http://{}", listener.local_addr()?).parse()?;
    let app = app(bridge, &url, streams.clone())?.into_make_service_with_connect_info::<SocketAddr>();
    let stop = async move {
        stop.await;
        streams.cancel();
    };
    Ok(axum::serve(listener, app).with_graceful_shutdown(stop).await?)
}

/// The MCP server behind the guard, and beside it the endpoints that bridges call.
fn app(bridge: &Bridge, url: &Url, streams: CancellationToken) -> Result<Router> {
    let host = url.host_str().context("a server's URL has a host")?;
    let config = StreamableHttpServerConfig::default()
        // A page that a browser shows may neither call by another name of this host nor from another origin.
        .with_allowed_hosts([host])
        .enforce_origin_validation()
        .with_cancellation_token(streams);
    let mcp =
        StreamableHttpService::new(|| Ok(Tools::default()), Arc::new(LocalSessionManager::default()), config);
    Ok(Router::new()
        .route_service(MCP, mcp)
        .layer(middleware::from_fn(scopes::require))
        .layer(middleware::from_fn_with_state(SessionSeal::random(), sessions::bind))
        .layer(bridge.layer("mcp")?.end_streams_within(STREAMS_END_WITHIN))
        // What is added after the guard is not behind it.
        .nest_service("/v1/auth/bridge", bridge.service()))
}
