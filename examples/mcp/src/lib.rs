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
use axum::routing::get;
use axum::{Router, middleware};
use bridge_auth::audience::ProtectedResource;
use bridge_auth::store::SqliteStore;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use bridge_auth::{Bridge, Scopes};
use rmcp::transport::StreamableHttpServerConfig;
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

use sessions::SessionSeal;
use tools::Tools;

const MCP: &str = "/mcp";
const SIGN_IN: &str = "/sign-in";

/// How long a stream of events may outlive the session of its caller.
const STREAMS_END_WITHIN: Duration = Duration::from_secs(5);

/// An MCP server, and the bridge that guards it.
#[derive(Debug, Clone)]
pub struct Server {
    bridge: Bridge,
    issuer: Url,
    /// The MCP server's own URL, which tokens for it name as their audience.
    resource: String,
}

impl Server {
    /// One that is reached at `issuer`, whose bridge issues tokens by that name and keeps its sessions in the SQLite file at
    /// `path`.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, or `issuer` is not the URL of a server, without a slash at its end.
    pub async fn open(issuer: &str, path: &Path) -> Result<Self> {
        let resource = format!("{issuer}{MCP}");
        let endpoint = |path: &str| format!("{issuer}{path}").parse::<Url>();
        let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa)?)?;
        let store = SqliteStore::open(path).await?;
        let bridge = Bridge::builder(issuer, keys, store)
            // What a linked bridge may call; a hook client asks for the one or the other.
            .audiences(["bridge", &resource])
            .token_endpoint(endpoint("/v1/auth/bridge/token")?)
            .jwks_uri(endpoint("/.well-known/jwks.json")?)
            // Stock clients of MCP take no metadata without one, also where they never go there.
            .authorization_endpoint(endpoint(SIGN_IN)?)
            .protected_resource(
                ProtectedResource::new(&resource).scopes(Scopes::parse("hook:track")?).name("The tools"),
            )
            // Recorded with the sessions that are opened.
            .peer_address(|extensions| Some(extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip()));
        Ok(Self { bridge: bridge.build()?, issuer: issuer.parse()?, resource })
    }

    /// The bridge.
    #[must_use]
    pub fn bridge(&self) -> &Bridge {
        &self.bridge
    }

    /// Serves until `stop` is ready, and lets the requests under way end.
    ///
    /// # Errors
    ///
    /// The guard cannot be made.
    pub async fn serve(
        &self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<()> {
        // Streams to clients go on for as long as their sessions: they end before the requests under way are waited for.
        let streams = CancellationToken::new();
        let app = self.app(streams.clone())?.into_make_service_with_connect_info::<SocketAddr>();
        let stop = async move {
            stop.await;
            streams.cancel();
        };
        Ok(axum::serve(listener, app).with_graceful_shutdown(stop).await?)
    }

    /// The MCP server behind the guard, and beside it what a client needs to get past it.
    fn app(&self, streams: CancellationToken) -> Result<Router> {
        let host = self.issuer.host_str().context("a server's URL has a host")?;
        let config = StreamableHttpServerConfig::default()
            // A page that a browser shows may neither call by another name of this host nor from another origin.
            .with_allowed_hosts([host])
            .enforce_origin_validation()
            .with_cancellation_token(streams);
        let sessions = Arc::new(LocalSessionManager::default());
        let mcp = StreamableHttpService::new(|| Ok(Tools), sessions, config);
        // The tools are for hooks too.
        let guard =
            self.bridge.layer(&self.resource)?.admit_hook_clients().end_streams_within(STREAMS_END_WITHIN);
        Ok(Router::new()
            .route_service(MCP, mcp)
            .layer(middleware::from_fn(scopes::require))
            .layer(middleware::from_fn_with_state(SessionSeal::random(), sessions::bind))
            .layer(guard)
            // What is added after the guard is not behind it.
            .nest_service("/v1/auth/bridge", self.bridge.service())
            .route_service("/.well-known/jwks.json", self.bridge.jwks_service())
            .route_service("/.well-known/{*document}", self.bridge.well_known_service())
            .route(SIGN_IN, get(sign_in)))
    }
}

/// Where a real gateway signs people in.
async fn sign_in() -> &'static str {
    "This example signs nobody in: it has printed a code when it started.\n"
}
