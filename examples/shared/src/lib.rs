//! What several examples need.

pub mod return_to;
pub mod stop;
