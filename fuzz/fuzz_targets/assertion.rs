//! Client assertions with any header and any claims, at the token endpoint.

#![no_main]
#![allow(clippy::unwrap_used, reason = "a panic is what a fuzzer looks for")]

use bridge_auth_fuzz::{Gateway, ISSUER, answer_is_sound, halves};
use http::Request;
use http_body_util::Full;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let gateway = Gateway::get();
    let Some((header, payload)) = halves(bytes, &[("{issuer}", ISSUER), ("{kid}", "hook")]) else { return };
    let assertion = gateway.own.sign(&header, &payload);
    let asked = Request::post("/token")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::from(format!(
            "grant_type=client_credentials&client_assertion_type=\
             urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion={assertion}"
        )))
        .unwrap();
    let answer = gateway.ask(gateway.bridge.service(), asked);
    answer_is_sound(&answer);
    if answer.status() == 200 {
        let claims: Value = serde_json::from_slice(&payload).unwrap();
        assert!(
            claims["aud"] == ISSUER || claims["aud"] == serde_json::json!([ISSUER]),
            "for this issuer alone"
        );
        assert_eq!(claims["iss"], claims["sub"]);
    }
});
