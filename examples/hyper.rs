//! The guard and the endpoints in a server that uses only hyper, without axum.
//!
//! `cargo run --example hyper -- [ADDR]` listens on 127.0.0.1:8081 and prints a code to try.

use std::convert::Infallible;
use std::error::Error;
use std::io::{self, Write as _};
use std::time::Duration;

use anyhow::Result;
use bridge_auth::service::PeerAddr;
use bridge_auth::store::SqliteStore;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use bridge_auth::{Bridge, Caller, SignedIn, scopes};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::time::sleep;
use tower::util::BoxCloneService;
use tower::{Layer as _, ServiceBuilder, ServiceExt as _, service_fn};

type Body = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8081".to_owned());
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;

    let folder = tempfile::tempdir()?;
    let store = SqliteStore::open(folder.path().join("gateway.db")).await?;
    let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa)?)?;
    let bridge = Bridge::builder(format!("http://{address}"), keys, store).build()?;

    // A real gateway issues codes at `POST /v1/auth/bridge/code`, to people who signed in at its own login.
    let alice = SignedIn::try_new("alice", scopes!())?;
    let issued = bridge.issuer().issue_code(&alice, Default::default()).await?;
    writeln!(io::stdout(), "code: {}", issued.code.expose())?;
    writeln!(io::stdout(), "listening on http://{address}")?;
    serve(listener, &bridge).await
}

/// Serves until the process is told to stop, and then finishes the requests in progress.
async fn serve(listener: TcpListener, bridge: &Bridge) -> Result<()> {
    let app = app(bridge)?;
    let server = Builder::new(TokioExecutor::new());
    let connections = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = tokio::signal::ctrl_c() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Most likely there are no free file descriptors. Some connections must end first.
                writeln!(io::stderr(), "cannot accept a connection, trying again: {error}")?;
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let service = ServiceBuilder::new()
            .map_request(move |mut request: Request<Incoming>| {
                // Recorded with each new session.
                request.extensions_mut().insert(PeerAddr(peer.ip()));
                request
            })
            .service(app.clone());
        let connection = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        // The task's result is ignored: a broken connection concerns only the peer.
        tokio::spawn(connections.watch(connection.into_owned()));
    }
    connections.shutdown().await;
    Ok(())
}

/// The endpoints for bridges under their prefix, and everything else behind the guard.
fn app(bridge: &Bridge) -> Result<BoxCloneService<Request<Incoming>, Response<Body>, Infallible>> {
    let endpoints = bridge.service();
    let guarded = bridge.layer("bridge")?.layer(service_fn(whoami));
    Ok(service_fn(move |request: Request<Incoming>| {
        let (endpoints, guarded) = (endpoints.clone(), guarded.clone());
        async move {
            if request.uri().path().starts_with("/v1/auth/bridge/") {
                endpoints.oneshot(request).await.map(boxed)
            } else {
                guarded.oneshot(request).await.map(boxed)
            }
        }
    })
    .boxed_clone())
}

/// Answers who calls. The guard leaves a [`Caller`] in the extensions of every request that reaches this handler.
async fn whoami(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = match request.extensions().get::<Caller>() {
        Some(caller) => format!("{} in session {}\n", caller.user_id(), caller.session_id()),
        None => "anonymous\n".to_owned(),
    };
    Ok(Response::new(body.into()))
}

fn boxed<B>(response: Response<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    response.map(|body| body.map_err(Into::into).boxed_unsync())
}
