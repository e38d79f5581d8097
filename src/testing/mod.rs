//! A bridge for unit tests of a host's own handlers (feature `testing`).
//!
//! A handler takes a [`Caller`](crate::Caller), and only the guard can make one. So a test lets the guard make it:
//! [`TestBridge`] is a real [`Bridge`](crate::Bridge) with its layer and endpoints. It has a store in memory, and a clock
//! that stands still until the test moves it. There are no files, no sockets and no waiting, and one test takes some
//! milliseconds.
//!
//! ```
//! use axum::{Router, body::Body, routing::get};
//! use bridge_auth::testing::{TestBridge, refusal};
//! use bridge_auth::{Bridge, Caller};
//! use http::{Request, StatusCode};
//! use tower::ServiceExt as _;
//!
//! /// The app under test: in your gateway this function is in `src`.
//! fn app(bridge: &Bridge) -> Router {
//!     Router::new()
//!         .route("/whoami", get(async |caller: Caller| caller.user_id().to_string()))
//!         .layer(bridge.layer("bridge").unwrap())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! // In a `#[tokio::test]`:
//! let bridges = TestBridge::new().await;
//! let mut request = Request::get("/whoami").body(Body::empty()).unwrap();
//! let access = bridges.authorize(&mut request, "alice", "models:call").await;
//! let answer = app(bridges.bridge()).oneshot(request).await.unwrap();
//! assert_eq!(answer.status(), StatusCode::OK);
//!
//! // Her sessions end, and the same token is refused.
//! bridges.revoke("alice").await;
//! let mut request = Request::get("/whoami").body(Body::empty()).unwrap();
//! bridges.authorize_with(&mut request, &access);
//! let answer = app(bridges.bridge()).oneshot(request).await.unwrap();
//! assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
//! assert_eq!(refusal(&answer), Some("session_revoked"));
//! # }
//! ```
//!
//! Turn the feature on for tests alone:
//!
//! ```toml
//! [dev-dependencies]
//! bridge-auth = { version = "0.1", features = ["testing"] }
//! ```
//!
//! The feature only adds this module. It changes nothing in a bridge that a program makes with
//! [`Bridge::builder`](crate::Bridge::builder).

mod test_bridge;

pub use test_bridge::{TestBridge, refusal};

#[cfg(test)]
mod tests;
