//! What ends a delegated token, and how many there may be.

use std::time::Duration;

use bridge_auth::Freshness;
use bridge_auth::issue::TokenExchange;
use bridge_auth::store::Revoke;
use futures_util::future::join_all;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method};

use super::{ACCESS, agent, by_bridge, exchange, exchanged, exchanging, gateway};
use crate::oauth::given::{Hook, claims, server};
use crate::support::bridge::user;
use crate::support::gateway::{Gateway, PREFIX};
use crate::support::{Backend, SqliteBackend};

crate::store::promises![
    whoever_ends_ends_all_that_was_exchanged_from_it_at_the_next_request,
    an_actor_who_leaves_takes_along_all_that_they_act_by_at_the_next_request,
    a_device_has_at_most_32_live_exchanged_tokens_and_a_revoked_one_makes_room,
    racers_never_open_more_than_the_limit,
];

fn session(token: &str) -> bridge_auth::SessionId {
    claims(token)["sid"].as_str().unwrap().parse().unwrap()
}

/// A token, and the chain that was exchanged from it: planner, coder, tester.
async fn chain(gateway: &Gateway, person: &str) -> [String; 4] {
    let linked = gateway.link(person).await;
    let first = exchanged(gateway, &agent("planner"), &linked, &[]).await;
    let second = exchanged(gateway, &agent("coder"), &first, &[]).await;
    let third = exchanged(gateway, &agent("tester"), &second, &[]).await;
    [linked, first, second, third]
}

async fn admitted(gateway: &Gateway, tokens: &[String; 4]) -> [bool; 4] {
    let mut admitted = [false; 4];
    for (token, is_in) in tokens.iter().zip(&mut admitted) {
        *is_in = gateway.admits(token).await;
    }
    admitted
}

async fn whoever_ends_ends_all_that_was_exchanged_from_it_at_the_next_request(db: impl Backend) {
    for freshness in [Freshness::Strict, Freshness::watched()] {
        let builder = exchanging(&db).await.freshness(freshness);
        let gateway = Gateway::over(builder.build().unwrap()).await;
        let bystander = chain(&gateway, "bob").await;
        let admin = gateway.bridge.admin();
        for end in 0..5 {
            let person = format!("person{end}{freshness:?}").replace([' ', '{', '}', ':'], "");
            let tokens = chain(&gateway, &person).await;
            assert_eq!(admitted(&gateway, &tokens).await, [true; 4]);
            let left = match end {
                0 => {
                    admin.revoke_session(&session(&tokens[0])).await.unwrap();
                    [false; 4]
                }
                1 => {
                    admin.revoke_user(&user(&person)).await.unwrap();
                    [false; 4]
                }
                2 => {
                    admin.disable_user(&user(&person)).await.unwrap();
                    [false; 4]
                }
                // One link of the chain, by the client that has it.
                3 => {
                    let revoked = agent("coder").send(&gateway, "/revoke", &[("token", &tokens[2])]).await;
                    assert_eq!(revoked.status, 200, "{revoked:?}");
                    [true, true, false, false]
                }
                _ => {
                    gateway.call(Method::POST, &format!("{PREFIX}/logout"), &tokens[1]).await;
                    [true, false, false, false]
                }
            };
            assert_eq!(admitted(&gateway, &tokens).await, left, "{end} {freshness:?}");
            for (token, is_live) in tokens.iter().zip(left).skip(1) {
                let again = exchange(&gateway, &agent("reader"), token, &[]).await;
                assert_eq!(again.status == 200, is_live, "{again:?}");
            }
        }
        assert_eq!(admitted(&gateway, &bystander).await, [true; 4], "another person's go on");
        // A client that is revoked takes all below its tokens with it.
        gateway.bridge.admin().revoke_client(&"coder".parse().unwrap()).await.unwrap();
        assert_eq!(admitted(&gateway, &bystander).await, [true, true, false, false]);
    }
}

/// Bob acts for Alice by a token of his own, and the coder acts for him. Then Bob goes, at another gateway.
async fn an_actor_who_leaves_takes_along_all_that_they_act_by_at_the_next_request(db: impl Backend) {
    let far = gateway(&db).await;
    let admin = far.bridge.admin();
    for freshness in [Freshness::Strict, Freshness::watched()] {
        let gateway = Gateway::over(exchanging(&db).await.freshness(freshness).build().unwrap()).await;
        let alice = gateway.link("alice").await;
        let plain = exchanged(&gateway, &agent("planner"), &alice, &[]).await;
        for end in 0..4 {
            let bob = gateway.link("bob").await;
            let acting = [("actor_token", &*bob), ("actor_token_type", ACCESS)];
            let first = exchanged(&gateway, &agent("planner"), &alice, &acting).await;
            let second = exchanged(&gateway, &agent("coder"), &first, &[]).await;
            let tokens = [alice.clone(), plain.clone(), first.clone(), second.clone()];
            // Also when it was let in before, so that a verdict might be remembered.
            for _ in 0..2 {
                assert_eq!(admitted(&gateway, &tokens).await, [true; 4]);
            }
            match end {
                0 => admin.revoke_session(&session(&bob)).await.map(drop).unwrap(),
                1 => admin.revoke_user(&user("bob")).await.map(drop).unwrap(),
                2 => drop(gateway.call(Method::POST, &format!("{PREFIX}/logout"), &bob).await),
                _ => admin.disable_user(&user("bob")).await.map(drop).unwrap(),
            }
            assert_eq!(admitted(&gateway, &tokens).await, [true, true, false, false], "{end} {freshness:?}");
            for token in [&first, &second] {
                let refused = gateway.bridge.authenticator("bridge").unwrap();
                let bearer = format!("Bearer {token}").parse().unwrap();
                let refused = refused.authenticate(&HeaderMap::from_iter([(AUTHORIZATION, bearer)])).await;
                assert_eq!(refused.unwrap_err().reason(), "actor_session_ended", "{end} {freshness:?}");
            }
            for token in [&first, &second] {
                let seen = server().send(&gateway, "/introspect", &[("token", token)]).await.json();
                assert_eq!(seen, serde_json::json!({ "active": false }), "{end}");
                let again = exchange(&gateway, &agent("tester"), token, &[]).await;
                assert!(again.is_oauth_error(400, "invalid_request"), "{again:?}");
                agent("planner").send(&gateway, "/revoke", &[("token", token)]).await;
            }
        }
        admin.enable_user(&user("bob")).await.unwrap();
    }
}

