//! What goes wrong on the way, and that no event is lost by it.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bridge_auth::UserId;
use bridge_auth::external_issuer::{ExternalSubject, PeopleMapper};
use bridge_auth::store::{StoreError, StoreErrorKind};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::transmitter::{SESSION_REVOKED, Transmitter};
use super::{gateway, polled, same_id, serve, stream_of, trusted, until};
use crate::support::bridge::builder;
use crate::support::{Backend, SqliteBackend};

#[tokio::test]
async fn a_transmitter_that_fails_is_asked_again_and_no_event_is_lost() {
    let (backend, transmitter) = (SqliteBackend::start().await, Transmitter::start().await);
    let gateway = gateway(&backend, &transmitter, polled()).await;
    let alice = gateway.link("alice").await;
    let stream = stream_of(&gateway.bridge, &transmitter);
    until("the stream is verified", async || stream.health().verified_at.is_some()).await;
    let faults = json!([{ "status": 503 }, { "status": 500 }, { "status": 401 }]);
    transmitter.given(json!({ "faults": faults })).await;
    transmitter.says(SESSION_REVOKED, "alice").await;
    until("alice is out", async || !gateway.admits(&alice).await).await;
    until("the fault is over", async || stream.health().fault.is_none()).await;
}

#[tokio::test]
async fn a_transmitter_is_left_alone_for_as_long_as_it_asks() {
    let (backend, transmitter) = (SqliteBackend::start().await, Transmitter::start().await);
    let busy = json!({ "status": 429, "headers": { "retry-after": "3" } });
    transmitter.given(json!({ "faults": [busy] })).await;
    let start = Instant::now();
    let gateway = gateway(&backend, &transmitter, polled()).await;
    let stream = stream_of(&gateway.bridge, &transmitter);
    until("the stream is set up", async || stream.health().stream_id.is_some()).await;
    assert!(start.elapsed() >= Duration::from_secs(3));
}

#[tokio::test]
async fn a_stream_that_the_transmitter_has_lost_is_made_again() {
    let (backend, transmitter) = (SqliteBackend::start().await, Transmitter::start().await);
    let gateway = gateway(&backend, &transmitter, polled()).await;
    let alice = gateway.link("alice").await;
    let stream = stream_of(&gateway.bridge, &transmitter);
    until("the stream is verified", async || stream.health().verified_at.is_some()).await;
    transmitter.forget().await;
    until("there is another one", async || transmitter.log().await["created"] == 2).await;
    transmitter.says(SESSION_REVOKED, "alice").await;
    until("alice is out", async || !gateway.admits(&alice).await).await;
}

/// Cannot find anybody at first.
struct Hesitant(Arc<AtomicUsize>);

#[async_trait]
impl PeopleMapper for Hesitant {
    async fn person(&self, who: &ExternalSubject) -> Result<Option<UserId>, StoreError> {
        match self.0.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => Err(StoreError::new(StoreErrorKind::Unavailable, "the directory does not answer")),
            _ => Ok(same_id(who)),
        }
    }
}

#[tokio::test]
async fn an_event_that_cannot_be_done_now_is_not_acknowledged_and_comes_again() {
    let (backend, transmitter) = (SqliteBackend::start().await, Transmitter::start().await);
    let asked = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let issuer = trusted(&transmitter, Hesitant(asked.clone()), polled());
    let gateway = serve(listener, builder(&backend).await.trust(issuer));
    let alice = gateway.link("alice").await;
    let stream = stream_of(&gateway.bridge, &transmitter);
    until("the stream is verified", async || stream.health().verified_at.is_some()).await;
    let said = transmitter.says(SESSION_REVOKED, "alice").await;
    until("it was tried", async || asked.load(Ordering::SeqCst) > 0).await;
    assert!(!transmitter.log().await["acknowledged"].as_array().unwrap().contains(&said["jti"]));
    until("alice is out", async || !gateway.admits(&alice).await).await;
    until("it is acknowledged", async || {
        transmitter.log().await["acknowledged"].as_array().unwrap().contains(&said["jti"])
    })
    .await;
    let polls = transmitter.log().await["polls"].as_u64().unwrap();
    assert!(polls < 20, "{polls} polls: it asked in a loop");
    assert_eq!(transmitter.log().await["refused"], json!({}));
}

#[tokio::test]
async fn a_transmitter_that_holds_no_poll_or_lies_or_hears_no_acknowledgement_is_not_polled_in_a_loop() {
    let (backend, transmitter) = (SqliteBackend::start().await, Transmitter::start().await);
    transmitter.given(json!({ "holdFor": 0 })).await;
    let gateway = gateway(&backend, &transmitter, polled()).await;
    let stream = stream_of(&gateway.bridge, &transmitter);
    until("the stream is verified", async || stream.health().verified_at.is_some()).await;
    for change in [json!({}), json!({ "lies": true }), json!({ "isDeaf": true })] {
        transmitter.given(change.clone()).await;
        let alice = gateway.link("alice").await;
        let before = transmitter.log().await["polls"].as_u64().unwrap();
        let start = Instant::now();
        transmitter.says(SESSION_REVOKED, "alice").await;
        until("alice is out", async || !gateway.admits(&alice).await).await;
        sleep(Duration::from_secs(1)).await;
        let polls = u128::from(transmitter.log().await["polls"].as_u64().unwrap() - before);
        // One every 90 ms at most, and what acknowledges in between.
        let most = 2 * start.elapsed().as_millis() / 90 + 4;
        assert!((3..=most).contains(&polls), "{change}: {polls} polls in {:?}", start.elapsed());
    }
}
