//! A stream on which nothing comes says so, and what comes on it in a crowd is not held back.

use std::net::Ipv4Addr;

use serde_json::json;
use tokio::net::TcpListener;

use super::transmitter::{SESSION_REVOKED, Transmitter};
use super::{gateway, polled, same_id, serve, stream_of, trusted, until};
use crate::support::bridge::builder;
use crate::support::{Backend, SqliteBackend};

#[tokio::test]
async fn m9_a_stream_that_is_about_nobody_is_a_fault_that_says_what_to_do() {
    let (backend, transmitter) = (SqliteBackend::start().await, Transmitter::start().await);
    transmitter.given(json!({ "defaultSubjects": "NONE" })).await;
    let first = gateway(&backend, &transmitter, polled()).await;
    let stream = stream_of(&first.bridge, &transmitter);
    until("the stream is verified", async || stream.health().verified_at.is_some()).await;
    let fault = stream.health().fault.unwrap();
    assert!(fault.contains("default_subjects") && fault.contains("EventStream::stream_id"), "{fault}");
    // Whoever names the stream has set it up.
    let named = polled().stream_id(stream.health().stream_id.unwrap());
    let second = gateway(&SqliteBackend::start().await, &transmitter, named).await;
    let stream = stream_of(&second.bridge, &transmitter);
    until("the stream is set up", async || stream.health().stream_id.is_some()).await;
    assert_eq!(stream.health().fault, None);
}

#[tokio::test]
async fn m9_a_stream_that_the_transmitter_pauses_is_a_fault_until_it_is_enabled() {
    let (backend, transmitter) = (SqliteBackend::start().await, Transmitter::start().await);
    let gateway = gateway(&backend, &transmitter, polled()).await;
    let stream = stream_of(&gateway.bridge, &transmitter);
    until("the stream is verified", async || stream.health().verified_at.is_some()).await;
    assert_eq!(stream.health().fault, None);
    for status in ["paused", "disabled"] {
        transmitter.updates(status, "licence expired").await;
        until("there is a fault", async || {
            let fault = stream.health().fault.unwrap_or_default();
            fault.contains(status) && fault.contains("licence expired")
        })
        .await;
    }
    transmitter.updates("enabled", "").await;
    until("the fault is over", async || stream.health().fault.is_none()).await;
    // Another stream is no business of this one.
    let other = json!({ "events": { STREAM_UPDATED: { "status": "paused" } }, "subject": { "format": "opaque", "id": "another" } });
    let said = transmitter.says_with(SESSION_REVOKED, "nobody", &other).await;
    until("it is acknowledged", async || {
        transmitter.log().await["acknowledged"].as_array().unwrap().contains(&said["jti"])
    })
    .await;
    assert_eq!(stream.health().fault, None);
    assert_eq!(transmitter.log().await["refused"], json!({}));
}

const STREAM_UPDATED: &str = "https://schemas.openid.net/secevent/ssf/event-type/stream-updated";

#[tokio::test]
async fn m9_whoever_leaves_is_not_kept_inside_by_a_crowd_of_events_about_nobody() {
    const CROWD: usize = 40;
    let (backend, transmitter) = (SqliteBackend::start().await, Transmitter::start().await);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let issuer = trusted(&transmitter, same_id, polled()).revocations_per_minute(20);
    let gateway = serve(listener, builder(&backend).await.trust(issuer));
    let alice = gateway.link("alice").await;
    let stream = stream_of(&gateway.bridge, &transmitter);
    until("the stream is verified", async || stream.health().verified_at.is_some()).await;
    for number in 0..CROWD {
        let id = json!({ "claims": { "jti": format!("a{number:02}") } });
        transmitter.says_with("urn:example:unknown", "nobody", &id).await;
    }
    let last = json!({ "claims": { "jti": "z" } });
    transmitter.says_with(SESSION_REVOKED, "alice", &last).await;
    until("alice is out", async || !gateway.admits(&alice).await).await;
    let log = transmitter.log().await;
    let done = log["acknowledged"].as_array().unwrap();
    let waiting = (0..CROWD).filter(|number| !done.contains(&json!(format!("a{number:02}"))));
    assert!(waiting.count() > 0, "the crowd was done first: {log}");
    assert_eq!(log["refused"], json!({}));
}
