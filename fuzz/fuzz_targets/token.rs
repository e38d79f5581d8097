//! Tokens that the gateway's own key has signed, with any header and any claims.

#![no_main]
#![allow(clippy::unwrap_used, reason = "a panic is what a fuzzer looks for")]

use std::time::{SystemTime, UNIX_EPOCH};

use bridge_auth::Rejection;
use bridge_auth_fuzz::{Gateway, ISSUER, bearer, halves};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let gateway = Gateway::get();
    let live = gateway.live();
    let key_id = gateway.own.key_id();
    let filled_in = [("{kid}", &*key_id), ("{session}", &live.session), ("{issuer}", ISSUER)];
    let Some((header, payload)) = halves(bytes, &filled_in) else { return };
    let token = gateway.own.sign(&header, &payload);
    let Some(headers) = bearer(&token) else { return };
    let outcome = gateway.wait(gateway.bridge.authenticator("bridge").unwrap().authenticate(&headers));
    match outcome {
        Ok(caller) => {
            let header: Value = serde_json::from_slice(&header).unwrap();
            let claims: Value = serde_json::from_slice(&payload).unwrap();
            assert_eq!(header.as_object().unwrap().len(), 3, "alg, kid and typ alone");
            assert_eq!(claims["iss"], ISSUER);
            assert_eq!(claims["sub"], caller.user_id().as_str());
            assert_eq!(claims["sid"], caller.session_id().as_str());
            assert!(
                claims["aud"] == "bridge" || claims["aud"].as_array().unwrap().contains(&"bridge".into())
            );
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
            assert!(claims["exp"].as_f64().unwrap() > now - 1.0, "an expired token is refused");
            assert!(claims["iat"].as_f64().unwrap() < now + 61.0, "a token of the future is refused");
        }
        Err(Rejection::Unavailable { .. }) => panic!("the store is well"),
        Err(_) => {}
    }
});
