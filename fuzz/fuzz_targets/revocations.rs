//! Security events, logout tokens and requests for a global revocation, signed by the key of a trusted issuer, with any header and
//! any claims.

#![no_main]
#![allow(clippy::unwrap_used, reason = "a panic is what a fuzzer looks for")]

use bridge_auth_fuzz::{Gateway, answer_is_sound};
use http::Request;
use http_body_util::Full;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let gateway = Gateway::get();
    let Some((message, payload)) = gateway.signed_by_trusted(bytes) else { return };
    let event = Request::post("/events")
        .header("content-type", "application/secevent+jwt")
        .body(Full::from(message.clone()));
    let logout = Request::post("/backchannel-logout")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::from(format!("logout_token={message}")));
    let subject =
        serde_json::from_slice::<Value>(&payload).ok().and_then(|claims| claims.get("sub_id").cloned());
    let global = Request::post("/global-token-revocation")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {message}"))
        .body(Full::from(serde_json::json!({ "sub_id": subject }).to_string()));
    let answers = [event, logout, global].map(|asked| {
        let Ok(asked) = asked else { return false };
        let answer = gateway.ask(gateway.bridge.revocations_service(), asked);
        answer_is_sound(&answer);
        answer.status().is_success()
    });
    assert!(answers.iter().filter(|taken| **taken).count() <= 1, "a message is of one kind: {answers:?}");
});
