//! Tower middleware, extractors and mountable endpoints that let a person's *bridge* into an AI gateway.
//!
//! A bridge is a program on a person's machine. It calls the gateway for that person. The bridge exchanges a one-time
//! **exchange code** for a short-lived JWT, a live session row and the identity headers. Then [`BridgeAuthLayer`]
//! checks the JWT **and the session row** on every request, in any tower, axum, hyper or tonic server.
//!
//! - [`Bridge`] is the object that a host gets everything from. It hands out [the layer](Bridge::layer), [the
//!   endpoints](Bridge::service), [the write side](Bridge::issuer) and [the operators' side](Bridge::admin).
//! - [`Caller`] and the other extractors are what handlers take as arguments (feature `axum`).
//! - [`Rejection`] lists every reason why the guard refuses a request, and what the caller is told.
//! - [`store`] keeps users, codes, sessions and clients: `PostgresStore` or `SqliteStore`.
//! - [`token`] holds the keys.
//! - [`external_issuer`] lets in the tokens of other authorization servers.
//! - `testing` has a bridge for unit tests of a host's own handlers (feature `testing`).
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
//! The host's own login puts [`SignedIn`] into the extensions of each request for `POST /v1/auth/bridge/code`.
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
//! - After a revoke call returns, every gateway that shares the database refuses each later request that uses what was
//!   revoked: at once with [`Freshness::Strict`], within `max_lag` with [`Freshness::Watched`].
//! - When a code is exchanged several times, exactly one exchange succeeds.
//! - When the store cannot answer and no verdict is fresh enough, the answer is 503. It never calls a good credential
//!   bad.
//! - No request can cause a panic.
//!
//! # Metrics
//!
//! The feature `metrics` reports through the `metrics` facade. Where the table says that something is counted *by* a
//! value, that value is in the label `reason`. All gauges and histograms belong to the process. Several bridges in one
//! process share them; [`Bridge::watch_status`] tells the same of one bridge. Install the recorder before you open the
//! first store.
//!
#![doc = include_str!("telemetry/metrics.md")]
//!
//! [`WatchStatus::age`]: session::WatchStatus::age
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod audience;
pub mod authenticate;
mod background_task;
mod bridge;
pub mod caller;
mod client_address;
#[cfg_attr(
    not(feature = "client-metadata"),
    allow(dead_code, reason = "without the feature nothing fetches")
)]
pub mod client_metadata;
pub mod clock;
mod csrf;
pub mod drain;
#[cfg(feature = "jwks-http")]
mod event_stream;
pub mod external_issuer;
#[cfg(feature = "axum")]
pub mod extract;
pub mod guide;
pub mod header;
pub mod host_login;
pub mod id;
pub mod issue;
pub mod layer;
mod layer_verdict;
pub mod pages;
pub mod rate_limit;
pub mod rejection;
mod request_context;
mod security_events;
pub mod service;
pub mod session;
pub mod store;
mod telemetry;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;
pub mod token;
mod validate;

#[cfg(feature = "serde")]
#[cfg_attr(docsrs, doc(cfg(feature = "serde")))]
#[doc(inline)]
pub use bridge::BridgeSettings;
#[doc(inline)]
pub use bridge::{Bridge, BridgeBuilder};
#[doc(inline)]
pub use caller::Caller;
#[cfg(feature = "axum")]
#[doc(inline)]
pub use extract::Granted;
#[doc(inline)]
pub use host_login::SignInLayer;
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
