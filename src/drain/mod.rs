//! What happens to the body of a request that was answered before its body was read.
//!
//! Many clients send their whole request before they read the answer. When a server closes the connection meanwhile, such
//! a client finds a broken pipe and never learns why it was refused (RFC 9112 §9.6). So the guard and the endpoints
//! answer first. Then they read the rest of the body and throw it away, up to [`DrainLimits`].
//!
//! Over HTTP/2 the server could reset the stream alone, and the client should keep the answer (RFC 9113 §8.1). But curl
//! 7.88 loses it. So bodies are drained there too. The body of a gRPC call is not: its client reads while it
//! sends, and may never stop sending.

mod answer_body;
mod draining;
mod limits;
mod unread;

pub use answer_body::AnswerBody;
pub(crate) use draining::Draining;
pub use limits::DrainLimits;
