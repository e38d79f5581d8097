//! The smallest gateway to put into use: refresh tokens, limits by address, probes, upkeep, and an end that cuts nothing off.
//!
//! An authenticating proxy stands in front of it: it signs people in, and sends who they are with a secret of its own.
//! Run `cargo run --example minimal` with `GATEWAY_URL=https://gateway.example LISTEN=127.0.0.1:8080 PROXY_SECRET=…` set.

use std::net::SocketAddr;
use std::time::Duration;

use axum::{Router, extract, extract::ConnectInfo, http::request::Parts, routing::get};
use bridge_auth::store::SqliteStore;
use bridge_auth::token::{Algorithm, KeyRing};
use bridge_auth::{Bridge, Caller, SignInLayer, SignedIn, scopes};
use subtle::ConstantTimeEq as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::{net::TcpListener, time::sleep};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let set = |name| std::env::var(name).ok().filter(|text| !text.is_empty()).ok_or(format!("set {name}"));
    let (issuer, address, secret) = (set("GATEWAY_URL")?, set("LISTEN")?, set("PROXY_SECRET")?);
    let terminated = signal(SignalKind::terminate())?;
    let store = SqliteStore::open("gateway.db").await?; // PostgresStore::connect("postgres://…") for several gateways
    let keys = KeyRing::load_or_generate("gateway.key", Algorithm::EdDsa)?;
    let bridge = Bridge::builder(issuer, keys, store)
        .oauth()
        .session_refresh_tokens(true)
        .trusted_proxies(["127.0.0.1/32"])
        .peer_address(|extensions| Some(extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip()))
        .route_template(|extensions| Some(extensions.get::<extract::MatchedPath>()?.as_str()))
        .build()?;
    bridge.maintain(Duration::from_secs(600));
    let guarded = Router::new().route("/v1/whoami", get(whoami)).layer(bridge.layer("bridge")?);
    let endpoints = Router::new()
        .nest_service("/v1/auth/bridge", bridge.service())
        .layer(SignInLayer::new(move |request| sign_in(request, &secret)));
    let app = guarded
        .merge(endpoints)
        .route_service("/.well-known/{*document}", bridge.well_known_service())
        .nest_service("/health", bridge.health_service()); // /health/live, /health/ready
    let listener = TcpListener::bind(address).await?;
    let server = axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>());
    Ok(server.with_graceful_shutdown(stopped(bridge, terminated)).await?)
}

async fn whoami(caller: Caller) -> String {
    format!("{} in session {}\n", caller.user_id(), caller.session_id())
}

fn sign_in(request: &Parts, secret: &str) -> Option<SignedIn> {
    let is_the_proxy = request.headers.get("x-proxy-secret")?.as_bytes().ct_eq(secret.as_bytes());
    let person = SignedIn::try_new(request.headers.get("x-proxy-user")?.to_str().ok()?, scopes!()).ok()?;
    bool::from(is_the_proxy).then_some(person)
}

/// The balancer sees the end at `/health/ready`, and has five seconds to send requests elsewhere.
async fn stopped(bridge: Bridge, mut terminated: Signal) {
    terminated.recv().await;
    bridge.health().drain();
    sleep(Duration::from_secs(5)).await;
}
