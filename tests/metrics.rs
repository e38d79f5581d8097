//! What operators measure: each figure moves for its reason, in the metrics and in `watch_status`, on both stores.

use std::sync::Arc;
use std::time::Duration;

use bridge_auth::issue::Access;
use bridge_auth::store::{Replication, StoreErrorKind};
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use bridge_auth::{Bridge, Freshness, Rejection, Scopes, SignedIn};
use bytes::Bytes;
use futures_util::future::join_all;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::Full;
use metrics::Unit;
use rusqlite::Connection;
use tokio::time::{sleep, timeout};
use tower::ServiceExt as _;

use crate::support::bridge::{access, builder, builder_over, user};
use crate::support::counting::Counting;
use crate::support::meter::Meter;
use crate::support::pages;
use crate::support::{Backend, PostgresBackend, SqliteBackend};

/// Makes a test of each promise on each store, all on one thread: a meter hears no other.
macro_rules! measured {
    (@ $store:ident, $backend:ty: $($promise:ident)*) => {
        mod $store {
            $(
                #[tokio::test]
                async fn $promise() {
                    let db = <$backend as crate::support::Backend>::start().await;
                    let meter = super::Meter::default();
                    let _listening = metrics::set_default_local_recorder(&meter);
                    super::$promise(db, &meter).await;
                }
            )*
        }
    };
    ($($promise:ident),* $(,)?) => {
        measured!(@ sqlite, crate::support::SqliteBackend: $($promise)*);
        measured!(@ postgres, crate::support::PostgresBackend: $($promise)*);
    };
}

measured![
    a_shared_look_up_tells_its_time_its_batch_and_its_wait,
    the_age_of_a_strict_proof_grows_while_nobody_asks,
    the_age_of_a_watched_proof_grows_while_readings_fail,
    faults_of_ticks_are_told_and_counted,
    what_the_layer_cannot_judge_is_counted_by_cause,
    what_an_endpoint_cannot_answer_is_counted_by_cause,
    a_lent_connection_is_out_until_it_is_given_back,
];

const AGE: &str = "bridge_auth_proof_age_seconds";
const OUT: &str = "bridge_auth_pool_connections_out";
const UNAVAILABLE: &str = "bridge_auth_unavailable_total";

/// A database on which writes can be made to wait, and everything to fail.
trait Hampered: Backend {
    /// Nobody else writes until this is dropped.
    async fn keep_writes_waiting(&self) -> Box<dyn std::any::Any>;

    async fn break_everything(&self);
}

impl Hampered for SqliteBackend {
    async fn keep_writes_waiting(&self) -> Box<dyn std::any::Any> {
        let writer = Connection::open(self.path()).unwrap();
        writer.execute_batch("BEGIN IMMEDIATE").unwrap();
        Box::new(writer)
    }

    async fn break_everything(&self) {
        self.break_down();
    }
}

impl Hampered for PostgresBackend {
    async fn keep_writes_waiting(&self) -> Box<dyn std::any::Any> {
        let client = self.client().await;
        client.batch_execute("BEGIN; LOCK TABLE bridge_auth.users IN EXCLUSIVE MODE").await.unwrap();
        Box::new(client)
    }

    async fn break_everything(&self) {
        let sql = "ALTER TABLE bridge_auth.codes RENAME TO lost";
        self.client().await.batch_execute(sql).await.unwrap();
    }
}

async fn node(db: &impl Backend, freshness: Freshness) -> (Bridge, Arc<Counting>) {
    let store = Arc::new(Counting::new(db.open().await));
    let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
    let bridge = builder_over(store.clone(), keys).freshness(freshness).build().unwrap();
    (bridge, store)
}

