//! A gateway that can be watched: its metrics go to Prometheus, and its log names who was refused and why.

#![allow(missing_docs, reason = "an example exports nothing")]

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, MatchedPath, Request};
use axum::http::request::Parts;
use axum::routing::get;
use bridge_auth::store::SqliteStore;
use bridge_auth::token::{Algorithm, KeyRing};
use bridge_auth::{Bridge, Caller, SignInLayer, SignedIn, scopes};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tower_http::trace::TraceLayer;
use tracing::Span;
use tracing::field::Empty;

pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Installs the recorder. Call it before the first store is opened and the first bridge is built: what is measured before is
/// lost.
pub fn record_metrics() -> Result<PrometheusHandle, Error> {
    // Without buckets the exporter makes summaries, which cannot be added up over several gateways.
    let seconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
    let sessions = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
    Ok(PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &seconds)?
        .set_buckets_for_metric(Matcher::Suffix("_batch_size".to_owned()), &sessions)?
        .install_recorder()?)
}

/// A bridge over files in `folder`.
pub async fn open(issuer: String, folder: &Path) -> Result<Bridge, Error> {
    let store = SqliteStore::open(folder.join("gateway.db")).await?;
    let keys = KeyRing::load_or_generate(folder.join("gateway.key"), Algorithm::EdDsa)?;
    Ok(Bridge::builder(issuer, keys, store)
        .prefix("/auth")
        .oauth()
        // The lines about refused requests name the address and the route.
        .peer_address(|extensions| Some(extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip()))
        .route_template(|extensions| Some(extensions.get::<MatchedPath>()?.as_str()))
        .build()?)
}

/// The gateway. Serve it with `into_make_service_with_connect_info::<SocketAddr>()`.
pub fn app(bridge: &Bridge) -> Result<Router, Error> {
    Ok(Router::new()
        .route("/whoami", get(async |caller: Caller| format!("{}\n", caller.user_id())))
        .route_layer(bridge.layer("bridge")?)
        .nest_service("/auth", bridge.service())
        .layer(SignInLayer::new(sign_in))
        .layer(TraceLayer::new_for_http().make_span_with(span)))
}

/// What Prometheus scrapes. Serve it at an address that only Prometheus reaches.
pub fn metrics(handle: PrometheusHandle) -> Router {
    Router::new().route("/metrics", get(async move || handle.render()))
}

/// Frees what old samples of histograms take. Run it beside the gateway.
pub async fn keep_up(handle: PrometheusHandle) {
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        handle.run_upkeep();
    }
}

/// The span of a request. The guard fills in who calls, and each line of a handler then has it.
fn span(request: &Request) -> Span {
    let (method, path) = (request.method(), request.uri().path());
    tracing::info_span!("request", %method, path, user_id = Empty, session_id = Empty, client_id = Empty)
}

/// FOR DEVELOPMENT ONLY: the sender of the secret in DEV_LOGIN is alice. Ask your own login here.
fn sign_in(request: &Parts) -> Option<SignedIn> {
    let secret = std::env::var("DEV_LOGIN").ok().filter(|secret| !secret.is_empty())?;
    request.headers.get("x-dev-login").filter(|sent| **sent == *secret)?;
    SignedIn::try_new("alice", scopes!()).ok()
}
