//! bridge-auth
pub mod clock;
pub mod header;
mod id;
pub mod store;

pub use id::*;
