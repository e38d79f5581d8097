//! The bridge of this gateway: what it lets in, and under which addresses.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use axum::extract::{ConnectInfo, MatchedPath};
use bridge_auth::audience::ProtectedResource;
use bridge_auth::client_metadata::ClientMetadata;
use bridge_auth::issue::RegisteredClient;
use bridge_auth::pages::Pages;
use bridge_auth::rate_limit::RateLimits;
use bridge_auth::{Bridge, BridgeBuilder};
use url::{Host, Url};

use super::keys;
use super::options::{AcceptedDocuments, MaxProofAge, Options};
use super::recent_events::RecentEvents;

/// Opens the database and the key file, and makes the bridge of the gateway that clients reach at `issuer`. Files that
/// the options give no path for go into `folder`. Operators see `events`.
pub async fn open(options: &Options, issuer: &str, folder: &Path, events: RecentEvents) -> Result<Bridge> {
    let limits = if options.no_rate_limits { RateLimits::off() } else { RateLimits::default() };
    let database = options.database(folder);
    let store = database.open(options.pool_size.into()).await?;
    let keys = keys::open(&options.key_file(folder), options.algorithm)?;
    let bridge = with_addresses(Bridge::builder_with(issuer, keys, store), issuer)
        .realm("gateway")
        // A client that names the gateway as its `resource` gets a token for the gateway alone. A bridge gets a token
        // for all of these.
        .audiences(["bridge", "mcp", issuer])
        .protected_resource(ProtectedResource::new(issuer).name("gateway"))
        .pages(pages())
        .client(command_line_bridge())
        .gateway_login(options.gateway_login)
        .audit_trail(events)
        .session_refresh_tokens(true)
        .rate_limits(limits)
        .code_life(Duration::from_secs(options.code_life))
        .device_code_life(Duration::from_secs(options.device_code_life))
        .token_life(Duration::from_secs(options.token_life))
        .freshness(options.freshness)
        .trusted_origins(localhost(issuer)?)
        .trusted_proxies(options.trusted_proxy.iter().copied())
        // `into_make_service_with_connect_info` puts the peer's address here.
        .peer_address(|extensions| Some(extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip()))
        // The log names the route of a refused request.
        .route_template(|extensions| Some(extensions.get::<MatchedPath>()?.as_str()));
    let bridge = match &options.client_metadata {
        AcceptedDocuments::Off => bridge,
        AcceptedDocuments::Open => bridge.client_metadata(ClientMetadata::open()),
        AcceptedDocuments::Of(hosts) => bridge.client_metadata(ClientMetadata::from_hosts(hosts.clone())),
    };
    let bridge = match options.max_proof_age {
        MaxProofAge::Within(age) => bridge.max_proof_age(age),
        MaxProofAge::Off => bridge.danger_without_proof(),
    };
    let bridge = match options.session_life {
        Some(seconds) => bridge.session_life(Duration::from_secs(seconds)),
        None => bridge,
    };
    Ok(options.company.join(bridge, issuer)?.build()?)
}

/// Where programs and people find what the gateway has. People type `/device`, so it is short.
fn with_addresses(bridge: BridgeBuilder, issuer: &str) -> BridgeBuilder {
    let at = |path: &str| format!("{issuer}{path}");
    bridge
        .oauth()
        .verification_uri(at("/device"))
        .devices_uri(at("/devices"))
        .jwks_uri(at("/.well-known/jwks.json"))
}

/// The name by which people on this machine know a gateway at a loopback address.
fn localhost(issuer: &str) -> Result<Option<Url>> {
    let mut url: Url = issuer.parse()?;
    let is_loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        _ => false,
    };
    if is_loopback {
        url.set_host(Some("localhost"))?;
    }
    Ok(is_loopback.then_some(url))
}

/// The pages that people see, in the words of this gateway.
fn pages() -> Pages {
    Pages::new("/login")
        .switch_account("/login?switch=yes")
        .gateway_name("Example gateway")
        .scope("hook:govern", "Ask what the rules of the gateway allow")
        .scope("hook:track", "Write to your audit track")
}

/// The bridge of `examples/bridge`, and any other program that says it is one.
fn command_line_bridge() -> RegisteredClient {
    let client = RegisteredClient::new("sp_bridge", "Example bridge");
    client.redirect_uri("http://127.0.0.1/callback").redirect_uri("http://[::1]/callback")
}
