//! Rejections: why a request is refused, and what the caller is told about it.

mod body;
mod challenge;
mod format;
mod reason;

pub(crate) use body::problem;
pub use body::{ProblemJson, RejectionBody};
pub(crate) use challenge::Challenge;
pub(crate) use format::RejectionFormat;
pub use reason::{InvalidCredential, MalformedCredential, Rejection};
