//! What a host tells about its own people: who is signed in, and who is an operator.
//!
//! A host has a login of its own. [`SignInLayer`] asks it for the person behind each request, for the endpoints that a
//! signed-in person calls. [`OperatorLayer`] asks it for the operator, and lets nobody else in.
//!
//! ```
//! use bridge_auth::host_login::{OperatorLayer, SignInLayer};
//! use bridge_auth::service::Operator;
//! use bridge_auth::{Bridge, SignedIn};
//! # use http::request::Parts;
//! # fn person_of_cookie(_: &Parts) -> Option<SignedIn> { None }
//! # fn team_member(_: &Parts) -> Option<String> { None }
//!
//! fn app(bridge: &Bridge) -> axum::Router {
//!     let people = axum::Router::new()
//!         .nest_service("/v1/auth/bridge", bridge.service())
//!         .layer(SignInLayer::new(person_of_cookie));
//!     let operators = axum::Router::new()
//!         .nest_service("/admin", bridge.admin_service())
//!         .layer(OperatorLayer::new(|parts| team_member(parts).map(Operator::new)));
//!     people.merge(operators)
//! }
//! ```
//!
//! # Where they belong in the stack
//!
//! Each stands directly around the services that read what it inserts. Put tracing, time-outs and limits outside of it.
//! Put your login's own middleware (a session layer) outside of it too, if the closure reads what that middleware
//! inserts. A layer of this kind is the one authority on its value: it removes what was in the extensions before, also
//! when nobody is found. So of two nested layers the inner one counts.

mod answers;
mod future;
mod judge;
mod login_fault;
mod operator_layer;
mod service;
mod sign_in_layer;

pub use future::IdentifyFuture;
pub use login_fault::LoginFault;
pub use operator_layer::{FoundOperator, OperatorLayer};
pub use service::Identify;
pub use sign_in_layer::SignInLayer;

#[cfg(test)]
mod tests;
