//! Rejections: why a request is refused, and what the caller is told about it.

mod challenge;
mod error_body;
mod format;
mod reason;
mod refusal;

pub(crate) use challenge::Challenge;
pub(crate) use error_body::problem;
pub use error_body::{ProblemJson, RejectionBody};
pub(crate) use format::RejectionFormat;
pub use reason::{InvalidCredential, MalformedCredential, Rejection};
pub(crate) use refusal::Refusal;
