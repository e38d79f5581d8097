//! The login with OpenID Connect, against a small provider, over real sockets.

#![allow(unreachable_pub, reason = "tests export nothing")]
#![allow(clippy::unwrap_used, reason = "a test that panics fails, and that is what it is for")]

mod provider;
mod refused;
mod signs_in;
mod support;
