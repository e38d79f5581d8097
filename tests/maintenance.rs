//! `Bridge::maintain`: what a gateway does now and then by itself.

use std::sync::Arc;
use std::time::Duration;

use bridge_auth::Bridge;
use tokio::time::{sleep, timeout};

use crate::store::promises;
use crate::support::bridge::{access, builder, builder_over};
use crate::support::counting::Counting;
use crate::support::{Backend, SqliteBackend};
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};

promises![dead_rows_go_by_themselves_and_live_ones_stay];

const OFTEN: Duration = Duration::from_secs(1);

async fn dead_rows_go_by_themselves_and_live_ones_stay(db: impl Backend) {
    let bridge = builder(&db).await.build().unwrap();
    for _ in 0..3 {
        access(&bridge, "alice", "").await;
    }
    db.pass_time(Duration::from_secs(26 * 3600)).await;
    let live = access(&bridge, "bob", "").await;
    bridge.maintain(OFTEN);
    let swept = async {
        while db.count("sessions").await > 1 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(20), swept).await.expect("the dead sessions are deleted");
    let devices = bridge.admin().devices_of(&live.user, &Default::default()).await.unwrap();
    assert_eq!(devices.devices.len(), 1);
}

async fn counting() -> (SqliteBackend, Arc<Counting>, Bridge) {
    let db = SqliteBackend::start().await;
    let store = Arc::new(Counting::new(db.open().await));
    let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
    let bridge = builder_over(store.clone(), keys).build().unwrap();
    (db, store, bridge)
}

async fn sweeps_become(store: &Counting, at_least: usize) {
    let counted = async {
        while store.sweeps() < at_least {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(20), counted).await.expect("the sweep goes on");
}

#[tokio::test]
async fn a_fault_and_even_a_panic_of_the_store_end_one_round_alone() {
    let (_db, store, bridge) = counting().await;
    store.break_sweeps();
    bridge.maintain(OFTEN);
    sweeps_become(&store, 2).await;
    store.panic_at_sweeps();
    let before = store.sweeps();
    sweeps_become(&store, before + 2).await;
}

#[tokio::test]
async fn it_ends_with_the_last_clone_of_the_bridge_and_its_services() {
    let (_db, store, bridge) = counting().await;
    bridge.maintain(OFTEN);
    bridge.maintain(OFTEN);
    let service = bridge.service();
    drop(bridge);
    sweeps_become(&store, 2).await;
    drop(service);
    let before = store.sweeps();
    sleep(3 * OFTEN).await;
    assert!(store.sweeps() <= before + 1, "a sweep that had begun may still be counted");
}

#[test]
#[should_panic(expected = "reactor")]
fn it_needs_a_runtime() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (_db, _store, bridge) = runtime.block_on(counting());
    bridge.maintain(OFTEN);
}
