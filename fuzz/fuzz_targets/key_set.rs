//! The key set that a trusted issuer publishes.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| bridge_auth::token::fuzz_key_set(bytes));
