//! What happens to the body of a request that was answered before its body was read.
//!
//! Many clients send their whole request before they read the answer. When a server closes the connection meanwhile, such
//! a client finds a broken pipe and never learns why it was refused (RFC 9112 §9.6). So the guard and the endpoints
//! answer first. Then they read the rest of the body and throw it away, up to [`DrainLimits`].
//!
//! Over HTTP/2 nothing is drained: there the server ends the stream alone, and the client keeps the answer (RFC 9113
//! §8.1).

mod answer_body;
mod limits;
mod unread;

pub use answer_body::AnswerBody;
pub use limits::DrainLimits;
pub(crate) use unread::Draining;
