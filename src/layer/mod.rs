//! The guard as tower middleware: a thin cover over [`Authenticator`](crate::authenticate::Authenticator).
//!
//! # Where it belongs in the stack
//!
//! Put outside of it what must see refused requests too: tracing, metrics, time-outs, load shedding, rate limits. Put
//! inside of it what may trust the caller. A router layer guards only the routes that the router has when you add the
//! layer. With axum, call `Router::layer` after the last route, or `route_layer` when unknown paths must stay 404.
//!
//! You can nest layers of one bridge: for example an optional layer around the whole app and a stricter layer around
//! some routes. The inner layer takes the verdict of the outer layer on the same request, when that verdict is at most
//! one second old, and checks its own requirements. So an outer layer must
//!
//! - admit hook clients ([`BridgeAuthLayer::admit_hook_clients`]), when an inner layer must see them,
//! - read every place that an inner layer reads the token from ([`BridgeAuthLayer::token_from`]), because it removes a
//!   token from a place that it does not read.
//!
//! # Where the token is not
//!
//! Behind a layer, no header holds the caller's token, wherever it was sent. From `Cookie` the layer removes only the
//! pair that holds the token, from `Sec-WebSocket-Protocol` only the entry, from any other header the whole value. When
//! an optional layer lets a request in as anonymous, no header holds a token that this bridge issued.
//!
//! The layer does not find a token that is encoded once more (Base64 in `Authorization: Basic`), nor a token in the
//! path or in the body.
//!
//! # Trailers
//!
//! Trailers (RFC 9110 §6.5) are written by the client and come after the decision. The layer reads neither a token nor
//! an identity header from them. It removes nothing from them either, because that would change the body type of every
//! inner service. A handler must not read from them who calls, and must not merge them into the headers. The
//! [`Caller`](crate::Caller) in the extensions and the extractors stay as they were before the body was read.
//!
//! # gRPC
//!
//! A call of gRPC or gRPC-Web is a `POST` with a `Content-Type` of gRPC. The layer refuses it with a gRPC status
//! ([`Rejection`](crate::Rejection) lists them), in an answer without a body. The challenge is in its metadata. With
//! tonic, a service keeps its name through `tonic::service::LayerExt::named_layer`. Its methods find the
//! [`Caller`](crate::Caller) in `request.extensions()`.

mod decide;
mod future;
mod grpc;
#[allow(clippy::module_inception)]
mod layer;
mod response;
mod response_body;
mod service;
mod settings;
mod stream_end;
mod strip_tokens;

pub use future::ResponseFuture;
pub use layer::BridgeAuthLayer;
pub(crate) use response::{keep_from_shared_caches, without_body};
pub use response_body::ResponseBody;
pub use service::BridgeAuth;
pub(crate) use service::take_ready;
pub use stream_end::StreamEnded;
