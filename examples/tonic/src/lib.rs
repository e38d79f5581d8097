//! gRPC services behind the guard of `bridge-auth`, made with tonic.
//!
//! The methods see who calls. When the guard refuses a call, the client gets a gRPC status.

mod identity;
mod track;

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use bridge_auth::store::SqliteStore;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use bridge_auth::{Bridge, Caller, scopes};
use tokio::net::TcpListener;
use tonic::service::{LayerExt as _, Routes};
use tonic::transport::Server;
use tonic::transport::server::{TcpConnectInfo, TcpIncoming};
use tonic::{Request, Status};

use identity::IdentityService;
use proto::identity_server::IdentityServer;
use proto::track_server::TrackServer;
use track::TrackService;

/// How long a stream may run after its session has ended.
const STREAMS_END_WITHIN: Duration = Duration::from_secs(5);

/// The messages, and the clients and servers of both services.
#[allow(unused_qualifications, reason = "tonic generates this code")]
pub mod proto {
    tonic::include_proto!("bridge.example.v1");
}

/// A bridge that issues tokens as `issuer` and keeps its sessions in the SQLite file at `path`.
///
/// # Errors
///
/// The file cannot be opened, or `issuer` is not the URL of a server.
pub async fn bridge(issuer: &str, path: &Path) -> Result<Bridge> {
    let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa)?)?;
    let store = SqliteStore::open(path).await?;
    // Recorded with each new session.
    let bridge = Bridge::builder(issuer, keys, store)
        .peer_address(|extensions| Some(extensions.get::<TcpConnectInfo>()?.remote_addr()?.ip()));
    Ok(bridge.build()?)
}

/// Serves until `stop` is ready, and then finishes the calls in progress.
///
/// # Errors
///
/// The routes cannot be made, or the listener fails.
pub async fn serve(listener: TcpListener, bridge: &Bridge, stop: impl Future<Output = ()>) -> Result<()> {
    Server::builder()
        // Bridges call the endpoints over HTTP/1. gRPC calls use HTTP/2.
        .accept_http1(true)
        .add_routes(routes(bridge)?)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), stop)
        .await?;
    Ok(())
}

/// Both services, each behind its own guard, and beside them the endpoints that bridges call over plain HTTP.
fn routes(bridge: &Bridge) -> Result<Routes> {
    // Hooks may call both services too.
    let guard = bridge.layer("bridge")?.admit_hook_clients();
    let track = guard.clone().require_scopes(scopes!("hook:track")).end_streams_within(STREAMS_END_WITHIN);
    let services = Routes::new(guard.named_layer(IdentityServer::new(IdentityService)))
        .add_service(track.named_layer(TrackServer::new(TrackService::new())));
    Ok(services.into_axum_router().nest_service("/v1/auth/bridge", bridge.service()).into())
}

/// Returns who calls. The guard leaves the caller in the extensions of every call that reaches a service.
fn caller<T>(request: &Request<T>) -> Result<&Caller, Status> {
    request.extensions().get().ok_or_else(|| Status::internal("the service is not behind the guard"))
}
