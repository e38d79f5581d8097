//! Faults of the database, seen from the road: 503 soon, never 401 for a good token, and it recovers by itself.

use std::time::{Duration, Instant};

use bridge_auth::store::PostgresStore;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use bridge_auth::{Bridge, BridgeBuilder, Freshness, Scopes, SignedIn};
use futures_util::future::join_all;
use http::header::COOKIE;
use http::{Method, StatusCode};
use serde_json::json;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, Transaction};

use crate::support::bridge::{ISSUER, user};
use crate::support::gateway::{Answer, Gateway, send};
use crate::support::postgres::Cluster;
use crate::support::{Backend, ListedByAdmin as _, PostgresBackend};

/// The store's deadline of these gateways, and what a busy machine may add to it.
const DEADLINE: Duration = Duration::from_millis(800);
const SLACK: Duration = Duration::from_millis(1200);

fn builder(store: PostgresStore) -> BridgeBuilder {
    let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
    Bridge::builder(ISSUER, keys, store).store_deadline(DEADLINE)
}

/// A gateway on a server of its own, a token it has issued, and one it has not.
struct Victim {
    cluster: Cluster,
    backend: PostgresBackend,
    gateway: Gateway,
    good: String,
    bad: String,
}

impl Victim {
    async fn start() -> Self {
        Self::start_with(Freshness::Strict).await
    }

    async fn start_with(freshness: Freshness) -> Self {
        let cluster = Cluster::start();
        let backend = PostgresBackend::in_cluster(&cluster).await;
        let store = PostgresStore::connect(&backend.url()).await.unwrap();
        let gateway = Gateway::over(builder(store).freshness(freshness).build().unwrap()).await;
        let good = gateway.link("alice").await;
        let bad = format!("{good}A");
        assert!(gateway.admits(&good).await && !gateway.admits(&bad).await);
        Self { cluster, backend, gateway, good, bad }
    }

    /// While the store is out of order: nobody is let in, nobody is called bad who is not.
    async fn fails_well(&self) {
        for _ in 0..3 {
            is_unavailable(&self.gateway, &self.good).await;
            let begun = Instant::now();
            let refused = self.gateway.call(Method::GET, "/v1/echo", &self.bad).await;
            assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "a bad token is bad without the store");
            assert!(begun.elapsed() < SLACK);
        }
    }

    async fn recovers(&self) {
        let recovering = async {
            until_not_unavailable(StatusCode::OK, async || {
                self.gateway.call(Method::GET, "/v1/echo", &self.good).await
            })
            .await;
            // Connections that were made before the first answer may be left once more.
            let code = until_not_unavailable(StatusCode::CREATED, async || {
                send(self.gateway.post("/code", &json!({})).header(COOKIE, "login=bob")).await
            });
            let code = code.await.text("code");
            until_not_unavailable(StatusCode::OK, async || self.gateway.exchange(&code).await).await;
        };
        timeout(Duration::from_secs(15), recovering).await.expect("it recovers");
    }
}

/// Asks until the answer is `done`; before that it is 503.
async fn until_not_unavailable<F: Future<Output = Answer>>(done: StatusCode, ask: impl Fn() -> F) -> Answer {
    loop {
        let answer = ask().await;
        if answer.status == done {
            return answer;
        }
        says_try_again(&answer);
        sleep(Duration::from_millis(50)).await;
    }
}

async fn is_unavailable(gateway: &Gateway, token: &str) {
    let begun = Instant::now();
    let answer = gateway.call(Method::GET, "/v1/echo", token).await;
    assert!(begun.elapsed() < DEADLINE + SLACK, "{:?}", begun.elapsed());
    says_try_again(&answer);
}

fn says_try_again(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(!answer.headers.contains_key("www-authenticate"));
    let text = String::from_utf8_lossy(&answer.body).to_lowercase();
    assert!(
        !["sql", "postgres", "127.0.0.1", "connection", "refused"].iter().any(|word| text.contains(word)),
        "{text}"
    );
}

