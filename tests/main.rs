//! Whole services and real databases: one file a behaviour.

mod store;
mod support;
