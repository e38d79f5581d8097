//! Watched on PostgreSQL as it is shipped: a database that was just migrated, and nobody who analyses it.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bridge_auth::authenticate::Authenticator;
use bridge_auth::issue::{Access, Exchange};
use bridge_auth::store::PostgresStore;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use bridge_auth::{Bridge, Freshness, Scopes, SignedIn};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep};

use crate::support::PostgresBackend;
use crate::support::bridge::{access, builder_over, user};
use crate::support::postgres::Cluster;

/// For how long it is looked at.
const TIME: Duration = Duration::from_secs(10);

/// A watching gateway.
struct Node {
    db: PostgresBackend,
    bridge: Bridge,
    authenticator: Authenticator,
    access: Access,
    _cluster: Cluster,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_n13_an_idle_bridge_is_proven_and_costs_the_server_next_to_nothing() {
    let node = Node::start().await;
    let before = node.processor().await;
    let begun = Instant::now();
    let proven = node.proven().await;
    let cost = (node.processor().await - before) / begun.elapsed().as_secs_f64();
    assert!(proven >= 0.99, "proven in {:.1} % of the samples", proven * 100.0);
    assert!(cost < 0.005, "the idle bridge costs the server {:.2} % of a core", cost * 100.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_n13_a_bridge_under_load_is_proven() {
    let node = Node::start().await;
    let (mut calls, mut exchanges) = (0, 0);
    let accesses = Mutex::new(vec![node.access.clone()]);
    let end = Instant::now() + TIME;
    // Four hundred calls and twenty exchanges a second.
    let calling = async {
        let mut beat = beat(Duration::from_millis(10));
        while beat.tick().await < end {
            for _ in 0..4 {
                let access = {
                    let all = accesses.lock().unwrap();
                    all[calls % all.len()].clone()
                };
                node.call(&access).await;
                calls += 1;
            }
        }
    };
    let exchanging = async {
        let mut beat = beat(Duration::from_millis(50));
        while beat.tick().await < end {
            let access = node.exchange(exchanges).await;
            accesses.lock().unwrap().push(access);
            exchanges += 1;
        }
    };
    let (proven, (), ()) = tokio::join!(node.proven(), calling, exchanging);
    assert!(calls > 1000 && exchanges > 50, "only {calls} calls and {exchanges} exchanges were made");
    assert!(proven >= 0.99, "proven in {:.1} % of the samples", proven * 100.0);
}

/// What was missed is not made up for.
fn beat(period: Duration) -> Interval {
    let mut beat = interval(period);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beat
}

impl Node {
    /// On a server with its own settings, but for autovacuum, which would analyse the tables sooner or later.
    async fn start() -> Self {
        let settings = ["autovacuum = off", "fsync = on", "full_page_writes = on", "shared_buffers = 128MB"];
        let cluster = Cluster::start_with(&settings.map(str::to_owned));
        let db = PostgresBackend::in_cluster(&cluster).await;
        let store = Arc::new(PostgresStore::builder(&db.url()).migrate(false).connect().await.unwrap());
        let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
        let bridge = builder_over(store, keys).freshness(Freshness::watched()).build().unwrap();
        let authenticator = bridge.authenticator("bridge").unwrap();
        let access = access(&bridge, "alice", "").await;
        let node = Self { db, bridge, authenticator, access, _cluster: cluster };
        // The first request starts the watcher, the next is remembered.
        node.call(&node.access).await;
        while !node.is_proven() {
            sleep(Duration::from_millis(1)).await;
        }
        node.call(&node.access).await;
        node
    }

    async fn call(&self, access: &Access) {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, access.token.to_header_value())]);
        self.authenticator.authenticate(&headers).await.unwrap();
    }

    /// A person links a bridge.
    async fn exchange(&self, number: usize) -> Access {
        let signed_in = SignedIn::new(user(&format!("person-{number}")), Scopes::default());
        let code = self.bridge.issuer().issue_code(&signed_in, Default::default()).await.unwrap().code;
        let exchange = Exchange::new(code);
        self.bridge.issuer().exchange(exchange).await.unwrap()
    }

    fn is_proven(&self) -> bool {
        self.bridge.watch_status().proven
    }

    /// In which part of the time remembered verdicts were used.
    async fn proven(&self) -> f64 {
        let (mut proven, mut samples) = (0_u32, 0_u32);
        let end = Instant::now() + TIME;
        while Instant::now() < end {
            sleep(Duration::from_millis(10)).await;
            samples += 1;
            proven += u32::from(self.is_proven());
        }
        f64::from(proven) / f64::from(samples)
    }

    /// Seconds of processor time that all processes of the server have used. One that ends takes its own along, so none may
    /// end meanwhile.
    async fn processor(&self) -> f64 {
        let client = self.db.client().await;
        let sql = "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()";
        let rows = client.query(sql, &[]).await.unwrap();
        let nanoseconds = rows.iter().map(|row| {
            let file = format!("/proc/{}/schedstat", row.get::<_, i32>(0));
            let stat = fs::read_to_string(&file).unwrap();
            stat.split(' ').next().unwrap().parse::<f64>().unwrap()
        });
        nanoseconds.sum::<f64>() / 1e9
    }
}
