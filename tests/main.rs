//! Whole services and real databases: one file a behaviour.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod store;
mod support;
