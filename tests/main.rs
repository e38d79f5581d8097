//! Whole services and real databases: one file a behaviour.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod audit;
mod canary;
mod cancellation;
mod checker;
mod clocks;
mod csrf;
mod discovery;
mod endpoints;
mod examples;
mod exchange;
mod extractors;
mod faults;
mod freshness;
mod hostile_requests;
mod layer;
mod mounting;
mod oauth;
mod openapi;
mod operators;
mod postgres_faults;
mod postgres_tls;
mod requests;
mod revocation;
mod rotation;
mod store;
mod support;
mod tokens;
