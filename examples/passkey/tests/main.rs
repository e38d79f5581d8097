//! The login with passkeys, as a browser with an authenticator uses it.

#![allow(unreachable_pub, reason = "tests export nothing")]
#![allow(clippy::unwrap_used, reason = "a test that panics fails, and that is what it is for")]

mod authenticator;
#[allow(dead_code, reason = "the tests of the crate use all of it")]
#[path = "../../../tests/support/backend.rs"]
mod backend;
#[allow(dead_code, reason = "the tests of the crate use all of it")]
#[path = "../../../tests/support/postgres.rs"]
mod postgres;
mod refused;
mod several_gateways;
mod signs_in;
mod support;

use self::backend::Backend;
