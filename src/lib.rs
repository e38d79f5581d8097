//! Tower middleware, extractors and mountable endpoints that let a person's *bridge* into an AI gateway.
//!
//! A bridge is a program on a person's machine that calls the gateway on that person's behalf. It trades a one-time
//! **exchange code** for a short-lived JWT, a live session row and its identity headers; [`BridgeAuthLayer`] then
//! checks the JWT **and the session row** on every request, in any tower, axum, hyper or tonic server.
//!
//! - [`Bridge`] is the one object a host makes. It hands out [the layer](Bridge::layer), [the endpoints](Bridge::service),
//!   [the write side](Bridge::issuer) and [the operators' side](Bridge::admin).
//! - [`Caller`] and its kin are what handlers take as arguments (feature `axum`).
//! - [`Rejection`] is every way to be refused, and what the caller is told.
//! - [`store`] keeps users, codes, sessions and clients: `PostgresStore` or `SqliteStore`.
//! - [`token`] holds the keys.
//! - [`external_issuer`] lets the tokens of other authorization servers in.
//! - [`guide`] has a page for each question of a host, from the first gateway to the rotation of keys.
//!
//! # An axum app
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use bridge_auth::store::SqliteStore;
//! use bridge_auth::token::{Algorithm, KeyRing};
//! use bridge_auth::{Bridge, Caller};
//!
//! async fn whoami(caller: Caller) -> String {
//!     format!("{} in session {}", caller.user_id(), caller.session_id())
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let store = SqliteStore::open("gateway.db").await?;
//! let keys = KeyRing::load_or_generate("gateway.key", Algorithm::EdDsa)?;
//! let bridge = Bridge::builder("https://gateway.example", keys, store).build()?;
//!
//! let app: Router = Router::new()
//!     .route("/v1/whoami", get(whoami))
//!     .layer(bridge.layer("bridge")?)
//!     .nest_service("/v1/auth/bridge", bridge.service());
//! # Ok(())
//! # }
//! ```
//!
//! The host's own login puts [`SignedIn`] into the extensions of a request for `POST /v1/auth/bridge/code`.
//!
//! # A hyper app
//!
//! ```no_run
//! use std::convert::Infallible;
//! use bridge_auth::store::SqliteStore;
//! use bridge_auth::token::{Algorithm, KeyRing};
//! use bridge_auth::{Bridge, Caller};
//! use bytes::Bytes;
//! use http_body_util::Full;
//! use hyper::body::Incoming;
//! use hyper::{Request, Response};
//! use hyper_util::rt::{TokioExecutor, TokioIo};
//! use hyper_util::server::conn::auto;
//! use hyper_util::service::TowerToHyperService;
//! use tower::{Layer, service_fn};
//!
//! async fn whoami(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
//!     let caller: &Caller = request.extensions().get().expect("the layer let the request in");
//!     Ok(Response::new(Full::from(caller.user_id().to_string())))
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let store = SqliteStore::open("gateway.db").await?;
//! let keys = KeyRing::load_or_generate("gateway.key", Algorithm::EdDsa)?;
//! let bridge = Bridge::builder("https://gateway.example", keys, store).build()?;
//! let service = TowerToHyperService::new(bridge.layer("bridge")?.layer(service_fn(whoami)));
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! loop {
//!     let (stream, _) = listener.accept().await?;
//!     let service = service.clone();
//!     tokio::spawn(async move {
//!         let server = auto::Builder::new(TokioExecutor::new());
//!         let _ = server.serve_connection(TokioIo::new(stream), service).await;
//!     });
//! }
//! # }
//! ```
//!
//! # What is promised
//!
//! Once a revocation has been acknowledged, no request sent afterwards is let in on what it revoked, on any gateway
//! that shares the database. Of any number of exchanges of one code exactly one succeeds. A store that cannot
//! answer means 503, never 200, and never that a good credential is bad. No panic is reachable from a request.
//!
//! # Metrics
//!
//! With the feature `metrics`, through the facade of that name. What is counted by something has it in the label `reason`.
//! All gauges and histograms are of the process: where it has several bridges, they share them. [`Bridge::watch_status`]
//! tells the same of one bridge. Install the recorder before the first store is opened.
//!
#![doc = include_str!("telemetry/metrics.md")]
//!
//! [`WatchStatus::age`]: session::WatchStatus::age
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod audience;
pub mod authenticate;
mod background;
mod bridge;
pub mod caller;
pub mod clock;
mod csrf;
pub mod external_issuer;
#[cfg(feature = "axum")]
pub mod extract;
pub mod guide;
pub mod header;
pub mod id;
pub mod issue;
pub mod layer;
mod layer_verdict;
pub mod rate_limit;
pub mod rejection;
mod request_context;
pub mod service;
pub mod session;
pub mod store;
mod telemetry;
pub mod token;
mod validate;

#[doc(inline)]
pub use bridge::{Bridge, BridgeBuilder};
#[doc(inline)]
pub use caller::Caller;
#[cfg(feature = "axum")]
#[doc(inline)]
pub use extract::Granted;
#[doc(inline)]
pub use id::{Scopes, SessionId, UserId};
#[doc(inline)]
pub use issue::SignedIn;
#[doc(inline)]
pub use layer::BridgeAuthLayer;
#[doc(inline)]
pub use rejection::Rejection;
#[doc(inline)]
pub use session::Freshness;
#[doc(inline)]
pub use validate::BuildError;

/// The README's code compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
