//! What people do in a browser, each as a test.

#![allow(clippy::unwrap_used)]

mod harness;
