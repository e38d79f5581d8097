//! A person who has as much as anybody may have leaves, and nothing of it is left.

use std::time::{Duration, Instant};

use bridge_auth::Freshness;
use bridge_auth::rate_limit::RateLimits;
use bridge_auth::store::Revoke;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use futures_util::future::join_all;

use super::{ACCESS, agent, exchangeable, exchanged};
use crate::oauth::given::with_oauth;
use crate::support::Backend;
use crate::support::bridge::{builder_with, user};
use crate::support::gateway::Gateway;

crate::store::promises![whoever_leaves_with_16_full_devices_is_out_at_another_gateway_with_all_528_sessions];

const DEVICES: usize = 16;
/// As many as a device may have.
const DELEGATED: usize = 32;

/// The token of a device, and those of all that may hang on it: chains of four, and of every second one `bob` is an actor.
async fn full_device(gateway: &Gateway, linked: String, bob: &str) -> Vec<String> {
    let mut tokens = vec![linked];
    let acting = [("actor_token", bob), ("actor_token_type", ACCESS)];
    for number in 0..DELEGATED {
        let from = tokens[if number % 4 == 0 { 0 } else { number }].clone();
        let actor = if number % 8 == 0 { &acting[..] } else { &[] };
        tokens.push(exchanged(gateway, &agent("coder"), &from, actor).await);
    }
    tokens
}

async fn whoever_leaves_with_16_full_devices_is_out_at_another_gateway_with_all_528_sessions(
    db: impl Backend,
) {
    let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
    let node = async || {
        let builder = exchangeable(with_oauth(builder_with(&db, keys.clone()).await));
        let builder = builder.rate_limits(RateLimits::off()).freshness(Freshness::Strict);
        Gateway::over(builder.build().unwrap()).await
    };
    let (near, far) = (node().await, node().await);
    let bob = near.link("bob").await;
    let his = exchanged(&near, &agent("planner"), &bob, &[]).await;
    let mut linked = Vec::new();
    for _ in 0..DEVICES {
        linked.push(near.link("alice").await);
    }
    let devices = join_all(linked.into_iter().map(|token| full_device(&near, token, &bob))).await;
    let admitted = async |token: &String| far.admits(token).await;
    let count = async || {
        let mut admitted_of_all = 0;
        for tokens in &devices {
            let admitted = join_all(tokens.iter().map(admitted)).await;
            admitted_of_all += admitted.into_iter().filter(|is_in| *is_in).count();
        }
        admitted_of_all
    };
    assert_eq!(count().await, DEVICES * (DELEGATED + 1));
    let store = db.open().await;
    let begun = Instant::now();
    let ended = store.revoke(&Revoke::User(user("alice"))).await.unwrap();
    let took = begun.elapsed();
    assert_eq!(ended, Some((DEVICES * (DELEGATED + 1)) as u64));
    assert_eq!(count().await, 0);
    assert!(far.admits(&bob).await && far.admits(&his).await, "another person's go on");
    // A tenth of that is usual. The machine may be busy.
    assert!(took < Duration::from_secs(3), "{took:?}");
}
