//! The one synchronous standby is gone: nothing is acknowledged, and nothing is proved. An isolated primary cannot
//! tell this from a standby that was promoted elsewhere.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::StatusCode;
use tokio::time::{Instant, sleep, timeout};

use super::{Gateway, Home, POOL_SIZE, Session, proved_nothing_after};
use crate::support::replicated::{Pair, Replication, cancel_synchronous_waits, gateways_backends, tell};

/// Longer than any write may take, twice over.
const OUTAGE: Duration = Duration::from_secs(22);
/// How many write at once on each gateway: more than it has connections.
const WRITERS: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_n10_without_its_standby_a_primary_acknowledges_nothing_and_is_not_used_up() {
    keeps_quiet_without_its_standby("remote_apply").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_n10_the_same_when_the_standby_is_waited_for_only_until_it_has_flushed() {
    keeps_quiet_without_its_standby("on").await;
}

async fn keeps_quiet_without_its_standby(level: &'static str) {
    let pair = Pair::start(Replication::Synchronous(level)).await;
    let home = Home::new();
    let gateways = home.one_of_each(&pair.primary.url()).await;
    let live = gateways[0].link("alice").await;
    let doomed = gateways[0].link("mallory").await;
    for gateway in &gateways {
        assert_eq!(gateway.call(&live).await.status, StatusCode::OK);
    }

    tell(&pair.standby, "stop").await;
    let gone = Instant::now();
    let admin = pair.primary.client().await;
    let over = AtomicBool::new(false);
    let write = join_all(gateways.iter().map(|gateway| write_until(&over, gateway, &doomed)));
    let call = join_all(gateways.iter().map(|gateway| gateway.call_for(OUTAGE, &live)));
    let count = async {
        let mut most = Vec::new();
        while gone.elapsed() < OUTAGE {
            let seen = gateways_backends(&admin).await;
            if seen.len() > most.len() {
                most = seen;
            }
            sleep(Duration::from_millis(100)).await;
        }
        over.store(true, Ordering::Relaxed);
        most
    };
    let (acknowledged, answers, most) = tokio::join!(write, call, count);
    assert_eq!(acknowledged, [0, 0], "acknowledged, and not replicated");
    assert!(most.len() <= gateways.len() * POOL_SIZE, "connections of two gateways: {most:#?}");
    proved_nothing_after(gone, &gateways, &answers).await;

    tell(&pair.standby, "start").await;
    for gateway in &gateways {
        recovers(gateway, &live).await;
        gateway.link("bob").await;
        assert_eq!(gateway.call(&doomed).await.status, StatusCode::UNAUTHORIZED);
    }
}

/// Writes of all kinds until `over`. How many were acknowledged.
async fn write_until(over: &AtomicBool, gateway: &Gateway, doomed: &Session) -> usize {
    let writers = (0..WRITERS).map(|number| async move {
        let mut acknowledged = 0;
        while !over.load(Ordering::Relaxed) {
            let done = match number % 3 {
                0 => gateway.code(&format!("person-{number}")).await.is_ok(),
                1 => gateway.revoke(doomed).await.is_success(),
                _ => gateway.revoke_all("mallory").await.is_success(),
            };
            acknowledged += usize::from(done);
            sleep(Duration::from_millis(50)).await;
        }
        acknowledged
    });
    join_all(writers).await.into_iter().sum()
}

/// A wait that is cancelled commits on the primary alone, with a mere warning.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_n10_a_cancelled_wait_for_the_standby_acknowledges_nothing_and_proves_nothing() {
    let pair = Pair::start(Replication::Synchronous("remote_apply")).await;
    let home = Home::new();
    let gateways = home.one_of_each(&pair.primary.url()).await;
    let live = gateways[0].link("alice").await;
    let doomed = [gateways[0].link("mallory").await, gateways[0].link("mallory").await];
    let codes = [gateways[0].code("bob").await.unwrap(), gateways[0].code("bob").await.unwrap()];
    for gateway in &gateways {
        assert_eq!(gateway.call(&live).await.status, StatusCode::OK);
    }

    tell(&pair.standby, "stop").await;
    let gone = Instant::now();
    let admin = pair.primary.client().await;
    let time = Duration::from_secs(6);
    let cancel = async {
        let mut cancelled = 0;
        while gone.elapsed() < time {
            cancelled += cancel_synchronous_waits(&admin).await;
            sleep(Duration::from_millis(10)).await;
        }
        cancelled
    };
    let write =
        join_all(gateways.iter().zip(&doomed).zip(&codes).map(|((gateway, doomed), code)| async move {
            let revoked = gateway.revoke(doomed).await;
            let exchanged = gateway.exchange(code).await.map(|session| session.id);
            (revoked, exchanged, gateway.revoke_all("mallory").await)
        }));
    // Nobody waits for longer than a write may take.
    let write = timeout(Duration::from_secs(40), write);
    let call = join_all(gateways.iter().map(|gateway| gateway.call_for(time, &live)));
    let (cancelled, writes, answers) = tokio::join!(cancel, write, call);
    assert!(cancelled > 0, "nothing waited for the standby");
    for (revoked, exchanged, all_revoked) in writes.expect("every write is answered") {
        assert_eq!(revoked, StatusCode::SERVICE_UNAVAILABLE, "a revocation");
        assert_eq!(exchanged, Err(StatusCode::SERVICE_UNAVAILABLE), "an exchange");
        assert_eq!(all_revoked, StatusCode::SERVICE_UNAVAILABLE, "a revocation of all");
    }
    proved_nothing_after(gone, &gateways, &answers).await;

    tell(&pair.standby, "start").await;
    for gateway in &gateways {
        recovers(gateway, &live).await;
    }
}

/// `gateway` lets `live` in again, and Mallory can be revoked.
async fn recovers(gateway: &Gateway, live: &Session) {
    gateway.recovers(live).await;
    assert_eq!(gateway.revoke_all("mallory").await, StatusCode::OK);
}
