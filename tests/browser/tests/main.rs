//! What people do in a browser, each as a test.

#![allow(clippy::unwrap_used)]

mod authorize;
mod device;
mod devices;
mod harness;
mod mcp;
mod operators;
mod other_sites;
mod passkey;
mod samples;
mod stock;
mod without_script;
