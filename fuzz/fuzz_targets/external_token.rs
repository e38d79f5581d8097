//! Tokens that the key of a trusted issuer has signed, with any header and any claims.

#![no_main]
#![allow(clippy::unwrap_used, reason = "a panic is what a fuzzer looks for")]

use std::time::{SystemTime, UNIX_EPOCH};

use bridge_auth::Rejection;
use bridge_auth_fuzz::{Gateway, bearer, halves};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let gateway = Gateway::get();
    let Some((header, payload)) = halves(bytes, &[("{kid}", "theirs")]) else { return };
    let token = gateway.trusted.sign(&header, &payload);
    let Some(headers) = bearer(&token) else { return };
    let outcome = gateway.wait(gateway.bridge.authenticator("bridge").unwrap().authenticate(&headers));
    assert!(outcome.is_err(), "an issuer that maps no sessions has no callers with one");
    if let Err(Rejection::ExternalCaller { .. }) = outcome {
        let claims: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(claims["iss"], "https://idp.example");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        assert!(claims["exp"].as_f64().unwrap() > now - 1.0, "an expired token is refused");
        assert!(claims.get("nonce").is_none(), "an ID token is no access token");
    }
});
