//! Several gateways on one database: what one was told holds at all.

use std::time::Duration;

use bridge_auth::Freshness;
use futures_util::future::join_all;
use serde_json::json;

use super::super::Ahead;
use super::super::server::AuthorizationServer;
use super::{CAEP, EVENT_TYPE, People, id, is_taken, push, serve, trusted};
use crate::support::Backend;
use crate::support::bridge::{ISSUER, builder, builder_with};
use crate::support::gateway::Gateway;

crate::store::promises![
    what_one_gateway_was_told_every_gateway_refuses,
    of_many_that_bring_one_event_at_once_one_does_it,
];

/// An identity provider, and two gateways with this freshness that trust it.
async fn gateways(db: &impl Backend, freshness: Freshness) -> (AuthorizationServer, [Gateway; 2]) {
    let (clock, people) = (Ahead::default(), People::default());
    let idp = AuthorizationServer::start(clock.clone()).await;
    let first = builder(db).await.clock(clock.clone()).freshness(freshness).trust(trusted(&idp, &people));
    let first = serve(first.build().unwrap()).await;
    let second = builder_with(db, first.bridge.keys().clone()).await.clock(clock).freshness(freshness);
    let second = serve(second.trust(trusted(&idp, &people)).build().unwrap()).await;
    (idp, [first, second])
}

fn event(idp: &AuthorizationServer, id: &str) -> String {
    let claims = json!({
        "iss": idp.issuer(), "aud": ISSUER, "jti": id, "iat": idp.claims()["iat"],
        "sub_id": { "format": "iss_sub", "iss": idp.issuer(), "sub": "idp|alice" },
        "events": { format!("{CAEP}session-revoked"): {} },
    });
    idp.key.sign_under(&json!({ "alg": "EdDSA", "kid": "first", "typ": EVENT_TYPE }), &claims)
}

async fn what_one_gateway_was_told_every_gateway_refuses(db: impl Backend) {
    let max_lag = Duration::from_millis(500);
    for freshness in [Freshness::Strict, Freshness::Watched { max_lag }] {
        let (idp, [told, other]) = gateways(&db, freshness).await;
        let token = told.link("alice").await;
        assert!(told.admits(&token).await && other.admits(&token).await);
        assert!(is_taken(&push(&told, &event(&idp, &id())).await));
        assert!(!told.admits(&token).await, "the gateway that was told refuses at once");
        if freshness != Freshness::Strict {
            tokio::time::sleep(max_lag).await;
        }
        assert!(!other.admits(&token).await, "{freshness:?}");
    }
}

async fn of_many_that_bring_one_event_at_once_one_does_it(db: impl Backend) {
    const RACERS: usize = 64;
    let (idp, gateways) = gateways(&db, Freshness::Strict).await;
    let tokens = [gateways[0].link("alice").await, gateways[1].link("alice").await];
    let set = event(&idp, &id());
    let answers = join_all((0..RACERS).map(|number| push(&gateways[number % 2], &set))).await;
    assert!(answers.iter().all(is_taken), "{answers:?}");
    for token in &tokens {
        assert!(!gateways[0].admits(token).await && !gateways[1].admits(token).await);
    }
    // Had any of them done it later than another, it would end this session too.
    let token = gateways[0].link("alice").await;
    let answers = join_all((0..RACERS).map(|number| push(&gateways[number % 2], &set))).await;
    assert!(answers.iter().all(is_taken), "{answers:?}");
    assert!(gateways[0].admits(&token).await && gateways[1].admits(&token).await);
}