/// Keeps every look-up waiting for as long as it lives.
async fn lock_sessions(client: &mut Client) -> Transaction<'_> {
    let transaction = client.transaction().await.unwrap();
    transaction.batch_execute("LOCK TABLE bridge_auth.sessions IN ACCESS EXCLUSIVE MODE").await.unwrap();
    transaction
}

#[tokio::test]
async fn a_server_that_is_stopped() {
    let victim = Victim::start().await;
    victim.cluster.tell("stop");
    victim.fails_well().await;
    victim.cluster.tell("start");
    victim.recovers().await;
}

#[tokio::test]
async fn a_server_that_is_frozen() {
    let victim = Victim::start().await;
    victim.cluster.tell("pause");
    victim.fails_well().await;
    victim.cluster.tell("resume");
    victim.recovers().await;
}

#[tokio::test]
async fn a_server_whose_statements_run_out_of_time() {
    let victim = Victim::start().await;
    let mut client = victim.backend.client().await;
    let locked = lock_sessions(&mut client).await;
    victim.fails_well().await;
    locked.rollback().await.unwrap();
    victim.recovers().await;
}

#[tokio::test]
async fn a_server_that_loses_every_connection() {
    let victim = Victim::start().await;
    let client = victim.backend.client().await;
    for _ in 0..5 {
        client
            .batch_execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'bridge-auth'")
            .await
            .unwrap();
        let answer = victim.gateway.call(Method::GET, "/v1/echo", &victim.good).await;
        if answer.status != StatusCode::OK {
            says_try_again(&answer);
        }
    }
    victim.recovers().await;
}

/// What a primary is once another has taken its place: what it says of sessions may be out of date.
#[tokio::test]
async fn a_server_that_became_read_only() {
    let victim = Victim::start().await;
    let admin = victim.backend.client().await;
    let set = async |value: &str| {
        admin
            .batch_execute(&format!("ALTER SYSTEM SET default_transaction_read_only = {value}"))
            .await
            .unwrap();
        admin.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        // Those that connected before it stepped down do not outlive that.
        let others =
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'bridge-auth'";
        admin.batch_execute(others).await.unwrap();
    };
    set("on").await;
    victim.fails_well().await;
    let exchanged = victim.gateway.exchange(&"0".repeat(64)).await;
    assert_eq!(exchanged.status, StatusCode::SERVICE_UNAVAILABLE, "{exchanged:?}");
    set("off").await;
    victim.recovers().await;
}

/// How far behind a watched gateway may be.
const MAX_LAG: Duration = Duration::from_millis(400);

#[tokio::test]
async fn a_watched_gateway_that_is_cut_off_remembers_no_longer_than_it_may() {
    for (cut, mend) in [("stop", "start"), ("pause", "resume")] {
        let victim = Victim::start_with(Freshness::Watched { max_lag: MAX_LAG }).await;
        victim.cluster.tell(cut);
        sleep(MAX_LAG).await;
        victim.fails_well().await;
        victim.cluster.tell(mend);
        victim.recovers().await;
    }
}

#[tokio::test]
async fn a_watched_gateway_that_lost_its_listener_hears_of_a_revocation_all_the_same() {
    let victim = Victim::start_with(Freshness::Watched { max_lag: MAX_LAG }).await;
    let elsewhere = PostgresStore::builder(&format!("{}?application_name=elsewhere", victim.backend.url()));
    let elsewhere = builder(elsewhere.connect().await.unwrap()).build().unwrap();
    let killer = victim.backend.client().await;
    // The listener makes ticks too.
    let listeners = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND query LIKE 'INSERT INTO bridge_auth.ticks%'";
    let mut killed = 0;
    for _ in 0..3 {
        let token = victim.gateway.link("alice").await;
        assert!(victim.gateway.admits(&token).await && victim.gateway.admits(&token).await);
        killed += killer.query_one(listeners, &[]).await.unwrap().get::<_, i64>(0);
        elsewhere.admin().revoke_user(&user("alice")).await.unwrap();
        sleep(MAX_LAG).await;
        let refused = victim.gateway.call(Method::GET, "/v1/echo", &token).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    }
    assert!(killed > 0, "there was a listener to lose");
}

