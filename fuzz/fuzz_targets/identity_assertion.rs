//! Identity assertions that the key of a trusted issuer has signed, with any header and any claims, at the token endpoint.

#![no_main]
#![allow(clippy::unwrap_used, reason = "a panic is what a fuzzer looks for")]

use bridge_auth_fuzz::{AGENT_SECRET, Gateway, ISSUER, answer_is_sound};
use http::Request;
use http_body_util::Full;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let gateway = Gateway::get();
    let Some((assertion, payload)) = gateway.signed_by_trusted(bytes) else { return };
    let asked = Request::post("/token")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::from(format!(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&client_id=agent\
             &client_secret={AGENT_SECRET}&assertion={assertion}"
        )))
        .unwrap();
    let answer = gateway.ask(gateway.bridge.service(), asked);
    answer_is_sound(&answer);
    if answer.status() == 200 {
        let claims: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!((&claims["iss"], &claims["client_id"]), (&"https://idp.example".into(), &"agent".into()));
        assert!(
            claims["aud"] == ISSUER || claims["aud"] == serde_json::json!([ISSUER]),
            "for this issuer alone"
        );
        assert!(
            claims["exp"].as_f64().unwrap() - claims["iat"].as_f64().unwrap() <= 301.0,
            "for five minutes"
        );
        assert!(claims["nonce"].is_null() && claims["events"].is_null(), "it is no other kind of token");
    }
});
