//! A standby is promoted: beside a primary that runs on, stops, or is frozen.

use std::time::Duration;

use reqwest::StatusCode;
use tokio::time::Instant;

use super::{FENCE, Home, RECOVERY, STRICT, WATCHED, all_unavailable_after, none_let_in_after, url_of_both};
use crate::support::replicated::{Pair, Replication, tell};

const SYNCHRONOUS: Replication = Replication::Synchronous("remote_apply");
/// How long it is watched that nobody is let in.
const AFTERWARDS: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_n10_gateways_on_an_old_primary_let_in_nobody_who_was_revoked_on_the_new_one() {
    let pair = Pair::start(SYNCHRONOUS).await;
    let home = Home::new();
    let [strict, watched] = home.one_of_each(&pair.primary.url()).await;
    let (revoked, live) = (strict.link("mallory").await, strict.link("alice").await);
    for gateway in [&strict, &watched] {
        assert_eq!(gateway.call(&revoked).await.status, StatusCode::OK);
        assert_eq!(gateway.call(&live).await.status, StatusCode::OK);
    }

    pair.promote().await;
    let on_new = home.gateway(&pair.standby.url(), STRICT).await;
    assert_eq!(on_new.revoke_all("mallory").await, StatusCode::OK);
    let acknowledged = Instant::now();

    let (a, b, c, d) = tokio::join!(
        strict.call_for(AFTERWARDS, &revoked),
        watched.call_for(AFTERWARDS, &revoked),
        strict.call_for(AFTERWARDS, &live),
        watched.call_for(AFTERWARDS, &live),
    );
    for (gateway, revoked, live) in [(&strict, a, c), (&watched, b, d)] {
        none_let_in_after(acknowledged, gateway.bound, &revoked);
        all_unavailable_after(acknowledged, gateway.bound, &live);
        gateway.says_why_it_is_not_ready().await;
    }
    assert_eq!(on_new.call(&revoked).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(on_new.call(&live).await.status, StatusCode::OK);
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
    let [strict, watched] = home.one_of_each(&url_of_both(&pair.primary, &pair.standby)).await;
    let (revoked, live) = (strict.link("mallory").await, strict.link("alice").await);
    for gateway in [&strict, &watched] {
        assert_eq!(gateway.call(&revoked).await.status, StatusCode::OK);
        assert_eq!(gateway.call(&live).await.status, StatusCode::OK);
    }

    pair.promote().await;
    let on_new = home.gateway(&pair.standby.url(), STRICT).await;
    assert_eq!(on_new.revoke_all("mallory").await, StatusCode::OK);
    let acknowledged = Instant::now();
    tell(&pair.primary, end_of_the_old).await;

    let all = RECOVERY + FENCE;
    let ((), (), a, b) = tokio::join!(
        strict.recovers(&live),
        watched.recovers(&live),
        strict.call_for(all, &revoked),
        watched.call_for(all, &revoked),
    );
    for (gateway, revoked_answers) in [(&strict, a), (&watched, b)] {
        none_let_in_after(acknowledged, gateway.bound, &revoked_answers);
        assert_eq!(gateway.call(&revoked).await.status, StatusCode::UNAUTHORIZED);
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
