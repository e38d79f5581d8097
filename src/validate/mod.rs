//! The checks that refuse an unsafe configuration at start. Each group of settings is beside the code that it sets, and
//! calls these checks.

#[cfg(feature = "serde")]
pub(crate) mod duration_text;
mod error;
mod range;
mod text;
mod url;

pub use error::BuildError;
pub(crate) use range::{Setting, check_count, check_deadline, check_life};
pub(crate) use text::{check_path_prefix, check_realm, is_quotable};
pub(crate) use url::{check_endpoint, check_issuer, check_origin, is_safe};
