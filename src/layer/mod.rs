//! The config as tower middleware: a thin skin over [`Authenticator`](crate::authenticate::Authenticator).
//!
//! # Where it belongs in the stack
//!
//! Outside of it belongs what must see refused requests too: tracing, metrics, time-outs, load shedding,
//! rate limits. Inside belongs what may trust the caller. A layer of a router guards only the routes the
//! router has when the layer is added; with axum, put it on with `Router::layer` after the last route,
//! or with `route_layer` when unknown paths shall stay 404.
//!
//! Layers of one bridge may be nested, say an optional one around the whole app and a stricter one around
//! some routes: the inner one takes the outer one's verdict on the same request, if it is not older than a second, and adds
//! its own requirements. So an outer layer must admit hook clients ([`BridgeAuthLayer::admit_hook_clients`]) for an inner one
//! to see them, and must read every place that an inner one reads the token from
//! ([`BridgeAuthLayer::token_from`]): what it does not read it takes away.
//!
//! # Where the token is not
//!
//! Behind a layer no header holds the token of the caller, wherever it was sent: of `Cookie` only the pair that holds it is
//! removed, of `Sec-WebSocket-Protocol` only the entry, of any other header the whole value. Behind an optional
//! layer that lets a request in as nobody, no header holds a token that this bridge issued. What is encoded once more
//! (Base64 in `Authorization: Basic`) is not found, and neither is what stands in the path or in the body.
//!
//! # Trailers
//!
//! Trailers (RFC 9110 §6.5) are the client's word, and come after the decision. The config reads none, neither a token nor
//! an identity header, and removes none: that would change the type of the body of every inner service. A handler must
//! not read who calls from them either, nor merge them into the headers. The [`Caller`](crate::Caller) in the extensions
//! and the extractors are as they were before the body was read.
//!
//! # gRPC
//!
//! A call of gRPC or gRPC-Web, a `POST` known by its `Content-Type`, is refused with a status of gRPC
//! ([`Rejection`](crate::Rejection) lists them) in an answer without a body, the challenge among its metadata. With
//! tonic, a service keeps its name through `tonic::service::LayerExt::named_layer`, and its methods find the
//! [`Caller`](crate::Caller) in `request.extensions()`.

mod body;
mod config;
mod decide;
mod future;
mod grpc;
#[allow(clippy::module_inception)]
mod layer;
mod response;
mod service;
mod strip_tokens;

pub use body::ResponseBody;
pub use future::ResponseFuture;
pub use layer::BridgeAuthLayer;
pub(crate) use response::{keep_from_shared_caches, without_body};
pub use service::BridgeAuth;
