//! Whole services and real databases: one file a behaviour.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod architecture;
mod audit;
mod canary;
mod checker;
mod clocks;
mod csrf;
mod devices;
mod discovery;
mod drill;
mod endpoints;
mod examples;
mod exchange;
mod external_issuer;
mod extractors;
mod faults;
mod freshness;
mod layer;
#[cfg(feature = "metrics")]
mod metrics;
mod mounting;
mod oauth;
mod openapi;
mod operators;
mod permissions;
mod postgres_faults;
mod postgres_pooler;
mod postgres_start;
mod postgres_tls;
mod provisioning;
mod refresh;
mod refresh_faults;
mod requests;
mod revocation;
mod rotation;
mod rows;
mod seen_rows;
mod statements;
mod stock_postgres;
mod store;
mod support;
mod ticks;
mod token_from;
mod tokens;
mod two_primaries;
