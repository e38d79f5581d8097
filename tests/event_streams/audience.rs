//! Streams whose audience the transmitter assigns.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use bridge_auth::external_issuer::{EventStream, SecurityEvents};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::transmitter::{AUDIENCE, SESSION_REVOKED, TOKEN, Transmitter};
use super::{REVOCATIONS, polled, same_id, serve, stream_of, trusted_with, until};
use crate::support::bridge::builder;
use crate::support::gateway::Gateway;
use crate::support::{Backend, SqliteBackend};

async fn gateway(
    backend: &impl Backend,
    transmitter: &Transmitter,
    stream: impl FnOnce(String) -> EventStream,
) -> Gateway {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let endpoint = format!("http://{}{REVOCATIONS}/events", listener.local_addr().unwrap());
    let events = SecurityEvents::of_stream(stream(endpoint));
    serve(listener, builder(backend).await.trust(trusted_with(transmitter, same_id, events)))
}

#[tokio::test]
async fn m9_events_for_the_audience_that_the_transmitter_assigned_are_done_and_no_others() {
    let push = |endpoint| EventStream::push(|| TOKEN.to_owned(), endpoint);
    for (is_pushed, stream) in [(false, (|_| polled()) as fn(String) -> EventStream), (true, push)] {
        let (backend, transmitter) = (SqliteBackend::start().await, Transmitter::start().await);
        transmitter.given(json!({ "assignsAudience": true })).await;
        let gateway = gateway(&backend, &transmitter, stream).await;
        let (alice, bob) = (gateway.link("alice").await, gateway.link("bob").await);
        let stream = stream_of(&gateway.bridge, &transmitter);
        until("the stream is verified", async || stream.health().verified_at.is_some()).await;
        for other in [json!(AUDIENCE), json!("a-receiver/another"), json!("a-receiver"), json!("")] {
            let said =
                transmitter.says_with(SESSION_REVOKED, "bob", &json!({ "claims": { "aud": other } })).await;
            if is_pushed {
                // The stream may have been set up anew by another gateway.
                assert_eq!(said["status"], if other == "" { 400 } else { 503 }, "{other}: {said}");
            } else {
                let jti = said["jti"].as_str().unwrap();
                until("it is refused", async || transmitter.log().await["refused"].get(jti).is_some()).await;
            }
        }
        transmitter.says(SESSION_REVOKED, "alice").await;
        until("alice is out", async || !gateway.admits(&alice).await).await;
        assert!(gateway.admits(&bob).await);
        assert_eq!(transmitter.log().await["created"], 1);
    }
}

#[tokio::test]
async fn m9_an_event_that_is_pushed_before_the_audience_is_known_must_come_again() {
    let (backend, transmitter) = (SqliteBackend::start().await, Transmitter::start().await);
    transmitter.given(json!({ "assignsAudience": true })).await;
    let push = |endpoint| EventStream::push(|| TOKEN.to_owned(), endpoint);
    // It sends its events to a gateway that has started again, and cannot ask yet.
    let first = gateway(&backend, &transmitter, push).await;
    until("the stream is set up", async || {
        stream_of(&first.bridge, &transmitter).health().stream_id.is_some()
    })
    .await;
    let endpoint = transmitter.log().await["streams"][0]["delivery"]["endpoint_url"].clone();
    let address = endpoint.as_str().unwrap().split('/').nth(2).unwrap().to_owned();
    drop(first);
    let busy = vec![json!({ "status": 429, "headers": { "retry-after": "1" } }); 120];
    transmitter.given(json!({ "faults": busy })).await;
    let listener = rebound(&address).await;
    let events = SecurityEvents::of_stream(push(endpoint.as_str().unwrap().to_owned()));
    let second = serve(listener, builder(&backend).await.trust(trusted_with(&transmitter, same_id, events)));
    let alice = second.link("alice").await;
    let said = transmitter.says(SESSION_REVOKED, "alice").await;
    assert_eq!(said["status"], 503, "{said}");
    assert!(second.admits(&alice).await);
    transmitter.given(json!({ "faults": [] })).await;
    let stream = stream_of(&second.bridge, &transmitter);
    until("the stream is set up", async || stream.health().stream_id.is_some()).await;
    let said = transmitter.says(SESSION_REVOKED, "alice").await;
    assert_eq!(said["status"], 202, "{said}");
    assert!(!second.admits(&alice).await);
}

/// The address of a gateway that has ended.
async fn rebound(address: &str) -> TcpListener {
    let start = Instant::now();
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) => assert!(start.elapsed() < Duration::from_secs(10), "{error}"),
        }
        sleep(Duration::from_millis(20)).await;
    }
}
