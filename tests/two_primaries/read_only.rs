//! The primary is made read-only, as an operator does before a move.

use std::time::Duration;

use reqwest::StatusCode;
use tokio::time::Instant;

use super::{Home, all_unavailable_after};
use crate::support::postgres::Cluster;
use crate::support::replicated::set_read_only;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_n10_a_primary_made_read_only_proves_nothing_and_the_gateway_recovers_by_itself() {
    let cluster = Cluster::start();
    let home = Home::new();
    let [strict, watched] = home.one_of_each(&cluster.url()).await;
    let live = strict.link("alice").await;
    for gateway in [&strict, &watched] {
        assert_eq!(gateway.call(&live).await.status, StatusCode::OK);
    }

    set_read_only(&cluster, true).await;
    let read_only = Instant::now();
    let first = strict.call(&live).await;
    assert_eq!(first.status, StatusCode::SERVICE_UNAVAILABLE, "the first request after it");
    assert!(first.says_when_to_try_again && first.took < Duration::from_secs(1), "{first:?}");
    let time = Duration::from_secs(4);
    let (strict_answers, watched_answers) =
        tokio::join!(strict.call_for(time, &live), watched.call_for(time, &live));
    all_unavailable_after(read_only, Duration::ZERO, &strict_answers);
    all_unavailable_after(read_only, watched.bound, &watched_answers);
    for gateway in [&strict, &watched] {
        gateway.says_why_it_is_not_ready().await;
        assert_eq!(gateway.code("bob").await.unwrap_err(), StatusCode::SERVICE_UNAVAILABLE);
    }

    set_read_only(&cluster, false).await;
    for gateway in [&strict, &watched] {
        gateway.recovers(&live).await;
        gateway.link("bob").await;
    }
}
