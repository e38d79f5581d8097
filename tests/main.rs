//! Whole services and real databases: one file a behaviour.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod canary;
mod extractors;
mod layer;
mod postgres_faults;
mod postgres_tls;
mod store;
mod support;