async fn try_in(bridge: &Bridge, access: &Access) -> Result<(), Rejection> {
    let headers = HeaderMap::from_iter([(AUTHORIZATION, access.token.to_header_value())]);
    bridge.authenticator("bridge").unwrap().authenticate(&headers).await.map(drop)
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waited = timeout(Duration::from_secs(20), async {
        while !is_so() {
            sleep(Duration::from_millis(10)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("never: {what}"));
}

async fn a_shared_look_up_tells_its_time_its_batch_and_its_wait(db: impl Backend, meter: &Meter) {
    let (bridge, _) = node(&db, Freshness::Strict).await;
    let mut people = Vec::new();
    for number in 0..8 {
        people.push(access(&bridge, &format!("person{number}"), "chat").await);
    }
    let waits = meter.samples("bridge_auth_pool_wait_seconds", "").len();
    let before = bridge.watch_status();
    assert_eq!((before.look_up_time, before.batch_size, before.replication), (None, 0, None));
    for let_in in join_all(people.iter().map(|access| try_in(&bridge, access))).await {
        let_in.unwrap();
    }
    let (times, batches) = (
        meter.samples("bridge_auth_look_up_seconds", ""),
        meter.samples("bridge_auth_look_up_batch_size", ""),
    );
    assert_eq!(times.len(), batches.len());
    assert_eq!(batches.iter().sum::<f64>(), 8.0, "{batches:?}");
    assert!(batches.iter().any(|batch| *batch > 1.0), "{batches:?}");
    assert!(times.iter().all(|time| (0.000_001..10.0).contains(time)), "seconds: {times:?}");
    let waited = meter.samples("bridge_auth_pool_wait_seconds", "");
    assert!(waited.len() >= waits + batches.len(), "{waited:?}");
    let after = bridge.watch_status();
    let last = after.look_up_time.unwrap().as_secs_f64();
    assert!(times.contains(&last) && batches.contains(&(after.batch_size as f64)), "{after:?}");
    assert!(after.replication.is_some_and(|replication| replication == Replication::OneNode));
    let pool = after.pool.unwrap();
    assert!(pool.size > 4 && waited.contains(&pool.last_wait.as_secs_f64()), "{pool:?}");
    assert_eq!(after.unavailable, []);
}

async fn the_age_of_a_strict_proof_grows_while_nobody_asks(db: impl Backend, meter: &Meter) {
    let (bridge, _) = node(&db, Freshness::Strict).await;
    let access = access(&bridge, "alice", "chat").await;
    try_in(&bridge, &access).await.unwrap();
    assert!(bridge.watch_status().proven);
    until("the age is told, and grows", || meter.value(AGE, "") > 1.0).await;
    let told = meter.value(AGE, "");
    assert!(bridge.watch_status().age.unwrap().as_secs_f64() >= told);
    until("it grows on", || meter.value(AGE, "") > told).await;
    assert!(!bridge.watch_status().proven);
    try_in(&bridge, &access).await.unwrap();
    until("it is young again", || meter.value(AGE, "") < told).await;
}

async fn the_age_of_a_watched_proof_grows_while_readings_fail(db: impl Backend, meter: &Meter) {
    let (bridge, store) = node(&db, Freshness::Watched { max_lag: Duration::from_millis(200) }).await;
    let access = access(&bridge, "alice", "chat").await;
    try_in(&bridge, &access).await.unwrap();
    until("a first reading", || bridge.watch_status().proven).await;
    store.break_log();
    until("it grows", || meter.value(AGE, "") > 1.5).await;
    assert!(meter.value("bridge_auth_watch_faults_total", "timed_out") > 0.0);
    let status = bridge.watch_status();
    assert!(status.faults > 0 && !status.proven, "{status:?}");
    assert_eq!(status.last_fault, Some(StoreErrorKind::TimedOut));
    store.mend();
    until("it is young again", || meter.value(AGE, "") < 1.0).await;
    assert_eq!(bridge.watch_status().last_fault, None);
}

async fn faults_of_ticks_are_told_and_counted(db: impl Backend, meter: &Meter) {
    let (bridge, store) = node(&db, Freshness::Strict).await;
    let access = access(&bridge, "alice", "chat").await;
    store.break_ticks();
    let refused = try_in(&bridge, &access).await.unwrap_err();
    assert_eq!(refused, Rejection::Unavailable(StoreErrorKind::Unproven));
    assert!(meter.value("bridge_auth_tick_faults_total", "timed_out") > 0.0);
    assert_eq!(meter.value(UNAVAILABLE, "unproven"), 1.0);
    let status = bridge.watch_status();
    assert!(status.faults > 0 && status.age.is_none() && !status.proven, "{status:?}");
    store.mend();
    // The fault counts for a while: nobody waits for the next tick meanwhile.
    while try_in(&bridge, &access).await.is_err() {
        sleep(Duration::from_millis(10)).await;
    }
    let status = bridge.watch_status();
    assert!(status.proven && status.last_fault.is_none(), "{status:?}");
}

async fn what_the_layer_cannot_judge_is_counted_by_cause(db: impl Backend, meter: &Meter) {
    let (bridge, store) = node(&db, Freshness::Strict).await;
    let access = access(&bridge, "alice", "chat").await;
    try_in(&bridge, &access).await.unwrap();
    store.break_look_ups();
    for number in 1..=3_u32 {
        try_in(&bridge, &access).await.unwrap_err();
        assert_eq!(meter.value(UNAVAILABLE, "timed_out"), f64::from(number));
        assert_eq!(bridge.watch_status().unavailable, [(StoreErrorKind::TimedOut, u64::from(number))]);
    }
    store.mend();
    try_in(&bridge, &access).await.unwrap();
    assert_eq!(meter.value(UNAVAILABLE, "timed_out"), 3.0);
}

async fn what_an_endpoint_cannot_answer_is_counted_by_cause(db: impl Hampered, meter: &Meter) {
    let bridge = builder(&db).await.build().unwrap();
    db.break_everything().await;
    let request = Request::post("/session").header(CONTENT_TYPE, "application/json");
    let body = format!(r#"{{"code":"{}"}}"#, "0".repeat(64));
    let request = request.body(Full::new(Bytes::from(body))).unwrap();
    let answer = bridge.service().oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let unavailable = bridge.watch_status().unavailable;
    let [(cause @ (StoreErrorKind::Failed | StoreErrorKind::Misconfigured), 1)] = unavailable[..] else {
        panic!("{unavailable:?}")
    };
    assert_eq!(meter.value(UNAVAILABLE, cause.as_str()), 1.0);
}

async fn a_lent_connection_is_out_until_it_is_given_back(db: impl Hampered, meter: &Meter) {
    let bridge = builder(&db).await.build().unwrap();
    let out = || bridge.watch_status().pool.unwrap().connections_out;
    let alice = SignedIn::new(user("alice"), Scopes::parse("chat").unwrap());
    let waiting = db.keep_writes_waiting().await;
    let issuer = bridge.issuer().clone();
    let write = tokio::spawn(async move { issuer.register_user(&alice).await });
    until("a write waits", || out() == 1 && meter.value(OUT, "") == 1.0).await;
    drop(waiting);
    write.await.unwrap().unwrap();
    until("it is given back", || out() == 0 && meter.value(OUT, "") == 0.0).await;

    // Nobody waits for this one any more, and it is out all the same.
    let waiting = db.keep_writes_waiting().await;
    let bob = SignedIn::new(user("bob"), Scopes::parse("chat").unwrap());
    let issuer = bridge.issuer().clone();
    let write = tokio::spawn(async move { issuer.register_user(&bob).await });
    until("a write waits", || out() == 1).await;
    write.abort();
    assert!(write.await.is_err());
    assert_eq!(out(), 1);
    drop(waiting);
    until("it is given back", || out() == 0).await;
}

#[tokio::test]
async fn every_metric_is_described_by_the_table() {
    let meter = Meter::default();
    let _listening = metrics::set_default_local_recorder(&meter);
    let db = SqliteBackend::start().await;
    builder(&db).await.build().unwrap();
    let described = meter.described();
    assert_eq!(described.len(), pages::metrics().len());
    for [name, kind, unit, help] in pages::metrics() {
        let name = name.trim_matches('`');
        let (_, told, text) = described.iter().find(|(described, ..)| described == name).unwrap();
        let seconds = name.ends_with("_seconds");
        assert_eq!(*told == Some(Unit::Seconds), seconds, "{name}");
        assert_eq!((unit == "seconds", kind == "counter"), (seconds, name.ends_with("_total")), "{name}");
        assert!(!text.contains('`') && text.len() > 10 && help.ends_with('.'), "{name}: {text}");
    }
}
