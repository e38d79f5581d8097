//! Ticks on a real PostgreSQL: when one is made, what it serves, and what becomes of requests when the line to the primary is lost.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bridge_auth::authenticate::Authenticator;
use bridge_auth::issue::Access;
use bridge_auth::store::{PostgresStore, Replication, Store};
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use bridge_auth::{Bridge, BridgeBuilder, Freshness, Rejection};
use futures_util::future::join_all;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use tokio::time::{sleep, timeout};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::support::bridge::{access, builder_over};
use crate::support::postgres::{Cluster, connect};
use crate::support::record::Record;
use crate::support::replicated::{Pair, Replication as Pairing};
use crate::support::{Backend, PostgresBackend};

/// How soon before it is too old a tick is made anew: a quarter of `max_proof_age`, which is a second.
const PERIOD: Duration = Duration::from_millis(250);

/// A bridge and what it has of a database.
struct Node {
    bridge: Bridge,
    authenticator: Authenticator,
}

impl Node {
    fn new(store: Arc<dyn Store>, keys: KeyRing, set: impl FnOnce(BridgeBuilder) -> BridgeBuilder) -> Self {
        let bridge = set(builder_over(store, keys)).build().unwrap();
        let authenticator = bridge.authenticator("bridge").unwrap();
        Self { bridge, authenticator }
    }

    /// A strict one on a store of its own.
    async fn strict(db: &impl Backend) -> Self {
        Self::new(db.open().await, keys(), |builder| builder)
    }

    async fn try_in(&self, access: &Access) -> Result<(), Rejection> {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, access.token.to_header_value())]);
        self.authenticator.authenticate(&headers).await.map(drop)
    }
}

fn keys() -> KeyRing {
    KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap()
}

