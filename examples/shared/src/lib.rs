//! What several examples need.

pub mod hop_by_hop;
pub mod return_to;
pub mod stop;
