//! What a transmitter of security events answers: about itself, its streams, their status, and polls.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| bridge_auth::external_issuer::fuzz_answers(bytes));
