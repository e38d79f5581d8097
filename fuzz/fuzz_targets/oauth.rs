//! The OAuth endpoints: forms, `Basic`, and the addresses that proxies write.

#![no_main]

use bridge_auth_fuzz::{Gateway, answer_is_sound, request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let gateway = Gateway::get();
    let live = gateway.live();
    for bridge in [&gateway.bridge, &gateway.behind_forwarded] {
        let Some(asked) = request(bytes, &live.filled_in()) else { return };
        answer_is_sound(&gateway.ask(bridge.service(), asked));
    }
});
