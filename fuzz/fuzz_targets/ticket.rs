//! Tickets of the consent page that the gateway's own key has signed, with any header and any content.

#![no_main]
#![allow(clippy::unwrap_used, reason = "a panic is what a fuzzer looks for")]

use bridge_auth_fuzz::{Gateway, ISSUER, answer_is_sound, halves};
use http::Request;
use http_body_util::Full;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let gateway = Gateway::get();
    let key_id = gateway.own.key_id();
    let Some((header, payload)) = halves(bytes, &[("{kid}", &key_id), ("{issuer}", ISSUER)]) else { return };
    let ticket = gateway.own.sign(&header, &payload);
    for path in ["/authorize", "/device"] {
        let mut asked = Request::post(path)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("origin", ISSUER)
            .body(Full::from(format!("ticket={ticket}&decision=allow")))
            .unwrap();
        Gateway::sign_in(&mut asked);
        answer_is_sound(&gateway.ask(gateway.bridge.service(), asked));
    }
});
