//! gRPC services behind the guard of `bridge-auth`, made with tonic: their methods see who calls, and what the guard
//! refuses is refused with a status of gRPC.

mod identity;
mod track;

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use bridge_auth::store::SqliteStore;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use bridge_auth::{Bridge, Caller, Scopes};
use tokio::net::TcpListener;
use tonic::service::{LayerExt as _, Routes};
use tonic::transport::Server;
use tonic::transport::server::{TcpConnectInfo, TcpIncoming};
use tonic::{Request, Status};

use identity::IdentityService;
use proto::identity_server::IdentityServer;
use proto::track_server::TrackServer;
use track::TrackService;

/// How long a stream may outlive its session.
const STREAMS_END_WITHIN: Duration = Duration::from_secs(5);

/// The messages, and the clients and servers of both services.
#[allow(unused_qualifications, reason = "made by tonic")]
pub mod proto {
    tonic::include_proto!("bridge.example.v1");
}

/// A bridge that issues tokens as `issuer` and keeps its sessions in the SQLite file at `path`.
///
/// # Errors
///
/// The file cannot be opened, or `issuer` is no URL of a server.
pub async fn bridge(issuer: &str, path: &Path) -> Result<Bridge> {
    let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa)?)?;
    let store = SqliteStore::open(path).await?;
    // Recorded with the sessions that are opened.
    let bridge = Bridge::builder(issuer, keys, store)
        .peer_address(|extensions| Some(extensions.get::<TcpConnectInfo>()?.remote_addr()?.ip()));
    Ok(bridge.build()?)
}

/// Serves until `stop` is ready, and lets the calls under way end.
///
/// # Errors
///
/// The routes cannot be made, or the listener is broken.
pub async fn serve(listener: TcpListener, bridge: &Bridge, stop: impl Future<Output = ()>) -> Result<()> {
    Server::builder()
        // For the endpoints that link bridges; calls of gRPC are HTTP/2.
        .accept_http1(true)
        .add_routes(routes(bridge)?)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), stop)
        .await?;
    Ok(())
}

/// Both services behind guards of their own, and beside them the endpoints that bridges call over plain HTTP.
fn routes(bridge: &Bridge) -> Result<Routes> {
    // Both services are for hooks too.
    let guard = bridge.layer("bridge")?.admit_hook_clients();
    let track =
        guard.clone().require_scopes(Scopes::parse("hook:track")?).end_streams_within(STREAMS_END_WITHIN);
    let services = Routes::new(guard.named_layer(IdentityServer::new(IdentityService)))
        .add_service(track.named_layer(TrackServer::new(TrackService::new())));
    Ok(services.into_axum_router().nest_service("/v1/auth/bridge", bridge.service()).into())
}

/// Who calls: the guard has left it with every call that comes this far.
fn caller<T>(request: &Request<T>) -> Result<&Caller, Status> {
    request.extensions().get().ok_or_else(|| Status::internal("the service is not behind the guard"))
}
