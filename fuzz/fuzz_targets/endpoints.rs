//! The endpoints that take JSON, with and without a person who has signed in.

#![no_main]
#![allow(clippy::unwrap_used, reason = "a panic is what a fuzzer looks for")]

use bridge_auth_fuzz::{Gateway, answer_is_sound, request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let gateway = Gateway::get();
    let live = gateway.live();
    for signed_in in [true, false] {
        let Some(mut asked) = request(bytes, &live.filled_in()) else { return };
        if signed_in {
            Gateway::sign_in(&mut asked);
        }
        answer_is_sound(&gateway.ask(gateway.bridge.service(), asked));
    }
});
