//! Section 2.7, N2: one person who writes in a loop over very many connections takes the gateway from nobody.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bridge_auth::Freshness;
use bridge_auth::rate_limit::RateLimits;
use futures_util::future::join_all;
use http::header::COOKIE;
use http::{Method, StatusCode};
use serde_json::json;

use crate::support::Backend;
use crate::support::bridge::builder;
use crate::support::gateway::{Gateway, PREFIX, send};

crate::store::promises![
    attack_n2_one_persons_writes_from_40_connections_refuse_nobody_else_a_look_up,
    attack_n2_one_persons_writes_from_40_connections_refuse_nobody_else_a_watched_call,
    attack_n2_a_session_that_calls_too_often_is_told_to_slow_down,
];

async fn attack_n2_one_persons_writes_from_40_connections_refuse_nobody_else_a_look_up(db: impl Backend) {
    for limits in [RateLimits::off(), RateLimits::default()] {
        withstands(&db, Freshness::Strict, limits).await;
    }
}

async fn attack_n2_one_persons_writes_from_40_connections_refuse_nobody_else_a_watched_call(
    db: impl Backend,
) {
    for limits in [RateLimits::off(), RateLimits::default()] {
        withstands(&db, Freshness::watched(), limits).await;
    }
}

async fn withstands(db: &impl Backend, freshness: Freshness, limits: RateLimits) {
    let bridge = builder(db).await.freshness(freshness).rate_limits(limits).build().unwrap();
    let gateway = Gateway::over(bridge).await;
    let innocent = gateway.link("innocent").await;
    let (over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let attack = (0..40).map(|_| async {
        let mut token = String::from("none");
        while !over.load(Ordering::Relaxed) {
            for path in ["/oauth-client", "/logout"] {
                let answer = gateway.call(Method::POST, &format!("{PREFIX}{path}"), &token).await;
                answered.fetch_add(1, Ordering::Relaxed);
                if answer.status == StatusCode::UNAUTHORIZED {
                    token = link_again(&gateway).await.unwrap_or(token);
                }
            }
        }
    });
    let calls = async {
        let mut calls = 0;
        while calls < 500 || answered.load(Ordering::Relaxed) < 200 {
            calls += 1;
            let answer = gateway.call(Method::GET, "/v1/echo", &innocent).await;
            assert_eq!(answer.status, StatusCode::OK, "{calls}: {answer:?}");
        }
        over.store(true, Ordering::Relaxed);
    };
    tokio::join!(join_all(attack), calls);
}

/// Links the attacker's bridge, unless it is refused: too many do.
async fn link_again(gateway: &Gateway) -> Option<String> {
    let code = send(gateway.post("/code", &json!({})).header(COOKIE, "login=attacker")).await;
    let code = (code.status == StatusCode::CREATED).then(|| code.text("code"))?;
    let linked = gateway.exchange(&code).await;
    (linked.status == StatusCode::OK).then(|| linked.text("token"))
}

async fn attack_n2_a_session_that_calls_too_often_is_told_to_slow_down(db: impl Backend) {
    let limits = RateLimits::default().calls_per_session(6);
    let gateway = Gateway::over(builder(&db).await.rate_limits(limits).build().unwrap()).await;
    let attacker = gateway.link("attacker").await;
    let provision =
        async |token: &str| gateway.call(Method::POST, &format!("{PREFIX}/oauth-client"), token).await;
    let answers = join_all((0..40).map(|_| provision(&attacker))).await;
    let allowed = answers.iter().filter(|answer| answer.status == StatusCode::OK).count();
    let limited: Vec<_> = answers.iter().filter(|answer| answer.is_problem(429, "slow_down")).collect();
    assert!(allowed <= 6 && allowed + limited.len() == 40, "{answers:?}");
    assert!(limited.iter().all(|answer| answer.header("retry-after").parse::<u64>().is_ok()));
    let listed = gateway.call(Method::GET, &format!("{PREFIX}/sessions"), &attacker).await;
    assert!(listed.is_problem(429, "slow_down"), "{listed:?}");
    let begun = Instant::now();
    assert!(provision(&attacker).await.is_problem(429, "slow_down"));
    assert!(begun.elapsed() > Duration::from_millis(900), "who asks in a loop waits");
    // The session alone is meant: its calls go on, and so does all of another of the same person.
    assert!(gateway.admits(&attacker).await);
    assert_eq!(provision(&gateway.link("attacker").await).await.status, StatusCode::OK);
    assert_eq!(provision(&gateway.link("innocent").await).await.status, StatusCode::OK);
}
