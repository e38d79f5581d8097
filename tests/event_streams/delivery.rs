//! What events do, polled and pushed.

use std::net::Ipv4Addr;

use bridge_auth::external_issuer::EventStream;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use http::StatusCode;
use http::header::COOKIE;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::transmitter::{ACCOUNT_DISABLED, SESSION_REVOKED, TOKEN, Transmitter};
use super::{REVOCATIONS, gateway, polled, same_id, serve, stream_of, trusted, until};
use crate::support::bridge::{builder, builder_with};
use crate::support::gateway::{Gateway, send};
use crate::support::{Backend, PostgresBackend, SqliteBackend};

const COMPLIANCE: &str = "https://schemas.openid.net/secevent/caep/event-type/device-compliance-change";

async fn is_acknowledged(transmitter: &Transmitter, said: &Value) -> bool {
    transmitter.log().await["acknowledged"].as_array().unwrap().contains(&said["jti"])
}

/// Whether `person` gets a code from the gateway.
async fn may_link(gateway: &Gateway, person: &str) -> bool {
    let answer = send(gateway.post("/code", &json!({})).header(COOKIE, format!("login={person}"))).await;
    answer.status == StatusCode::CREATED
}

#[tokio::test]
async fn m9_whoever_leaves_is_out_once_the_event_is_polled_and_then_it_is_acknowledged() {
    let (backend, transmitter) = (SqliteBackend::start().await, Transmitter::start().await);
    let gateway = gateway(&backend, &transmitter, polled()).await;
    let (alice, bob) = (gateway.link("alice").await, gateway.link("bob").await);
    let stream = stream_of(&gateway.bridge, &transmitter);
    until("the stream is set up", async || stream.health().stream_id.is_some()).await;

    let said = transmitter.says(SESSION_REVOKED, "alice").await;
    until("it is acknowledged", async || is_acknowledged(&transmitter, &said).await).await;
    assert!(!gateway.admits(&alice).await && gateway.admits(&bob).await);
    assert!(may_link(&gateway, "alice").await, "the event has ended sessions, and no more");

    let said = transmitter.says(ACCOUNT_DISABLED, "bob").await;
    until("it is acknowledged", async || is_acknowledged(&transmitter, &said).await).await;
    assert!(!gateway.admits(&bob).await && !may_link(&gateway, "bob").await);
    assert_eq!(transmitter.log().await["refused"], json!({}));
}

#[tokio::test]
async fn m9_an_event_that_does_nothing_here_and_one_of_a_stranger_are_acknowledged() {
    let (backend, transmitter) = (SqliteBackend::start().await, Transmitter::start().await);
    let gateway = gateway(&backend, &transmitter, polled()).await;
    let alice = gateway.link("alice").await;
    let stream = stream_of(&gateway.bridge, &transmitter);
    until("the stream is set up", async || stream.health().stream_id.is_some()).await;
    for (event, person) in
        [(COMPLIANCE, "alice"), ("urn:example:unknown", "alice"), (SESSION_REVOKED, "nobody")]
    {
        let said = transmitter.says(event, person).await;
        until("it is acknowledged", async || is_acknowledged(&transmitter, &said).await).await;
    }
    assert!(gateway.admits(&alice).await);
    assert_eq!(transmitter.log().await["refused"], json!({}));
}

#[tokio::test]
async fn m8_a_stream_may_be_pushed_and_its_verification_event_is_pushed_too() {
    let (backend, transmitter) = (SqliteBackend::start().await, Transmitter::start().await);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let endpoint = format!("http://{}{REVOCATIONS}/events", listener.local_addr().unwrap());
    let stream = EventStream::push(|| TOKEN.to_owned(), &endpoint);
    let gateway = serve(listener, builder(&backend).await.trust(trusted(&transmitter, same_id, stream)));
    let (alice, bob) = (gateway.link("alice").await, gateway.link("bob").await);
    let stream = stream_of(&gateway.bridge, &transmitter);
    until("the stream is verified", async || stream.health().verified_at.is_some()).await;
    let log = transmitter.log().await;
    assert_eq!(
        log["streams"][0]["delivery"],
        json!({ "method": "urn:ietf:rfc:8935", "endpoint_url": endpoint })
    );
    assert_eq!(log["polls"], 0);

    let said = transmitter.says(SESSION_REVOKED, "alice").await;
    assert_eq!((&said["status"], &said["body"]), (&json!(202), &json!("")));
    assert!(!gateway.admits(&alice).await && gateway.admits(&bob).await);

    let wrong = json!({ "claims": { "aud": "https://another.example" } });
    let said = transmitter.says_with(SESSION_REVOKED, "bob", &wrong).await;
    assert_eq!(said["status"], 400);
    let body: Value = serde_json::from_str(said["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["err"], "invalid_audience");
    assert!(gateway.admits(&bob).await);
}

#[tokio::test]
async fn gateways_of_one_database_share_a_stream_and_each_refuses_whoever_left() {
    let (backend, transmitter) = (PostgresBackend::start().await, Transmitter::start().await);
    let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
    let mut gateways = Vec::new();
    for _ in 0..2 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let builder = builder_with(&backend, keys.clone()).await;
        gateways.push(serve(listener, builder.trust(trusted(&transmitter, same_id, polled()))));
    }
    let streams: Vec<_> = gateways.iter().map(|gateway| stream_of(&gateway.bridge, &transmitter)).collect();
    // Whichever of them gets the state of the other one knows it.
    until("the stream is verified", async || {
        let log = transmitter.log().await;
        streams.iter().all(|stream| stream.health().stream_id.is_some())
            && log["acknowledged"].as_array().unwrap().len() == log["verifications"].as_array().unwrap().len()
            && !log["verifications"].as_array().unwrap().is_empty()
    })
    .await;
    for person in ["alice", "bob", "carol"] {
        let token = gateways[0].link(person).await;
        assert!(gateways[1].admits(&token).await);
        let said = transmitter.says(SESSION_REVOKED, person).await;
        until("it is acknowledged", async || is_acknowledged(&transmitter, &said).await).await;
        assert!(!gateways[0].admits(&token).await && !gateways[1].admits(&token).await);
    }
    assert_eq!(transmitter.log().await["refused"], json!({}));
}
