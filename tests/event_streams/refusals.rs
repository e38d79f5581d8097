//! Events that are not good: the transmitter is told why, and nothing is done.

use serde_json::json;

use super::transmitter::{SESSION_REVOKED, Transmitter};
use super::{gateway, polled, stream_of, until};
use crate::support::{Backend, SqliteBackend};

#[tokio::test]
async fn m8_a_bad_event_of_a_stream_is_refused_with_its_code_and_does_not_come_again() {
    let (backend, transmitter) = (SqliteBackend::start().await, Transmitter::start().await);
    let gateway = gateway(&backend, &transmitter, polled()).await;
    let alice = gateway.link("alice").await;
    let stream = stream_of(&gateway.bridge, &transmitter);
    until("the stream is verified", async || stream.health().verified_at.is_some()).await;
    for (wrong, code) in [
        (json!({ "header": { "typ": "JWT" } }), "invalid_request"),
        (json!({ "header": { "typ": "at+jwt" } }), "invalid_request"),
        (json!({ "header": { "typ": "logout+jwt" } }), "invalid_request"),
        (json!({ "header": { "kid": "another" } }), "invalid_key"),
        (json!({ "stranger": true }), "invalid_key"),
        (json!({ "claims": { "aud": "https://another.example" } }), "invalid_audience"),
        (json!({ "claims": { "iss": "https://another.example" } }), "invalid_issuer"),
        (json!({ "claims": { "iat": 1_000_000_000 } }), "invalid_request"),
        (json!({ "claims": { "iat": 9_000_000_000_u64 } }), "invalid_request"),
        (json!({ "events": {} }), "invalid_request"),
        (json!({ "subject": { "format": "iss_sub", "sub": "alice" } }), "invalid_request"),
    ] {
        let said = transmitter.says_with(SESSION_REVOKED, "alice", &wrong).await;
        let jti = said["jti"].as_str().unwrap();
        until("it is refused", async || transmitter.log().await["refused"].get(jti).is_some()).await;
        let refused = &transmitter.log().await["refused"][jti];
        assert_eq!(refused["err"], code, "{wrong}: {refused}");
        assert!(!refused["description"].as_str().unwrap().is_empty());
        assert!(gateway.admits(&alice).await, "{wrong}");
    }
    // The stream works all the same.
    transmitter.says(SESSION_REVOKED, "alice").await;
    until("alice is out", async || !gateway.admits(&alice).await).await;
}

#[tokio::test]
async fn m9_a_verification_event_with_another_state_is_refused_with_invalid_state() {
    let (backend, transmitter) = (SqliteBackend::start().await, Transmitter::start().await);
    transmitter.given(json!({ "wrongState": true })).await;
    let gateway = gateway(&backend, &transmitter, polled()).await;
    let stream = stream_of(&gateway.bridge, &transmitter);
    until("it is refused", async || transmitter.log().await["refused"] != json!({})).await;
    let log = transmitter.log().await;
    let errors: Vec<_> =
        log["refused"].as_object().unwrap().values().map(|refused| &refused["err"]).collect();
    assert_eq!(errors, ["invalid_state"]);
    assert_eq!(stream.health().verified_at, None);

    transmitter.given(json!({ "wrongState": false })).await;
    assert!(stream.verify().await.unwrap());
    until("the stream is verified", async || stream.health().verified_at.is_some()).await;
}
