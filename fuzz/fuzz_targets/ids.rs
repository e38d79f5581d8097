//! The typed ids, scopes, trace ids and secrets: what is read is written as it was.

#![no_main]
#![allow(clippy::unwrap_used, reason = "a panic is what a fuzzer looks for")]

use bridge_auth::id::{
    ClientId, ClientSecret, CodeChallenge, CodeVerifier, ExchangeCode, RefreshToken, SessionId, TraceId,
    UserCode,
};
use bridge_auth::token::VerifyingKey;
use bridge_auth::{Scopes, UserId};
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(id) = UserId::parse(text) {
        assert_eq!(id.as_str(), text);
        let _ = id.to_header_value();
        let _ = ClientId::for_hooks_of(&id).to_header_value();
    }
    if let Ok(id) = SessionId::parse(text) {
        assert_eq!(id.as_str(), text);
    }
    if let Ok(id) = ClientId::parse(text) {
        assert_eq!(id.as_str(), text);
    }
    if let Ok(scopes) = Scopes::parse(text) {
        assert_eq!(Scopes::parse(scopes.to_string()).unwrap(), scopes);
        assert!(scopes.contains_all(&scopes) && scopes.intersection(&scopes) == scopes);
    }
    if let Ok(code) = UserCode::parse(text) {
        assert_eq!(UserCode::parse(code.as_letters()).unwrap().as_letters(), code.as_letters());
    }
    if let Some(trace) = TraceId::parse(text) {
        assert_eq!(TraceId::parse(trace.as_str()), Some(trace));
    }
    if let Ok(code) = ExchangeCode::parse(text) {
        assert_eq!(code.expose(), text);
    }
    let _ = (
        CodeVerifier::parse(text),
        CodeChallenge::parse(text),
        ClientSecret::parse(text),
        RefreshToken::parse(text),
    );
    let _ = VerifyingKey::from_jwk(text);
    let mut lines = HeaderMap::new();
    for (name, line) in
        ["traceparent", "tracestate", "x-trace-id"].into_iter().zip(bytes.split(|byte| *byte == b'\n'))
    {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            lines.append(name, value);
        }
    }
    assert_eq!(TraceId::continue_from(&mut lines).as_str().len(), 32);
});
