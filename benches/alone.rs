//! One request at a time. criterion measures this well.

#![allow(unreachable_pub, clippy::unwrap_used)]

#[allow(dead_code, reason = "only the other benches use all of it")]
#[path = "support/mod.rs"]
mod support;

use std::hint::black_box;

use axum::body::Body;
use bridge_auth::rejection::InvalidCredential;
use bridge_auth::{Freshness, Rejection};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request};
use support::comparator::{Identity, validation};
use support::database::{Database, SESSIONS};
use support::gateway::{Gateway, Guard, bridge};
use support::head::post_of_5;
use support::mint::{Mint, bearer};
use tokio::runtime::Runtime;
use tower::Service;

criterion_group!(benches, unseen_token, one_request);
criterion_main!(benches);

/// A token that was never seen before, and `jsonwebtoken::decode` alone. All checks of a token run, including the
/// audience.
///
/// The audience is wrong, so that no session is looked up. The audience is the last thing that is checked in a token.
fn unseen_token(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let mint = Mint::new();
    let database = runtime.block_on(Database::sqlite(1));
    let own = runtime.block_on(bridge(Freshness::Strict, 1, &mint, &database.address));
    let authenticator = own.bridge.authenticator("bridge").unwrap();
    let (key, validation) = (mint.decoding_key(), validation("mcp"));
    let mut tokens = (0..).map(|session| mint.token_for(session, &["mcp"]));
    let mut group = criterion.benchmark_group("token never seen before");
    group.bench_function("jsonwebtoken::decode alone", |bencher| {
        let decode = |token: String| jsonwebtoken::decode::<Identity>(&token, &key, &validation).unwrap();
        bencher.iter_batched(|| tokens.next().unwrap(), decode, BatchSize::SmallInput);
    });
    let mut requests = (0..)
        .map(|session| HeaderMap::from_iter([(AUTHORIZATION, bearer(&mint.token_for(session, &["mcp"])))]));
    group.bench_function("bridge-auth", |bencher| {
        let refuse = async |headers: HeaderMap| {
            let verdict = authenticator.authenticate(&headers).await;
            assert_eq!(verdict.unwrap_err(), Rejection::InvalidCredential(InvalidCredential::Audience));
            headers
        };
        bencher.to_async(&runtime).iter_batched(|| requests.next().unwrap(), refuse, BatchSize::SmallInput);
    });
    group.finish();
}

/// One request alone on the gateway, with a token that was seen before.
fn one_request(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let mint = Mint::new();
    let databases = runtime.block_on(Database::postgres_both(SESSIONS));
    let bearers = mint.bearers(10_000, SESSIONS);
    let mut group = criterion.benchmark_group("one request at a time");
    let guards = [Guard::Bare, Guard::Comparator, Guard::Strict, Guard::Watched];
    for (guard, database) in
        guards.iter().flat_map(|guard| databases.iter().map(move |database| (*guard, database)))
    {
        let gateway = runtime.block_on(Gateway::open(guard, 4, &mint, &database.address));
        let mut bearers = bearers.iter().cycle();
        group.bench_function(format!("{guard}, {}", database.name()), |bencher| {
            let request = || post_of_5(&AUTHORIZATION, bearers.next().unwrap());
            let call = async |request: Request<Body>| {
                let mut router = gateway.router.clone();
                black_box(router.call(request).await.unwrap())
            };
            bencher.to_async(&runtime).iter_batched(request, call, BatchSize::SmallInput);
        });
    }
    group.finish();
}
