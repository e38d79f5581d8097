//! How a stream is set up, found again, verified and deleted.

use std::time::Duration;

use bridge_auth::external_issuer::{EventStream, EventStreamError};
use serde_json::json;
use tokio::time::sleep;

use super::transmitter::{ACCOUNT_DISABLED, SESSION_REVOKED, TOKEN, Transmitter};
use super::{gateway, polled, stream_of, until};
use crate::support::{Backend, SqliteBackend};

#[tokio::test]
async fn a_gateway_creates_a_stream_and_has_it_verified() {
    let (backend, transmitter) = (SqliteBackend::start().await, Transmitter::start().await);
    let gateway = gateway(&backend, &transmitter, polled()).await;
    let stream = stream_of(&gateway.bridge, &transmitter);
    until("the stream is verified", async || stream.health().verified_at.is_some()).await;
    let log = transmitter.log().await;
    assert_eq!((&log["created"], log["streams"].as_array().unwrap().len()), (&json!(1), 1));
    let made = &log["streams"][0];
    assert_eq!(made["delivery"]["method"], "urn:ietf:rfc:8936");
    let events = made["events_requested"].as_array().unwrap();
    assert!(
        events.len() == 5
            && events.contains(&json!(SESSION_REVOKED))
            && events.contains(&json!(ACCOUNT_DISABLED))
    );
    let health = stream.health();
    assert_eq!(health.stream_id.as_deref(), made["stream_id"].as_str());
    assert!(health.fault.is_none() && health.answered_ago.is_some());
    let status = stream.status().await.unwrap().unwrap();
    assert_eq!((status.status.as_str(), status.reason), ("enabled", None));
    // The state is signed, and nobody else can know what it says.
    let state = log["verifications"][0].as_str().unwrap();
    assert_eq!(state.split('.').count(), 3);
    until("the verification event is acknowledged", async || {
        transmitter.log().await["acknowledged"].as_array().unwrap().len() == 1
    })
    .await;
}

#[tokio::test]
async fn a_gateway_that_starts_again_uses_the_stream_that_it_has() {
    let (backend, transmitter) = (SqliteBackend::start().await, Transmitter::start().await);
    let mut ids = Vec::new();
    for _ in 0..2 {
        let gateway = gateway(&backend, &transmitter, polled()).await;
        let stream = stream_of(&gateway.bridge, &transmitter);
        until("the stream is set up", async || stream.health().stream_id.is_some()).await;
        ids.push(stream.health().stream_id);
    }
    assert_eq!(ids[0], ids[1]);
    assert_eq!(transmitter.log().await["created"], 1);
}

#[tokio::test]
async fn gateways_that_start_at_the_same_moment_end_with_one_stream() {
    let (backend, transmitter) = (SqliteBackend::start().await, Transmitter::start().await);
    let mut gateways = Vec::new();
    for _ in 0..4 {
        gateways.push(gateway(&backend, &transmitter, polled()).await);
    }
    let streams: Vec<_> = gateways.iter().map(|gateway| stream_of(&gateway.bridge, &transmitter)).collect();
    until("all follow one stream", async || {
        let mut ids: Vec<_> = streams.iter().map(|stream| stream.health().stream_id).collect();
        ids.dedup();
        ids.len() == 1
            && ids[0].is_some()
            && transmitter.log().await["streams"].as_array().unwrap().len() == 1
    })
    .await;
}

#[tokio::test]
async fn a_transmitter_with_one_stream_for_each_receiver_says_which_stands_in_the_way() {
    let (backend, transmitter) = (SqliteBackend::start().await, Transmitter::start().await);
    transmitter.given(json!({ "multiple": false })).await;
    let pushed = EventStream::push(|| TOKEN.to_owned(), "http://127.0.0.1:1/events");
    let first = gateway(&backend, &transmitter, pushed).await;
    let stream = stream_of(&first.bridge, &transmitter);
    until("the stream is set up", async || stream.health().stream_id.is_some()).await;
    let second = gateway(&backend, &transmitter, polled()).await;
    let stream = stream_of(&second.bridge, &transmitter);
    until("there is a fault", async || stream.health().fault.is_some()).await;
    assert!(stream.health().fault.unwrap().contains("EventStream::stream_id"), "{:?}", stream.health());
}