#[tokio::test]
async fn bad_tokens_never_take_a_connection() {
    let backend = PostgresBackend::start().await;
    let store = PostgresStore::builder(&backend.url()).pool_size(1).connect().await.unwrap();
    let gateway = Gateway::over(builder(store).build().unwrap()).await;
    let good = gateway.link("alice").await;
    let mut client = backend.client().await;
    let locked = lock_sessions(&mut client).await;
    let holder = {
        let (bridge, alice) = (gateway.bridge.clone(), user("alice"));
        tokio::spawn(async move { bridge.admin().sessions_of(&alice).await })
    };
    sleep(Duration::from_millis(100)).await;
    let (head, rest) = good.split_once('.').unwrap();
    let begun = Instant::now();
    let bad = [format!("{good}A"), format!("{head}A.{rest}"), "a.b.c".to_owned(), ".".repeat(500)];
    let asked = (0..100).map(|n| gateway.call(Method::GET, "/v1/echo", &bad[n % bad.len()]));
    for answer in join_all(asked).await {
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    assert!(begun.elapsed() < DEADLINE + SLACK, "none of them waited: {:?}", begun.elapsed());
    is_unavailable(&gateway, &good).await;
    assert!(holder.await.unwrap().is_err());
    locked.rollback().await.unwrap();
    assert!(gateway.admits(&good).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_clients_over_one_connection_get_in_or_are_told_to_try_again() {
    let backend = PostgresBackend::start().await;
    let store = PostgresStore::builder(&backend.url()).pool_size(1).connect().await.unwrap();
    let gateway = Gateway::over(builder(store).build().unwrap()).await;
    let good = gateway.link("alice").await;
    let all = async || {
        let asked = (0..200).map(|_| async {
            let begun = Instant::now();
            (gateway.call(Method::GET, "/v1/echo", &good).await, begun.elapsed())
        });
        let mut admitted = 0;
        for (answer, took) in join_all(asked).await {
            // Two hundred at once take the test's own machine a while besides.
            assert!(took < DEADLINE + 3 * SLACK, "{took:?}");
            match answer.status {
                StatusCode::OK => admitted += 1,
                _ => says_try_again(&answer),
            }
        }
        admitted
    };
    assert!(all().await > 0);
    let mut client = backend.client().await;
    let locked = lock_sessions(&mut client).await;
    assert_eq!(all().await, 0, "nobody gets in unchecked");
    locked.rollback().await.unwrap();
    assert!(all().await > 0);
}

#[tokio::test]
async fn revoking_all_of_a_client_takes_the_time_it_needs() {
    let victim = Victim::start().await;
    let mut client = victim.backend.client().await;
    let locked = lock_sessions(&mut client).await;
    let bridge = victim.gateway.bridge.clone();
    let revoking =
        tokio::spawn(async move { bridge.admin().revoke_client(&"sp_bridge".parse().unwrap()).await });
    sleep(DEADLINE * 2).await;
    locked.rollback().await.unwrap();
    assert_eq!(revoking.await.unwrap().unwrap(), 1);
    assert!(!victim.gateway.admits(&victim.good).await);
}

#[tokio::test]
async fn what_the_store_could_not_revoke_is_not_said_to_be_revoked() {
    let victim = Victim::start().await;
    let alice = user("alice");
    let scopes = Scopes::default();
    victim.cluster.tell("stop");
    let admin = victim.gateway.bridge.admin();
    assert!(admin.revoke_user(&alice).await.is_err());
    assert!(admin.disable_user(&alice).await.is_err());
    let logout = victim.gateway.call(Method::POST, "/v1/auth/bridge/logout", &victim.good).await;
    says_try_again(&logout);
    assert!(
        victim
            .gateway
            .bridge
            .issuer()
            .register_user(&SignedIn::new(alice.clone(), scopes.clone()))
            .await
            .is_err()
    );
    victim.cluster.tell("start");
    victim.recovers().await;
    assert_eq!(admin.revoke_user(&alice).await.unwrap(), Some(1));
    assert!(!victim.gateway.admits(&victim.good).await);
}
