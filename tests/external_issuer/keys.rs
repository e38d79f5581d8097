//! The keys of the other server: rotation, removal, faults.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bridge_auth::external_issuer::ExternalCaller;
use futures_util::future::join_all;
use http::StatusCode;
use serde_json::json;
use tokio::sync::Notify;

use super::server::{Answering, Key};
use super::{WINDOW, World, is_unavailable};
use crate::support::bridge::access;

/// Longer than anything takes that happens by itself, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `done`.
async fn until(mut done: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it happens in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_90_a_thousand_unknown_key_ids_make_one_fetch_and_hinder_no_known_key() {
    let world = World::start().await;
    let good = world.server.token();
    assert_eq!(world.status(&good).await, 200);
    world.clock.pass(WINDOW);
    let unknown: Vec<_> = (0..1000)
        .map(|number| {
            let header = json!({ "alg": "EdDSA", "kid": format!("unknown-{number}"), "typ": "at+jwt" });
            world.server.key.sign_under(&header, &world.server.claims())
        })
        .collect();
    let flood = join_all(unknown.iter().map(|token| world.call(token)));
    let known = async {
        for number in 0..100 {
            let fresh = world.server.token_with(&json!({ "jti": number.to_string() }));
            assert_eq!((world.status(&good).await, world.status(&fresh).await), (200, 200));
        }
    };
    let (answers, ()) = tokio::join!(flood, known);
    for answer in answers {
        assert!(answer.is_problem(401, "invalid_token"), "{answer:?}");
    }
    assert_eq!(world.server.fetches(), 2, "the first, and one for all of these");
}

#[tokio::test]
async fn attack_n12_nobody_makes_the_gateway_answer_503_with_unknown_key_ids() {
    let world = World::start().await;
    for number in 0..200 {
        let token = Key::new(&format!("unknown-{number}")).sign(&world.server.claims());
        let answer = world.call(&token).await;
        assert!(answer.is_problem(401, "invalid_token"), "{number} {answer:?}");
        // Also when the first token of all is such a one, and when the window ends in the middle.
        if number % 90 == 89 {
            world.clock.pass(WINDOW);
        }
    }
    assert_eq!(world.server.fetches(), 3);
    assert_eq!(world.status(&world.server.token()).await, 200);
}

#[tokio::test]
async fn an_unknown_key_is_told_from_a_good_one_while_its_issuer_is_down_until_keys_are_due() {
    let world = World::start().await;
    assert_eq!(world.status(&world.server.token()).await, 200);
    world.server.answer(Answering::Status(StatusCode::BAD_GATEWAY));
    let unknown = || Key::new("unknown").sign(&world.server.claims());
    for _ in 0..10 {
        world.clock.pass(WINDOW);
        let answer = world.call(&unknown()).await;
        assert!(answer.is_problem(401, "invalid_token"), "{answer:?}");
    }
    assert_eq!(world.server.fetches(), 11, "it was asked each time");
    // Keys are fetched every ten minutes. Nobody knows what was published since.
    world.clock.pass(Duration::from_secs(600));
    for _ in 0..3 {
        let answer = world.call(&unknown()).await;
        assert!(is_unavailable(&answer), "{answer:?}");
        assert_eq!(world.status(&world.server.token()).await, 200, "a known key is used on");
    }
    world.server.publish(&[&world.server.key]);
    world.clock.pass(WINDOW);
    assert_eq!(world.status(&unknown()).await, 401);
}

#[tokio::test]
async fn a_key_that_came_too_early_is_known_soon_without_another_request() {
    let brief = Duration::from_millis(400);
    let world = World::with(|issuer| issuer.refresh_at_most_every(brief)).await;
    assert_eq!(world.status(&world.server.token()).await, 200);
    let next = Key::new("next");
    world.server.publish(&[&world.server.key, &next]);
    let early = world.call(&next.sign(&world.server.claims())).await;
    assert!(early.is_problem(401, "invalid_token") || early.status == 200, "{early:?}");
    until(async || world.server.fetches() == 2).await;
    until(async || world.status(&next.sign(&world.server.claims())).await == 200).await;
    assert_eq!(world.server.fetches(), 2);
}

#[tokio::test]
async fn an_unknown_key_waits_for_a_slow_fetch_and_not_for_long() {
    let world = World::with(|issuer| issuer.keys_deadline(Duration::from_secs(2))).await;
    assert_eq!(world.status(&world.server.token()).await, 200);
    world.server.answer(Answering::Nothing);
    world.clock.pass(WINDOW);
    let began = Instant::now();
    let tokens: Vec<_> =
        (0..50).map(|n| Key::new(&format!("unknown-{n}")).sign(&world.server.claims())).collect();
    let known = world.server.token();
    let (answers, known) =
        tokio::join!(join_all(tokens.iter().map(|token| world.call(token))), world.status(&known));
    assert!(answers.iter().all(|answer| answer.is_problem(401, "invalid_token")), "{answers:?}");
    assert!(known == 200 && began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!(world.server.fetches(), 2);
}

#[tokio::test]
async fn a_key_that_was_published_meanwhile_is_fetched_when_the_window_ends() {
    let world = World::start().await;
    assert_eq!(world.status(&world.server.token()).await, 200);
    for number in 0..5 {
        let next = Key::new(&format!("next-{number}"));
        world.server.publish(&[&world.server.key, &next]);
        let token = next.sign(&world.server.claims());
        let early = world.call(&token).await;
        assert!(early.is_problem(401, "invalid_token"), "the last fetch has shown no such key: {early:?}");
        world.clock.pass(WINDOW);
        assert_eq!(world.status(&token).await, 200, "nothing is remembered against a token");
        assert_eq!(world.status(&world.server.token()).await, 200);
    }
    assert_eq!(world.server.fetches(), 6);
}

#[tokio::test]
async fn a_fetch_that_is_on_its_way_is_waited_for_and_decides() {
    let world = World::start().await;
    assert_eq!(world.status(&world.server.token()).await, 200);
    world.clock.pass(WINDOW);
    let (told, next) = (Arc::new(Notify::new()), Key::new("next"));
    let set = vec![world.server.key.jwk(), next.jwk()];
    world.server.answer(Answering::Late(set, told.clone()));
    let nobody = Key::new("nobody").sign(&world.server.claims());
    let next = next.sign(&world.server.claims());
    let late = async {
        until(async || world.server.fetches() == 2).await;
        let (next, nobody, ()) =
            tokio::join!(world.call(&next), world.call(&nobody), async { told.notify_one() });
        (next, nobody)
    };
    let (early, (next, late)) = tokio::join!(world.call(&nobody), late);
    assert_eq!(next.status, 200);
    for answer in [early, late] {
        assert!(answer.is_problem(401, "invalid_token"), "{answer:?}");
    }
    assert_eq!(world.server.fetches(), 2);
}

#[tokio::test]
async fn a_source_that_is_down_at_first_calls_no_token_bad_and_is_asked_again() {
    let world = World::start().await;
    world.server.answer(Answering::Status(StatusCode::INTERNAL_SERVER_ERROR));
    for _ in 0..20 {
        let answer = world.call(&world.server.token()).await;
        assert!(is_unavailable(&answer), "{answer:?}");
    }
    assert_eq!(world.server.fetches(), 1, "a source that is down is not pestered");
    let own = access(&world.bridge, "alice", "read").await.token.expose().to_owned();
    assert_eq!(world.status(&own).await, 403, "our own tokens need no keys of others");
    world.server.publish(&[&world.server.key]);
    world.clock.pass(WINDOW);
    assert_eq!(world.status(&world.server.token()).await, 200);
}

#[tokio::test]
async fn keys_are_used_while_they_cannot_be_fetched_again_and_not_for_ever() {
    let world = World::start().await;
    assert_eq!(world.status(&world.server.token()).await, 200);
    world.server.answer(Answering::Status(StatusCode::BAD_GATEWAY));
    let hour = Duration::from_secs(3600);
    world.clock.pass(23 * hour);
    let remembered = world
        .server
        .token_with(&json!({ "exp": (bridge_auth::clock::Clock::now(&world.clock) + 3 * hour).as_secs() }));
    assert_eq!(world.status(&remembered).await, 200);
    world.clock.pass(2 * hour);
    for token in [&remembered, &world.server.token()] {
        let answer = world.call(token).await;
        assert!(is_unavailable(&answer), "{answer:?}");
    }
    world.server.publish(&[&world.server.key]);
    world.clock.pass(WINDOW);
    for token in [&world.server.token(), &remembered] {
        assert_eq!(world.status(token).await, 200);
    }
}

#[tokio::test]
async fn odd_keys_beside_it_do_not_hinder_a_good_one() {
    let world = World::start().await;
    let odd = [
        json!({ "kty": "AKP", "kid": "pq", "alg": "ML-DSA-65", "pub": "AA" }),
        json!({ "kty": "RSA", "kid": "weak", "alg": "RS256", "n": "3w", "e": "AQAB" }),
        json!({ "kty": "oct", "kid": "secret", "k": "AAAA" }),
        json!({ "kty": "EC", "kid": "enc", "use": "enc", "crv": "P-256", "x": "AA", "y": "AA" }),
        json!("odd"),
    ];
    world.server.answer(Answering::Keys(odd.into_iter().chain([world.server.key.jwk()]).collect()));
    assert_eq!(world.status(&world.server.token()).await, 200);
    let twin = Key::new(&world.server.key.id);
    world.server.publish(&[&world.server.key, &twin]);
    world.clock.pass(WINDOW);
    let unknown = Key::new("unknown").sign(&world.server.claims());
    assert_eq!(world.status(&unknown).await, 401);
    world.clock.pass(WINDOW);
    assert_eq!(world.status(&world.server.token()).await, 401, "a name of two keys names neither");
}

#[tokio::test]
async fn a25_a_key_that_was_removed_dies_with_all_it_signed() {
    let brief = Duration::from_millis(50);
    let world = World::with(|issuer| issuer.refresh_every(brief).refresh_at_most_every(brief / 10)).await;
    let token = world.server.token();
    let next = Key::new("next");
    assert_eq!(world.status(&token).await, 200);
    world.server.publish(&[&next]);
    // Nothing but time makes it known.
    until(async || world.status(&token).await != 200).await;
    until(async || world.call(&token).await.is_problem(401, "invalid_token")).await;
    assert_eq!(world.status(&next.sign(&world.server.claims())).await, 200);
    let impostor = Key::new("next");
    world.server.publish(&[&impostor]);
    until(async || world.status(&next.sign(&world.server.claims())).await == 401).await;
}

#[tokio::test]
async fn a_source_that_does_not_answer_is_waited_for_once_and_not_for_long() {
    let world = World::with(|issuer| issuer.keys_deadline(Duration::from_millis(200))).await;
    world.server.answer(Answering::Nothing);
    let began = Instant::now();
    let token = world.server.token();
    let answers = join_all((0..100).map(|_| world.call(&token))).await;
    assert!(answers.iter().all(is_unavailable));
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!(world.server.fetches(), 1);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let world = World::start().await;
    world.server.answer(Answering::Redirect);
    assert!(is_unavailable(&world.call(&world.server.token()).await));
    assert_eq!((world.server.fetches(), world.server.redirected()), (1, 0));
}

#[tokio::test]
async fn a_set_that_is_too_large_is_refused_whether_it_says_so_or_not() {
    let world = World::start().await;
    let keys = || vec![world.server.key.jwk()];
    for says_so in [true, false] {
        world.server.answer(Answering::Padded(keys(), 256 << 10, says_so));
        assert!(is_unavailable(&world.call(&world.server.token()).await));
        world.clock.pass(WINDOW);
    }
    world.server.answer(Answering::Padded(keys(), 255 << 10, false));
    assert_eq!(world.status(&world.server.token()).await, 200);
}

#[tokio::test]
async fn maintenance_fetches_keys_before_the_first_request_and_keeps_them_fresh() {
    let brief = Duration::from_millis(10);
    let world = World::with(|issuer| issuer.refresh_every(brief).refresh_at_most_every(brief)).await;
    world.bridge.maintain(Duration::from_secs(1));
    until(async || world.server.fetches() > 2).await;
    let fetches = world.server.fetches();
    assert_eq!(world.status(&world.server.token()).await, 200);
    until(async || world.server.fetches() > fetches).await;
}

#[tokio::test]
async fn nothing_is_fetched_before_the_first_such_token_and_after_the_bridge_is_gone() {
    let brief = Duration::from_millis(10);
    let world = World::with(|issuer| issuer.refresh_every(brief).refresh_at_most_every(brief)).await;
    let own = access(&world.bridge, "alice", "read").await.token.expose().to_owned();
    assert_eq!(world.status(&own).await, 403);
    tokio::time::sleep(brief * 5).await;
    assert_eq!(world.server.fetches(), 0);

    let layer = world.bridge.layer("bridge").unwrap().admit_external();
    let kept: axum::Router = axum::Router::new()
        .route("/keep", axum::routing::get(|caller: ExternalCaller| async move { axum::Extension(caller) }))
        .layer(layer);
    let token = world.server.token();
    let request = http::Request::get("/keep").header("authorization", format!("Bearer {token}"));
    let request = request.body(axum::body::Body::empty()).unwrap();
    let answer = tower::ServiceExt::oneshot(kept, request).await.unwrap();
    assert!(answer.extensions().get::<ExternalCaller>().is_some());
    until(async || world.server.fetches() > 5).await;
    let World { server, bridge, app, .. } = world;
    drop((bridge, app));
    // What was on its way may still arrive.
    tokio::time::sleep(brief * 5).await;
    let fetches = server.fetches();
    tokio::time::sleep(brief * 20).await;
    assert_eq!(server.fetches(), fetches, "not even for a caller that is kept");
    drop(answer);
}
