//! The pages: queries and forms of a person who has signed in.

#![no_main]

use bridge_auth_fuzz::Gateway;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| Gateway::get().answers_alice_and_nobody(bytes));
