//! Tokens of another authorization server, which runs here too, at the guard.

mod actors;
mod assertion_races;
mod assertions;
mod callers;
mod hostile;
mod keys;
mod provider;
mod revocations;
pub(crate) mod server;
mod sessions;
mod swapped_assertions;
mod told_of_assertions;
mod workloads;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bridge_auth::clock::{Clock, SystemClock};
use bridge_auth::external_issuer::{ExternalCaller, ExternalIssuer, ExternalSessions, HttpJwks};
use bridge_auth::{Bridge, BridgeBuilder, Scopes};
use http::Request;
use http::header::AUTHORIZATION;
use http_body_util::BodyExt;
use tower::ServiceExt;

use crate::support::bridge::builder;
use crate::support::gateway::Answer;
use crate::support::{Backend, SqliteBackend};
use server::AuthorizationServer;

/// What the other server calls this gateway.
const HERE: &str = "https://gateway.example/api";

/// Longer than keys are kept from being fetched again.
const WINDOW: Duration = Duration::from_secs(31);

/// A clock that can be put forward.
#[derive(Debug, Clone, Default)]
struct Ahead(Arc<AtomicU64>);

impl Ahead {
    fn pass(&self, time: Duration) {
        self.0.fetch_add(time.as_secs(), Ordering::SeqCst);
    }
}

impl Clock for Ahead {
    fn now(&self) -> Duration {
        SystemClock.now() + Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

/// The other server, as one whose callers have no session here.
fn partner(server: &AuthorizationServer) -> ExternalIssuer {
    let source = HttpJwks::new(server.jwks_url()).unwrap();
    ExternalIssuer::new(server.issuer(), source, ExternalSessions::None)
        .audience(HERE, "bridge")
        .allow_scopes(Scopes::parse("read write").unwrap())
        .keys_deadline(Duration::from_secs(20))
}

/// A gateway that trusts another server, and the clock of both.
struct World {
    server: AuthorizationServer,
    bridge: Bridge,
    app: Router,
    clock: Ahead,
    _backend: SqliteBackend,
}

impl World {
    async fn start() -> Self {
        Self::with(|issuer| issuer).await
    }

    async fn with(change: impl FnOnce(ExternalIssuer) -> ExternalIssuer) -> Self {
        let (clock, backend) = (Ahead::default(), SqliteBackend::start().await);
        let server = AuthorizationServer::start(clock.clone()).await;
        let bridge = gateway(&backend, &clock).await.trust(change(partner(&server))).build().unwrap();
        let app = app(&bridge);
        Self { server, bridge, app, clock, _backend: backend }
    }

    /// The answer to a call with `token`.
    async fn call(&self, token: &str) -> Answer {
        ask(&self.app, "/who", token, &[]).await
    }

    async fn status(&self, token: &str) -> u16 {
        self.call(token).await.status.as_u16()
    }
}

async fn gateway(backend: &SqliteBackend, clock: &Ahead) -> BridgeBuilder {
    builder(backend).await.clock(clock.clone())
}

async fn who(caller: ExternalCaller) -> String {
    format!("{} {}", caller.subject(), caller.scopes())
}

fn app(bridge: &Bridge) -> Router {
    Router::new().route("/who", get(who)).layer(bridge.layer("bridge").unwrap().admit_external())
}

async fn ask(app: &Router, path: &str, token: &str, headers: &[(&str, &str)]) -> Answer {
    let request = Request::get(path).header(AUTHORIZATION, format!("Bearer {token}"));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    Answer { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
}

/// Whether it says that it cannot be told now, and calls no token bad.
fn is_unavailable(answer: &Answer) -> bool {
    answer.is_problem(503, "temporarily_unavailable")
        && answer.header("retry-after") == "1"
        && answer.header("www-authenticate").is_empty()
}
