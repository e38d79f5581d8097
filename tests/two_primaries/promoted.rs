//! A standby is promoted: beside a primary that runs on, stops, or is frozen.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::StatusCode;
use tokio::time::Instant;

use super::{
    Gateway, Home, MAX_PROOF_AGE, RECOVERY, STRICT, Session, WATCHED, link_two, none_let_in_after,
    proved_nothing_after, url_of_both,
};
use crate::support::replicated::{Pair, Replication, gateways_backends, tell};

const SYNCHRONOUS: Replication = Replication::Synchronous("remote_apply");
/// How long it is watched that nobody is let in.
const AFTERWARDS: Duration = Duration::from_secs(5);
/// How many call at once where each must be answered by itself: more than a gateway has connections.
const CALLERS: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_n10_gateways_on_an_old_primary_let_in_nobody_who_was_revoked_on_the_new_one() {
    let pair = Pair::start(SYNCHRONOUS).await;
    let home = Home::new();
    let gateways = home.one_of_each(&pair.primary.url()).await;
    let [revoked, live] = link_two(&gateways).await;
    let (on_new, acknowledged) = promote_and_revoke(&pair, &home).await;

    let call =
        async |session| join_all(gateways.iter().map(|gateway| gateway.call_for(AFTERWARDS, session))).await;
    let (of_revoked, of_live) = tokio::join!(call(&revoked), call(&live));
    for (gateway, answers) in gateways.iter().zip(&of_revoked) {
        none_let_in_after(acknowledged, gateway.bound, answers);
    }
    proved_nothing_after(acknowledged, &gateways, &of_live).await;
    assert_eq!(on_new.call(&revoked).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(on_new.call(&live).await.status, StatusCode::OK);
}

/// Where each look-up has a proof of its own, what is acknowledged elsewhere is in force at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_n10_with_a_proof_age_of_zero_an_old_primary_lets_in_nobody_from_the_first_request_on() {
    let pair = Pair::start(SYNCHRONOUS).await;
    let home = Home::new();
    let gateways = [home.gateway_with(&pair.primary.url(), STRICT, Duration::ZERO).await];
    let [revoked, live] = link_two(&gateways).await;
    for answer in gateways[0].call_for(MAX_PROOF_AGE, &live).await {
        assert_eq!(answer.status, StatusCode::OK, "there is one primary: {answer:?}");
    }

    let (on_new, acknowledged) = promote_and_revoke(&pair, &home).await;
    let call = async |session: &Session| {
        let callers = (0..CALLERS).map(|_| gateways[0].call_for(AFTERWARDS, session));
        join_all(callers).await.concat()
    };
    let (of_revoked, of_live) = tokio::join!(call(&revoked), call(&live));
    none_let_in_after(acknowledged, Duration::ZERO, &of_revoked);
    let at_once = of_revoked.iter().filter(|answer| answer.sent < acknowledged + MAX_PROOF_AGE).count();
    assert!(at_once >= CALLERS, "nothing is proved by {at_once} requests in the first second");
    proved_nothing_after(acknowledged, &gateways, &[of_live]).await;
    assert_eq!(on_new.call(&revoked).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(on_new.call(&live).await.status, StatusCode::OK);
}

/// Promotes the standby, and revokes all of Mallory's through a gateway on it: that, and when it was acknowledged.
async fn promote_and_revoke(pair: &Pair, home: &Home) -> (Gateway, Instant) {
    pair.promote().await;
    let on_new = home.gateway(&pair.standby.url(), STRICT).await;
    assert_eq!(on_new.revoke_all("mallory").await, StatusCode::OK);
    (on_new, Instant::now())
}

/// The old primary does not know the session, so there is nothing that it would have to write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_n10_an_old_primary_acknowledges_no_revocation_of_what_it_does_not_know() {
    let pair = Pair::start(SYNCHRONOUS).await;
    let home = Home::new();
    let on_old = home.gateway(&pair.primary.url(), STRICT).await;
    let known = on_old.link("alice").await;
    pair.promote().await;
    let on_new = home.gateway(&pair.standby.url(), STRICT).await;
    let unknown = on_new.link("mallory").await;

    for status in [on_old.revoke(&unknown).await, on_old.revoke_all("mallory").await] {
        assert!(!status.is_success(), "{status}");
    }
    for status in [on_old.revoke(&known).await, on_old.revoke_all("alice").await] {
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(on_new.call(&unknown).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_n10_gateways_that_know_both_hosts_recover_on_the_new_primary_once_the_old_one_stops() {
    goes_over_to_the_new_primary("stop").await;
}

/// A frozen server still takes connections, and never answers on them. The bound is [`RECOVERY`].
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_n10_gateways_that_know_both_hosts_recover_on_the_new_primary_while_the_old_one_is_frozen() {
    goes_over_to_the_new_primary("pause").await;
}

async fn goes_over_to_the_new_primary(end_of_the_old: &'static str) {
    let pair = Pair::start(SYNCHRONOUS).await;
    let home = Home::new();
    let gateways = home.one_of_each(&url_of_both(&pair.primary, &pair.standby)).await;
    let [revoked, live] = link_two(&gateways).await;
    let (_on_new, acknowledged) = promote_and_revoke(&pair, &home).await;
    tell(&pair.primary, end_of_the_old).await;

    let recover = join_all(gateways.iter().map(|gateway| gateway.recovers(&live)));
    let call = join_all(gateways.iter().map(|gateway| gateway.call_for(RECOVERY + MAX_PROOF_AGE, &revoked)));
    let (_, answers) = tokio::join!(recover, call);
    for (gateway, answers) in gateways.iter().zip(&answers) {
        none_let_in_after(acknowledged, gateway.bound, answers);
        assert_eq!(gateway.call(&revoked).await.status, StatusCode::UNAUTHORIZED);
    }
}

/// Nothing that is acknowledged goes to the old primary, not even while the new one is away and the old one acknowledges alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_n10_a_gateway_that_has_gone_over_never_goes_back() {
    let pair = Pair::start(SYNCHRONOUS).await;
    let home = Home::new();
    let gateways = home.one_of_each(&url_of_both(&pair.primary, &pair.standby)).await;
    let [_, live] = link_two(&gateways).await;
    pair.promote().await;
    let (new, start) = (pair.standby.client().await, Instant::now());
    let ticking = async || {
        let all = gateways_backends(&new).await;
        all.iter().filter(|backend| backend.contains("INSERT INTO bridge_auth.ticks")).count()
    };
    while ticking().await < gateways.len() {
        assert!(start.elapsed() < RECOVERY, "they do not go over");
        join_all(gateways.iter().map(|gateway| gateway.call(&live))).await;
    }
    join_all(gateways.iter().map(|gateway| gateway.recovers(&live))).await;

    let old = pair.primary.client().await;
    old.batch_execute("ALTER SYSTEM SET synchronous_standby_names = ''").await.unwrap();
    old.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    tell(&pair.standby, "stop").await;
    for gateway in &gateways {
        assert_eq!(gateway.revoke_all("alice").await, StatusCode::SERVICE_UNAVAILABLE);
    }

    tell(&pair.standby, "start").await;
    join_all(gateways.iter().map(|gateway| gateway.recovers(&live))).await;
    assert_eq!(gateways[0].revoke_all("alice").await, StatusCode::OK);
    let acknowledged = Instant::now();
    for gateway in &gateways {
        none_let_in_after(acknowledged, gateway.bound, &gateway.call_for(AFTERWARDS, &live).await);
        assert_eq!(gateway.call(&live).await.status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_n10_a_promoted_asynchronous_replica_is_one_warning_with_the_command_that_revokes_all() {
    let pair = Pair::start(Replication::Asynchronous).await;
    let home = Home::new();
    let gateway = home.gateway(&url_of_both(&pair.primary, &pair.standby), WATCHED).await;
    let live = gateway.link("alice").await;
    assert_eq!(gateway.call(&live).await.status, StatusCode::OK);
    pair.wait_until_caught_up().await;
    let before = warnings_of_an_undoing(&gateway.warnings());
    assert_eq!(before, 0, "{:?}", gateway.warnings());

    tell(&pair.primary, "stop").await;
    pair.promote().await;
    gateway.recovers(&live).await;
    gateway.call_for(Duration::from_secs(2), &live).await;
    assert_eq!(warnings_of_an_undoing(&gateway.warnings()), 1, "{:?}", gateway.warnings());
}

/// How many of `warnings` say that revocations may have been undone, and what to do.
fn warnings_of_an_undoing(warnings: &[String]) -> usize {
    warnings.iter().filter(|line| line.contains("undone") && line.contains("revoke")).count()
}
