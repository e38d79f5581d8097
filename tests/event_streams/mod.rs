//! Event streams of an external issuer: a transmitter written from the standards with `jose` (`tests/stock/transmitter.mjs`),
//! and gateways that ask it for its events.

mod audience;
mod delivery;
mod faults;
mod refusals;
mod setup;
mod silence;
mod transmitter;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use axum::Router;
use bridge_auth::external_issuer::{
    EventStream, ExternalIssuer, ExternalSessions, ExternalSubject, FollowedStream, HttpJwks, PeopleMapper,
    SecurityEvents,
};
use bridge_auth::{Bridge, BridgeBuilder, UserId};
use tokio::net::TcpListener;
use tokio::time::sleep;

use self::transmitter::{AUDIENCE, TOKEN, Transmitter};
use crate::support::Backend;
use crate::support::bridge::builder;
use crate::support::gateway::Gateway;

/// Where the gateways take pushed events.
const REVOCATIONS: &str = "/v1/auth/revocations";

/// The person with the same id here.
fn same_id(who: &ExternalSubject) -> Option<UserId> {
    UserId::parse(who.subject.as_deref()?).ok()
}

fn polled() -> EventStream {
    EventStream::poll(|| TOKEN.to_owned()).poll_every(Duration::from_millis(100))
}

fn trusted(transmitter: &Transmitter, people: impl PeopleMapper, stream: EventStream) -> ExternalIssuer {
    trusted_with(transmitter, people, SecurityEvents::new(AUDIENCE).stream(stream))
}

fn trusted_with(
    transmitter: &Transmitter,
    people: impl PeopleMapper,
    events: SecurityEvents,
) -> ExternalIssuer {
    let keys = HttpJwks::new(transmitter.jwks_url()).unwrap();
    ExternalIssuer::new(&transmitter.issuer, keys, ExternalSessions::None)
        .people(people)
        .security_events(events)
}

/// A gateway that follows a stream of `transmitter`.
async fn gateway(backend: &impl Backend, transmitter: &Transmitter, stream: EventStream) -> Gateway {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    serve(listener, builder(backend).await.trust(trusted(transmitter, same_id, stream)))
}

fn serve(listener: TcpListener, builder: BridgeBuilder) -> Gateway {
    let bridge = builder.build().unwrap();
    let routes = Router::new().nest_service(REVOCATIONS, bridge.revocations_service());
    bridge.maintain(Duration::from_secs(600));
    Gateway::on(listener, bridge, routes)
}

fn stream_of(bridge: &Bridge, transmitter: &Transmitter) -> FollowedStream {
    bridge.event_stream(&transmitter.issuer).unwrap()
}

/// Returns when `is_so` says so.
async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let start = Instant::now();
    while !is_so().await {
        assert!(start.elapsed() < Duration::from_secs(60), "it never came that {what}");
        sleep(Duration::from_millis(20)).await;
    }
}
