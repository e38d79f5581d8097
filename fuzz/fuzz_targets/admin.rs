//! The operators' endpoints and pages.

#![no_main]

use bridge_auth::service::Operator;
use bridge_auth_fuzz::{Gateway, answer_is_sound, request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let gateway = Gateway::get();
    let live = gateway.live();
    let Some(mut asked) = request(bytes, &live.filled_in()) else { return };
    asked.extensions_mut().insert(Operator::new("root"));
    answer_is_sound(&gateway.ask(gateway.bridge.admin_service(), asked));
});
