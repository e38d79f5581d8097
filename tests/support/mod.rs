//! What the tests stand on.

mod backend;

pub use backend::Backend;