/// The number of the newest tick of each lease.
async fn numbers(client: &Client) -> Vec<i64> {
    let rows = client.query("SELECT number FROM bridge_auth.ticks ORDER BY begun_at", &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let waited = timeout(Duration::from_secs(30), async {
        while !is_so().await {
            sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test]
async fn a_tick_is_a_row_whose_number_grows() {
    let db = PostgresBackend::start().await;
    let client = db.client().await;
    let (store, other) = (db.open().await, db.open().await);
    assert_eq!(numbers(&client).await, [] as [i64; 0], "nobody has asked for one");
    for number in 1..=3 {
        assert_eq!(store.tick().await.unwrap().replication, Replication::OneNode);
        assert_eq!(numbers(&client).await, [number]);
    }
    other.tick().await.unwrap();
    assert_eq!(numbers(&client).await, [3, 1], "a lease is one connection of one store");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strict_bridge_makes_no_ticks_while_idle_and_one_serves_many_look_ups() {
    let db = PostgresBackend::start().await;
    let client = db.client().await;
    let node = Node::strict(&db).await;
    let access = access(&node.bridge, "alice", "chat").await;
    assert_eq!(numbers(&client).await, [] as [i64; 0], "nobody has asked for a verdict");

    let (began, mut requests) = (Instant::now(), 0);
    while began.elapsed() < 4 * PERIOD {
        for let_in in join_all((0..8).map(|_| node.try_in(&access))).await {
            let_in.unwrap();
            requests += 1;
        }
    }
    let most = began.elapsed().as_millis() / PERIOD.as_millis() + 2;
    let busy = numbers(&client).await;
    assert!(busy.len() == 1 && busy[0] as u128 <= most, "{busy:?} ticks, {requests} requests");
    assert!(requests > 5 * busy[0], "{busy:?} ticks, {requests} requests");

    // The last request may have begun one for the next.
    sleep(2 * PERIOD).await;
    let idle = numbers(&client).await;
    sleep(6 * PERIOD).await;
    assert_eq!(numbers(&client).await, idle, "nobody asks");
    assert!(!node.bridge.watch_status().proven);
    node.try_in(&access).await.unwrap();
    assert_eq!(numbers(&client).await, [idle[0] + 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_no_tick_may_be_older_each_look_up_makes_one() {
    let db = PostgresBackend::start().await;
    let client = db.client().await;
    let node = Node::new(db.open().await, keys(), |builder| builder.max_proof_age(Duration::ZERO));
    let access = access(&node.bridge, "alice", "chat").await;
    for number in 1..=20 {
        node.try_in(&access).await.unwrap();
        assert_eq!(numbers(&client).await, [number]);
    }
    for let_in in join_all((0..20).map(|_| node.try_in(&access))).await {
        let_in.unwrap();
    }
    let shared = numbers(&client).await[0] - 20;
    assert!((1..20).contains(&shared), "{shared} ticks for 20 requests at once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_proof_age_nobody_waits_for_a_tick_and_a_strict_bridge_makes_none() {
    let db = PostgresBackend::start().await;
    for freshness in [Freshness::Strict, Freshness::watched()] {
        let node =
            Node::new(db.open().await, keys(), |builder| builder.freshness(freshness).danger_without_proof());
        let access = access(&node.bridge, "alice", "chat").await;
        node.try_in(&access).await.unwrap();
        until("it is proven", async || node.bridge.watch_status().proven).await;
        node.try_in(&access).await.unwrap();
        node.bridge.admin().revoke_session(&access.session).await.unwrap();
        node.try_in(&access).await.unwrap_err();
        if freshness == Freshness::Strict {
            assert_eq!(node.bridge.watch_status().replication, None);
            assert_eq!(db.count("ticks").await, 0);
        }
    }
}

#[tokio::test]
async fn leases_that_are_long_gone_are_swept() {
    let db = PostgresBackend::start().await;
    let client = db.client().await;
    let insert = "INSERT INTO bridge_auth.ticks (lease, number, era, xid, begun_at, at)
        SELECT gen_random_uuid(), n, 0, '3', now() - interval '2 days', now() - age
        FROM (VALUES (1, interval '2 days'), (2, interval '25 hours'), (3, interval '1 hour')) AS old (n, age)";
    client.batch_execute(insert).await.unwrap();
    db.open().await.sweep(100).await.unwrap();
    // One that is old and still ticks is another gateway's.
    let mut left = numbers(&client).await;
    left.sort_unstable();
    assert_eq!(left, [3]);
}

/// Cuts the line of two bridges on one store again and again, while it is in this `state`. How many requests they judged meanwhile,
/// and what they refused.
async fn cut_lines(freshness: Freshness, state: &str) -> (u32, Vec<Rejection>) {
    let db = PostgresBackend::start().await;
    let (store, keys) = (db.open().await, keys());
    let nodes = [(); 2].map(|()| {
        Node::new(store.clone(), keys.clone(), |builder| {
            builder.freshness(freshness).max_proof_age(Duration::from_millis(400))
        })
    });
    let access = access(&nodes[0].bridge, "alice", "chat").await;
    for node in &nodes {
        node.try_in(&access).await.unwrap();
    }
    let sql = format!(
        "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> ALL ($1)
        AND pid <> pg_backend_pid() AND query LIKE 'INSERT INTO bridge_auth.ticks%' AND state = '{state}'"
    );
    let (client, over) = (db.client().await, AtomicBool::new(false));
    let asked = [(); 2].map(|()| AtomicU32::new(0));
    let ask = nodes.iter().zip(&asked).map(async |(node, asked)| {
        let mut refused = Vec::new();
        while !over.load(Ordering::Relaxed) {
            refused.extend(node.try_in(&access).await.err());
            asked.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_millis(1)).await;
        }
        refused
    });
    let cutting = async {
        let mut cut: Vec<i32> = Vec::new();
        while cut.len() < 6 {
            // A new one each time.
            let lines = client.query(&sql, &[&cut]).await.unwrap();
            cut.extend(lines.iter().map(|line| line.get::<_, i32>(0)));
            // No request meets more than one cut, or they would be more than it is promised to bear.
            let more = if lines.is_empty() { 0 } else { 10 };
            for asked in &asked {
                let enough = asked.load(Ordering::Relaxed) + more;
                until("more are judged", async || asked.load(Ordering::Relaxed) >= enough).await;
            }
        }
        over.store(true, Ordering::Relaxed);
    };
    let (refused, ()) = tokio::join!(join_all(ask), cutting);
    (asked.iter().map(|asked| asked.load(Ordering::Relaxed)).sum(), refused.concat())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bridges_on_one_store_refuse_nobody_when_their_line_is_lost_again_and_again() {
    for freshness in [Freshness::Strict, Freshness::watched()] {
        for state in ["idle", "active"] {
            let (asked, refused) = cut_lines(freshness, state).await;
            assert!(asked > 100, "nothing is proved by {asked} requests");
            assert_eq!(refused, [], "{freshness:?}, {state}: {} of {asked}", refused.len());
        }
    }
}

#[tokio::test]
async fn a_crash_is_one_warning_and_one_change_of_era() {
    for (replication, says) in [
        (
            Replication::OneNode,
            "If another server has taken over, what was acknowledged shortly before may be undone",
        ),
        (Replication::Asynchronous, "$GATEWAY/admin/clients/sp_bridge/sessions"),
    ] {
        let record = Record::default();
        let _listening = record.listen();
        #[cfg(feature = "metrics")]
        let meter = crate::support::meter::Meter::default();
        #[cfg(feature = "metrics")]
        let _measuring = metrics::set_default_local_recorder(&meter);

        let cluster = Cluster::start();
        let db = PostgresBackend::in_cluster(&cluster).await;
        let admin = db.client().await;
        if replication == Replication::Asynchronous {
            admin.execute("SELECT pg_create_physical_replication_slot('replica')", &[]).await.unwrap();
        }
        let store: Arc<dyn Store> = Arc::new(PostgresStore::connect(&db.url()).await.unwrap());
        let node = Node::new(store, keys(), |builder| builder);
        let access = access(&node.bridge, "alice", "chat").await;
        node.try_in(&access).await.unwrap();
        assert_eq!(node.bridge.watch_status().replication, Some(replication));

        let pid: i32 = admin.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
        assert!(Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap().success());
        until("the server is down", async || node.bridge.admin().ping().await.is_err()).await;
        until("it is back", async || node.try_in(&access).await.is_ok()).await;
        for _ in 0..20 {
            node.try_in(&access).await.unwrap();
            sleep(PERIOD / 5).await;
        }
        let text = record.text();
        let warnings: Vec<_> = text.lines().filter(|line| line.contains("restarted after a crash")).collect();
        assert!(
            matches!(warnings[..], [line] if line.contains(says) && line.contains("WARN")),
            "{warnings:#?}"
        );
        #[cfg(feature = "metrics")]
        assert_eq!(meter.value("bridge_auth_era_changes_total", replication.as_str()), 1.0);
    }
}

/// What the store asks of this table for a proof, as the server was told.
async fn statement(admin: &Client, table: &str) -> String {
    let sql =
        "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND strpos(query, $1) > 0
        AND application_name = 'bridge-auth' AND query LIKE '%transaction_read_only%bridge_auth.ticks%'";
    let rows = admin.query(sql, &[&table]).await.unwrap();
    rows.first().unwrap_or_else(|| panic!("nobody asks {table}")).get(0)
}

/// So that gateways may one day read from replicas.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_answers_look_ups_and_readings_and_shows_the_tick() {
    let pair = Pair::start(Pairing::Asynchronous).await;
    let db = PostgresBackend::in_cluster(&pair.primary).await;
    // One for each statement: a server tells only the last of each connection.
    let strict = Node::strict(&db).await;
    let watched = Node::new(db.open().await, keys(), |builder| builder.freshness(Freshness::watched()));
    for node in [&strict, &watched] {
        let access = access(&node.bridge, "alice", "chat").await;
        node.try_in(&access).await.unwrap();
        until("it is proven", async || node.bridge.watch_status().proven).await;
        assert_eq!(node.bridge.watch_status().replication, Some(Replication::Asynchronous));
    }
    let admin = db.client().await;
    let look_up = statement(&admin, "bridge_auth.sessions").await;
    let reading = statement(&admin, "bridge_auth.revocations").await;
    drop((strict, watched));

    let revoked = "SELECT bridge_auth.log_revocations('user', '{alice}')";
    admin.execute(revoked, &[]).await.unwrap();
    let row = admin.query_one("SELECT lease, number, era FROM bridge_auth.ticks LIMIT 1", &[]).await.unwrap();
    let (lease, number, era): (Uuid, i64, i64) = (row.get(0), row.get(1), row.get(2));
    let key: Uuid =
        admin.query_one("SELECT key FROM bridge_auth.sessions LIMIT 1", &[]).await.unwrap().get(0);
    pair.wait_until_caught_up().await;

    let there = db.url().replace(&pair.primary.port().to_string(), &pair.standby.port().to_string());
    let standby = connect(&there).await;
    let prepared = standby.prepare(&look_up).await.unwrap();
    let row = standby.query_one(&prepared, &[&vec![key], &lease]).await.unwrap();
    assert!(row.get::<_, bool>("read_only") && !row.get::<_, bool>("revoked"));
    assert_eq!((row.get::<_, Option<i64>>("tick"), row.get::<_, &str>("user_id")), (Some(number), "alice"));
    let prepared = standby.prepare(&reading).await.unwrap();
    let row = standby.query_one(&prepared, &[&"0", &10_i64, &lease]).await.unwrap();
    assert!(row.get::<_, bool>("read_only"));
    assert_eq!(
        (row.get::<_, Option<i64>>("tick"), row.get::<_, Option<i64>>("era")),
        (Some(number), Some(era))
    );
    assert_eq!((row.get::<_, &str>("kind"), row.get::<_, &str>("subject")), ("user", "alice"));
}
