//! An MCP server behind the guard of `bridge-auth`, made with rmcp over streamable HTTP.
//!
//! The tools see who calls. The guard judges each request by itself. A stock MCP client finds by itself how to get a
//! token: it sends its person to the pages, or it has credentials of its own.

mod login;
mod scopes;
mod sessions;
mod tools;

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::extract::{ConnectInfo, MatchedPath};
use axum::{Router, middleware};
use bridge_auth::audience::ProtectedResource;
use bridge_auth::issue::RegisteredClient;
use bridge_auth::pages::Pages;
use bridge_auth::store::SqliteStore;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use bridge_auth::{Bridge, BridgeBuilder};
use rmcp::transport::StreamableHttpServerConfig;
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

use login::Logins;
use sessions::SessionSeal;
use tools::Tools;

const MCP: &str = "/mcp";
const SIGN_IN: &str = "/sign-in";
/// The id of the MCP client that this server knows.
pub const CLIENT: &str = "mcp-client";

/// How long an event stream may run after the session of its caller has ended.
const STREAMS_END_WITHIN: Duration = Duration::from_secs(5);

/// An MCP server, and the bridge that guards it.
#[derive(Debug, Clone)]
pub struct Server {
    bridge: Bridge,
    issuer: Url,
    /// The MCP server's own URL. Tokens for the server name it as their audience.
    resource: String,
}

impl Server {
    /// Opens a server that clients reach at `issuer`. Its bridge issues tokens under that name, and keeps its sessions
    /// in the SQLite file at `path`.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, or `issuer` is not the URL of a server without a slash at its end.
    pub async fn open(issuer: &str, path: &Path) -> Result<Self> {
        Self::open_with(issuer, path, |builder| builder).await
    }

    /// The same with `more` on its bridge, such as clients that are known by a metadata document.
    ///
    /// # Errors
    ///
    /// As those of [`open`](Self::open).
    pub async fn open_with(
        issuer: &str,
        path: &Path,
        more: impl FnOnce(BridgeBuilder) -> BridgeBuilder,
    ) -> Result<Self> {
        let resource = format!("{issuer}{MCP}");
        let endpoint = |path: &str| format!("{issuer}{path}");
        let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa)?)?;
        let store = SqliteStore::open(path).await?;
        let bridge = Bridge::builder(issuer, keys, store)
            // A linked bridge may call both. A hook client asks for a token for one of them.
            .audiences(["bridge", &resource])
            .token_endpoint(endpoint("/v1/auth/bridge/token"))
            .jwks_uri(endpoint("/.well-known/jwks.json"))
            .pages(pages())
            .authorization_endpoint(endpoint("/v1/auth/bridge/authorize"))
            .device_authorization_endpoint(endpoint("/v1/auth/bridge/device_authorization"))
            .client(RegisteredClient::new(CLIENT, "An MCP client").redirect_uri("http://127.0.0.1/callback"))
            .session_refresh_tokens(true)
            .protected_resource(ProtectedResource::new(&resource).scopes("hook:track").name("The tools"))
            // Recorded with each new session, and with what is refused.
            .peer_address(|extensions| Some(extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip()))
            .route_template(|extensions| Some(extensions.get::<MatchedPath>()?.as_str()));
        Ok(Self { bridge: more(bridge).build()?, issuer: issuer.parse()?, resource })
    }

    /// The bridge.
    #[must_use]
    pub fn bridge(&self) -> &Bridge {
        &self.bridge
    }

    /// Serves until `stop` is ready, and then finishes the requests in progress.
    ///
    /// # Errors
    ///
    /// The guard cannot be made.
    pub async fn serve(
        &self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<()> {
        // Event streams last as long as their sessions. So end them before the wait for the requests in progress.
        let streams = CancellationToken::new();
        let app = self.app(streams.clone())?.into_make_service_with_connect_info::<SocketAddr>();
        let stop = async move {
            stop.await;
            streams.cancel();
        };
        Ok(axum::serve(listener, app).with_graceful_shutdown(stop).await?)
    }

    /// The MCP server behind the guard, and beside the guard the endpoints where a client gets a token.
    fn app(&self, streams: CancellationToken) -> Result<Router> {
        let host = self.issuer.host_str().context("the issuer must be a URL with a host")?;
        let port =
            self.issuer.port_or_known_default().context("the issuer must be a URL of http or https")?;
        // rmcp takes an origin without a port for all ports.
        let origin = format!("{}://{host}:{port}", self.issuer.scheme());
        let config = StreamableHttpServerConfig::default()
            // A web page may call neither under another name of this host nor from another origin.
            .with_allowed_hosts([host])
            .with_allowed_origins([origin])
            .enforce_origin_validation()
            .with_cancellation_token(streams);
        let sessions = Arc::new(LocalSessionManager::default());
        let mcp = StreamableHttpService::new(|| Ok(Tools), sessions, config);
        // Hooks may call the tools too.
        let guard =
            self.bridge.layer(&self.resource)?.admit_hook_clients().end_streams_within(STREAMS_END_WITHIN);
        let logins = Logins::default();
        let bridge = Router::new().nest_service("/v1/auth/bridge", self.bridge.service());
        Ok(Router::new()
            .route_service(MCP, mcp)
            .layer(middleware::from_fn(scopes::require))
            .layer(middleware::from_fn_with_state(SessionSeal::random(), sessions::bind))
            .layer(guard)
            // The routes below this line are not behind the guard.
            // Here the identity provider of a company says whose sessions end.
            .nest_service("/v1/auth/revocations", self.bridge.revocations_service())
            .merge(login::tell_who_is_signed_in(bridge, &logins))
            .merge(login::routes(SIGN_IN, &self.issuer, &logins)?)
            .route_service("/.well-known/jwks.json", self.bridge.jwks_service())
            .route_service("/.well-known/{*document}", self.bridge.well_known_service()))
    }
}

/// The pages that people see, in the words of this server.
fn pages() -> Pages {
    Pages::new(SIGN_IN)
        .gateway_name("The tools")
        .scope("hook:govern", "Ask what the rules allow")
        .scope("hook:track", "Write to your audit track")
}