async fn a_device_has_at_most_32_live_exchanged_tokens_and_a_revoked_one_makes_room(db: impl Backend) {
    let gateway = gateway(&db).await;
    let linked = gateway.link("alice").await;
    let first = exchanged(&gateway, &agent("planner"), &linked, &[]).await;
    // At any depth: half of them hang on the device, half on the first of them.
    for number in 1..32 {
        let from = if number % 2 == 0 { &linked } else { &first };
        exchanged(&gateway, &agent("coder"), from, &[]).await;
    }
    for from in [&linked, &first] {
        let full = exchange(&gateway, &agent("coder"), from, &[]).await;
        assert!(full.is_oauth_error(409, "too_many_sessions"), "{full:?}");
    }
    // Another device of the same person has its own room.
    exchanged(&gateway, &agent("coder"), &gateway.link("alice").await, &[]).await;
    agent("planner").send(&gateway, "/revoke", &[("token", &first)]).await;
    let next = exchanged(&gateway, &agent("coder"), &linked, &[]).await;
    // Expiry makes room too.
    assert!(gateway.admits(&next).await);
    db.pass_time(Duration::from_secs(3601)).await;
    assert!(!gateway.admits(&next).await);
}

async fn racers_never_open_more_than_the_limit(db: impl Backend) {
    let builder = exchanging(&db).await.token_exchange(TokenExchange::new().max_sessions(4));
    let gateway = Gateway::over(builder.build().unwrap()).await;
    let linked = gateway.link("alice").await;
    let coder = agent("coder");
    let racers = (0..12).map(|_| exchange(&gateway, &coder, &linked, &[]));
    let answers = join_all(racers).await;
    let opened = answers.iter().filter(|answer| answer.status == 200).count();
    let full = answers.iter().filter(|answer| answer.is_oauth_error(409, "too_many_sessions")).count();
    assert_eq!((opened, full), (4, 8), "{answers:?}");
}

#[tokio::test]
async fn a_revocation_that_races_an_exchange_leaves_nothing_live() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    for round in 0..8 {
        let linked = gateway.link("alice").await;
        let coder = agent("coder");
        let end = Revoke::Session(session(&linked));
        let far = db.open().await;
        let (answers, ended) = tokio::join!(
            join_all((0..6).map(|_| exchange(&gateway, &coder, &linked, &[]))),
            far.revoke(&end)
        );
        ended.unwrap();
        for answer in answers.iter().filter(|answer| answer.status == 200) {
            assert!(!gateway.admits(&answer.text("access_token")).await, "{round}");
        }
    }
}

#[tokio::test]
async fn a_device_that_renews_or_expires_takes_its_delegated_tokens_along() {
    let db = SqliteBackend::start().await;
    let builder = exchanging(&db).await.token_life(Duration::from_secs(600));
    let gateway = Gateway::over(builder.build().unwrap()).await;
    let linked = gateway.link("alice").await;
    let life = |token: &str| claims(token)["exp"].as_u64().unwrap() - claims(token)["iat"].as_u64().unwrap();
    let new = by_bridge(&gateway, &linked, &[]).await.text("access_token");
    assert!(life(&new) <= 600 && claims(&new)["exp"].as_u64() <= claims(&linked)["exp"].as_u64());
    let short = TokenExchange::new().token_life(Duration::from_secs(60));
    let gateway = Gateway::over(exchanging(&db).await.token_exchange(short).build().unwrap()).await;
    let answer = by_bridge(&gateway, &gateway.link("bob").await, &[]).await;
    assert_eq!((answer.json()["expires_in"].as_u64(), life(&answer.text("access_token"))), (Some(60), 60));
}

#[tokio::test]
async fn a_loop_of_exchanges_is_limited_for_the_person_and_not_for_their_address() {
    let db = SqliteBackend::start().await;
    let limits = bridge_auth::rate_limit::RateLimits::default().calls_per_session(3);
    let builder = exchanging(&db).await.rate_limits(limits);
    let gateway = Gateway::over(builder.build().unwrap()).await;
    let (alice, bob) = (gateway.link("alice").await, gateway.link("bob").await);
    let planner: Hook = agent("planner");
    // Also when each exchange is of the newest token.
    let (mut answers, mut newest) = (Vec::new(), alice);
    for _ in 0..4 {
        let answer = exchange(&gateway, &planner, &newest, &[]).await;
        if answer.status == 200 {
            newest = answer.text("access_token");
        }
        answers.push(answer);
    }
    let limited = answers.pop().unwrap();
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert_eq!((limited.status.as_u16(), limited.header("retry-after").is_empty()), (429, false));
    exchanged(&gateway, &planner, &bob, &[]).await;
}