#[tokio::test]
async fn a_stream_for_another_audience_is_a_fault_that_names_it_and_is_not_left_behind() {
    let (backend, transmitter) = (SqliteBackend::start().await, Transmitter::start().await);
    transmitter.given(json!({ "foreignAudience": true })).await;
    let gateway = gateway(&backend, &transmitter, polled()).await;
    let stream = stream_of(&gateway.bridge, &transmitter);
    until("there is a fault", async || stream.health().fault.is_some()).await;
    let fault = stream.health().fault.unwrap();
    assert!(fault.contains("https://another.example") && fault.contains("SecurityEvents::new"), "{fault}");
    assert!(matches!(stream.status().await, Err(EventStreamError::NotSetUp)));
    until("it was tried again", async || transmitter.log().await["created"].as_u64() > Some(2)).await;
    // One may have been created that is not deleted yet.
    until("each was deleted", async || {
        let log = transmitter.log().await;
        assert!(log["streams"].as_array().unwrap().len() <= 1, "{log}");
        log["created"] == log["deleted"] && log["streams"] == json!([])
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_could_not_be_deleted_is_deleted_before_another_is_created() {
    let (backend, transmitter) = (SqliteBackend::start().await, Transmitter::start().await);
    let fine = json!(null);
    let busy = json!({ "status": 503 });
    // The streams are listed and one is created. Then it cannot be deleted at first.
    transmitter.given(json!({ "foreignAudience": true, "faults": [fine, fine, busy] })).await;
    let gateway = gateway(&backend, &transmitter, polled()).await;
    let stream = stream_of(&gateway.bridge, &transmitter);
    until("there is a fault", async || stream.health().fault.is_some()).await;
    assert!(stream.health().fault.unwrap().contains("503"));
    until("it was tried again", async || {
        let log = transmitter.log().await;
        assert!(log["streams"].as_array().unwrap().len() <= 1, "{log}");
        log["created"].as_u64() > Some(1)
    })
    .await;
}

#[tokio::test]
async fn a_configuration_of_another_issuer_is_refused() {
    let (backend, transmitter) = (SqliteBackend::start().await, Transmitter::start().await);
    let other = Transmitter::start().await;
    let elsewhere = format!("{}/.well-known/ssf-configuration", other.issuer);
    let gateway = gateway(&backend, &transmitter, polled().configuration_url(elsewhere)).await;
    let stream = stream_of(&gateway.bridge, &transmitter);
    until("there is a fault", async || stream.health().fault.is_some()).await;
    assert!(stream.health().fault.unwrap().contains(&other.issuer));
    // The token was sent to nobody.
    for server in [&transmitter, &other] {
        let log = server.log().await;
        assert_eq!((&log["created"], &log["unauthorized"]), (&json!(0), &json!(0)));
    }
}

#[tokio::test]
async fn a_deleted_stream_is_gone_and_is_not_made_again() {
    let (backend, transmitter) = (SqliteBackend::start().await, Transmitter::start().await);
    let gateway = gateway(&backend, &transmitter, polled()).await;
    let stream = stream_of(&gateway.bridge, &transmitter);
    until("the stream is verified", async || stream.health().verified_at.is_some()).await;
    stream.delete().await.unwrap();
    gateway.bridge.maintain(Duration::from_secs(1));
    sleep(Duration::from_millis(1500)).await;
    let log = transmitter.log().await;
    assert_eq!((&log["created"], &log["deleted"], &log["streams"]), (&json!(1), &json!(1), &json!([])));
    assert!(matches!(stream.verify().await, Err(EventStreamError::NotSetUp)));
}

#[tokio::test]
async fn nothing_is_polled_once_the_bridge_is_gone() {
    let (backend, transmitter) = (SqliteBackend::start().await, Transmitter::start().await);
    transmitter.given(json!({ "holdFor": 0 })).await;
    let gateway = gateway(&backend, &transmitter, polled()).await;
    until("it is polled", async || transmitter.log().await["polls"].as_u64() > Some(3)).await;
    let stream = stream_of(&gateway.bridge, &transmitter);
    drop(gateway);
    // A handle that somebody keeps changes nothing.
    sleep(Duration::from_millis(300)).await;
    let polls = transmitter.log().await["polls"].clone();
    sleep(Duration::from_millis(500)).await;
    assert_eq!(transmitter.log().await["polls"], polls);
    drop(stream);
}
