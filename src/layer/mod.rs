//! The guard as tower middleware: a thin skin over [`Authenticator`](crate::Authenticator).
//!
//! # Where it belongs in the stack
//!
//! Outside of it belongs what must see refused requests too: tracing, metrics, time-outs, load shedding,
//! rate limits. Inside belongs what may trust the caller. A layer of a router guards only the routes the
//! router has when the layer is added; with axum, put it on with `Router::layer` after the last route,
//! or with `route_layer` when unknown paths shall stay 404.
//!
//! Layers of one bridge may be nested, say an optional one around the whole app and a stricter one around
//! some routes: the inner one takes the outer one's verdict on the same request and adds its own
//! requirements. So an outer layer must admit hook clients ([`BridgeAuthLayer::admit_hook_clients`]) for an inner one
//! to see them.
//!
//! # gRPC
//!
//! A call of gRPC or gRPC-Web, a `POST` known by its `Content-Type`, is refused with a status of gRPC
//! ([`Rejection`](crate::Rejection) lists them) in an answer without a body, the challenge among its metadata. With
//! tonic, a service keeps its name through `tonic::service::LayerExt::named_layer`, and its methods find the
//! [`Caller`](crate::Caller) in `request.extensions()`.

mod body;
mod conceal;
mod decide;
mod future;
mod grpc;
#[allow(clippy::module_inception)]
mod layer;
mod service;

pub use body::ResponseBody;
pub use future::ResponseFuture;
pub(crate) use future::{keep_from_shared_caches, without_body};
pub use layer::BridgeAuthLayer;
pub use service::BridgeAuth;
