//! What PostgreSQL does to the store when it is killed, stopped, frozen, full, or somebody else.

use std::time::{Duration, Instant};

use bridge_auth::id::{ClientId, ExchangeCode, RefreshToken};
use bridge_auth::store::{
    IssueCodeError, NewCode, NewSession, OpenedSession, PostgresStore, RedeemCode, RedeemError, RequestedId,
    Revocation, RevocationCursor, Revoke, SessionLimit, SessionState, Store, StoreError, StoreErrorKind,
    WhenFull,
};
use bridge_auth::{Scopes, SessionId, UserId};
use futures_util::future::join_all;
use tokio::time::{sleep, timeout};
use tokio_postgres::Client;

use crate::support::postgres::{Cluster, PostgresBackend};
use crate::support::{Backend, Listed as _, known};

/// What holds a redeeming up at one of its steps.
const STEPS: [(&str, &str); 4] = [
    ("the user", "SELECT FROM bridge_auth.users FOR UPDATE"),
    ("the code", "SELECT FROM bridge_auth.codes FOR UPDATE"),
    // Another bridge is just declaring the same id.
    (
        "the new session",
        "INSERT INTO bridge_auth.sessions
         VALUES (KEY, 'taken', 'bob', 'sp_bridge', NULL, 'bridge', '', NULL, NULL, NULL, now(), now(), now())",
    ),
    // The session is in, the code is not yet spent, and the oldest session shall go.
    ("the oldest session", "SELECT FROM bridge_auth.sessions FOR UPDATE"),
];

#[tokio::test]
async fn killed_at_any_step_of_redeeming_the_code_is_unspent() {
    for (step, hold) in STEPS {
        let backend = PostgresBackend::start().await;
        let store = given_alice(&backend).await;
        let oldest = redeem(&store, &issue(&store).await, SessionId::random()).await.unwrap();
        let (code, id) = (issue(&store).await, SessionId::random());

        let client = backend.client().await;
        let mut holder = backend.client().await;
        let held = holder.transaction().await.unwrap();
        held.batch_execute(&hold.replace("KEY", &key_of(&id))).await.unwrap();

        let (answer, ()) = tokio::join!(redeem(&store, &code, id.clone()), kill_the_waiting(&client));
        let Err(RedeemError::Store(error)) = answer else { panic!("{step}: {answer:?}") };
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{step}: {error:?}");
        held.rollback().await.unwrap();

        assert!(!is_spent(&client, &code).await, "{step}");
        assert_eq!(backend.count("sessions").await, 1, "{step}");
        assert!(is_live(&store, &oldest.id).await, "{step}");
        redeem(&store, &code, id).await.unwrap();
        assert!(!is_live(&store, &oldest.id).await, "{step}");
    }
}

#[tokio::test]
async fn killed_at_any_moment_the_code_is_spent_if_and_only_if_the_session_exists() {
    let backend = PostgresBackend::start().await;
    let store = given_alice(&backend).await;
    let client = backend.client().await;
    let kill = client.prepare(KILL).await.unwrap();
    for round in 0..200_u64 {
        let (code, id) = (issue(&store).await, SessionId::random());
        let killing = async {
            // A redeeming takes a millisecond or two.
            sleep(Duration::from_micros(round * 37 % 3_000)).await;
            client.execute(&kill, &[]).await.unwrap();
        };
        let (answer, ()) = tokio::join!(redeem(&store, &code, id.clone()), killing);
        let spent = is_spent(&client, &code).await;
        let exists = session_exists(&client, &id).await;
        assert_eq!(spent, exists, "{answer:?}");
        match answer {
            Ok(_) => assert!(exists),
            Err(RedeemError::Store(_)) => {}
            Err(other) => panic!("{other:?}"),
        }
        revive(&store).await;
    }
}

#[tokio::test]
async fn a_stopped_server_is_unavailable_at_once_and_the_store_recovers_by_itself() {
    let cluster = Cluster::start();
    let backend = PostgresBackend::in_cluster(&cluster).await;
    let store = PostgresStore::connect(&backend.url()).await.unwrap();
    store.ping().await.unwrap();

    cluster.tell("stop");
    for _ in 0..3 {
        let (error, took) = failing(store.ping()).await;
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}");
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    cluster.tell("start");
    store.ping().await.unwrap();
}

#[tokio::test]
async fn a_crash_that_gives_transaction_numbers_again_hides_no_revocation() {
    // So that none of what follows is on the disk when the server crashes.
    let cluster = Cluster::start_with(&["wal_writer_delay = 10s".to_owned()]);
    let backend = PostgresBackend::in_cluster(&cluster).await;
    let store = PostgresStore::connect(&backend.url()).await.unwrap();
    let user = UserId::parse("alice").unwrap();
    store.put_user(&known(&user, &Scopes::default())).await.unwrap();
    let admin = backend.client().await;
    admin.batch_execute("CHECKPOINT").await.unwrap();
    use_up_numbers(&admin, 200).await;
    store.tick().await.unwrap();
    use_up_numbers(&admin, 200).await;
    let cursor = store.revocations_since(&RevocationCursor::default(), 1000).await.unwrap().next;
    let seen = store.revocations_since(&cursor, 1000).await.unwrap();
    assert_eq!(seen.entries, Some(vec![]));

    let checkpointer = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'";
    let pid: i32 = admin.query_one(checkpointer, &[]).await.unwrap().get(0);
    let killed = std::process::Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap();
    assert!(killed.success());
    while !admin.is_closed() || store.ping().await.is_err() {
        sleep(Duration::from_millis(20)).await;
    }
    store.revoke(&Revoke::User(user.clone())).await.unwrap();
    use_up_numbers(&backend.client().await, 400).await;

    let page = store.revocations_since(&seen.next, 1000).await.unwrap();
    assert!(page.entries.is_none_or(|entries| entries.contains(&Revocation::User(user))), "it was missed");
}

/// Transactions that come to nothing.
async fn use_up_numbers(client: &Client, count: usize) {
    for _ in 0..count {
        client.batch_execute("BEGIN; SELECT pg_current_xact_id(); ROLLBACK").await.unwrap();
    }
}

#[tokio::test]
async fn a_frozen_server_times_out_within_the_deadline_and_the_store_recovers_by_itself() {
    let cluster = Cluster::start();
    let backend = PostgresBackend::in_cluster(&cluster).await;
    let store = PostgresStore::builder(&backend.url())
        .pool_size(1)
        .wait_timeout(Duration::from_millis(200))
        .connect_timeout(Duration::from_millis(400))
        .statement_timeout(Duration::from_millis(300))
        .connect()
        .await
        .unwrap();
    store.ping().await.unwrap();

    cluster.tell("pause");
    // The first has a connection, the next one cannot make one.
    for _ in 0..3 {
        let (error, took) = failing(store.ping()).await;
        assert_eq!(error.kind(), StoreErrorKind::TimedOut, "{error:?}");
        assert!(took < Duration::from_millis(1500), "{took:?}");
    }
    cluster.tell("resume");
    revive(&store).await;
}

#[tokio::test]
async fn an_empty_pool_times_out_within_the_deadline() {
    let backend = PostgresBackend::start().await;
    given_alice(&backend).await;
    let store = PostgresStore::builder(&backend.url())
        .pool_size(1)
        .wait_timeout(Duration::from_millis(100))
        .connect()
        .await
        .unwrap();
    let mut holder = backend.client().await;
    let held = holder.transaction().await.unwrap();
    held.batch_execute("SELECT FROM bridge_auth.users FOR UPDATE").await.unwrap();

    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.issue_code(new_code(&ExchangeCode::random())).await }
    });
    wait_for_waiters(&backend.client().await).await;
    // One connection is for look-ups alone: they go on. All else waits for the other.
    store.ping().await.unwrap();
    let unknown = RefreshToken::random().hash();
    let (error, took) = failing(async { store.refresh_status(&unknown).await.map(drop) }).await;
    assert_eq!(error.kind(), StoreErrorKind::TimedOut, "{error:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    held.rollback().await.unwrap();
    waiting.await.unwrap().unwrap();
    store.ping().await.unwrap();
}

#[tokio::test]
async fn a_statement_that_waits_too_long_times_out_and_keeps_its_connection() {
    let backend = PostgresBackend::start().await;
    given_alice(&backend).await;
    let store = PostgresStore::builder(&backend.url())
        .pool_size(1)
        .write_timeout(Duration::from_millis(400))
        .connect()
        .await
        .unwrap();
    store.ping().await.unwrap();
    store.refresh_status(&RefreshToken::random().hash()).await.unwrap();
    let client = backend.client().await;
    let before = backends(&client).await;
    let mut holder = backend.client().await;
    let held = holder.transaction().await.unwrap();
    held.batch_execute("SELECT FROM bridge_auth.users FOR UPDATE").await.unwrap();

    let refused = store.issue_code(new_code(&ExchangeCode::random())).await;
    let Err(IssueCodeError::Store(error)) = refused else { panic!("{refused:?}") };
    assert_eq!(error.kind(), StoreErrorKind::TimedOut, "{error:?}");
    store.ping().await.unwrap();
    assert_eq!(backends(&client).await, before);
}

#[tokio::test]
async fn dropped_futures_leak_no_place_in_the_pool() {
    let backend = PostgresBackend::start().await;
    given_alice(&backend).await;
    let store = PostgresStore::builder(&backend.url())
        .pool_size(1)
        .statement_timeout(Duration::from_millis(500))
        .connect()
        .await
        .unwrap();
    let mut holder = backend.client().await;
    let held = holder.transaction().await.unwrap();
    held.batch_execute("SELECT FROM bridge_auth.users FOR UPDATE").await.unwrap();
    for round in 0..200 {
        let code = ExchangeCode::random();
        let cut = Duration::from_micros(round * 173 % 10_000);
        let answer = timeout(cut, store.issue_code(new_code(&code))).await;
        assert!(!matches!(answer, Ok(Ok(_))), "the user row is locked");
    }
    // What was abandoned ends on the server too, by `statement_timeout`.
    let client = backend.client().await;
    while backends(&client).await.len() > 1 {
        sleep(Duration::from_millis(20)).await;
    }
    held.rollback().await.unwrap();
    store.ping().await.unwrap();
    redeem(&store, &issue(&store).await, SessionId::random()).await.unwrap();
}

#[tokio::test]
async fn eight_nodes_migrate_one_empty_database_at_once() {
    let backend = PostgresBackend::empty().await;
    let url = backend.url();
    for store in join_all((0..8).map(|_| PostgresStore::connect(&url))).await {
        store.unwrap().put_user(&known(&alice(), &Scopes::default())).await.unwrap();
    }
    assert_eq!(backend.count("users").await, 1);
    let sql_files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres")).unwrap();
    assert_eq!(backend.count("migrations").await, sql_files.count() as u64);
}

#[tokio::test]
async fn a_statement_that_became_invalid_fails_once_at_most() {
    let backend = PostgresBackend::start().await;
    given_alice(&backend).await;
    let store = PostgresStore::builder(&backend.url()).pool_size(1).connect().await.unwrap();
    store.sessions_of(&alice()).await.unwrap();
    let alter = "ALTER TABLE bridge_auth.sessions ALTER COLUMN device_name TYPE varchar(256)";
    backend.client().await.batch_execute(alter).await.unwrap();
    assert!(store.sessions_of(&alice()).await.is_err(), "a cached plan must not change its result type");
    store.sessions_of(&alice()).await.unwrap();
}

#[tokio::test]
async fn revocations_that_commit_late_are_read_and_a_long_transaction_hides_none() {
    let backend = PostgresBackend::start().await;
    let store = given_alice(&backend).await;
    let client_id = |name: &str| ClientId::parse(name).unwrap();
    let entry = |name: &str| Revocation::Client(client_id(name));
    let mut client = backend.client().await;
    let open = client.transaction().await.unwrap();
    open.execute("SELECT bridge_auth.revoke_client('late')", &[]).await.unwrap();

    store.tick().await.unwrap();
    // The first reading only finds its place in the log.
    let page = store.revocations_since(&RevocationCursor::default(), 10).await.unwrap();
    let page = store.revocations_since(&page.next, 10).await.unwrap();
    assert_eq!(page.entries, Some(vec![]));
    store.revoke(&Revoke::Client(client_id("first"))).await.unwrap();
    let page = store.revocations_since(&page.next, 10).await.unwrap();
    assert_eq!(page.entries, Some(vec![entry("first")]));
    store.revoke(&Revoke::Client(client_id("second"))).await.unwrap();
    open.commit().await.unwrap();
    let page = store.revocations_since(&page.next, 10).await.unwrap();
    let entries = page.entries.unwrap();
    assert!(entries.contains(&entry("late")) && entries.contains(&entry("second")), "{entries:?}");
    // They come again only as long as something is open, in any database of the server.
    let mut next = page.next;
    let reading_on = async {
        loop {
            // Nor beyond the last tick.
            store.tick().await.unwrap();
            let page = store.revocations_since(&next, 10).await.unwrap();
            if page.entries == Some(vec![]) {
                break;
            }
            next = page.next;
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(30), reading_on).await.unwrap();
}

#[tokio::test]
async fn what_is_acknowledged_is_durable_and_nothing_runs_on_an_old_snapshot() {
    let backend = PostgresBackend::start().await;
    given_alice(&backend).await;
    let client = backend.client().await;
    client
        .batch_execute("SET synchronous_commit = off; BEGIN; SELECT bridge_auth.revoke_user('alice', false)")
        .await
        .unwrap();
    let row = client.query_one("SHOW synchronous_commit", &[]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0), "on");
    client.batch_execute("ROLLBACK; BEGIN ISOLATION LEVEL REPEATABLE READ").await.unwrap();
    assert!(client.batch_execute("SELECT bridge_auth.revoke_user('alice', false)").await.is_err());
}

/// Ends the store's connections to this database that are doing something.
pub const KILL: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'bridge-auth' AND state = 'active'";

/// The primary key of a session, as the store computes it.
fn key_of(id: &SessionId) -> String {
    format!("encode(substr(sha256('{id}'), 1, 16), 'hex')::uuid")
}

fn alice() -> UserId {
    UserId::parse("alice").unwrap()
}

/// A store that knows Alice and Bob.
async fn given_alice(backend: &PostgresBackend) -> PostgresStore {
    let store = PostgresStore::connect(&backend.url()).await.unwrap();
    for user in [alice(), UserId::parse("bob").unwrap()] {
        store.put_user(&known(&user, &Scopes::default())).await.unwrap();
    }
    store
}

fn new_code(code: &ExchangeCode) -> NewCode {
    let client = ClientId::parse("sp_bridge").unwrap();
    NewCode::new(code.hash(), alice(), client, Scopes::default(), Duration::from_secs(60))
}

async fn issue(store: &PostgresStore) -> ExchangeCode {
    let code = ExchangeCode::random();
    store.issue_code(new_code(&code)).await.unwrap();
    code
}

/// Redeems `code` for the only session Alice may have.
async fn redeem(
    store: &PostgresStore,
    code: &ExchangeCode,
    id: SessionId,
) -> Result<OpenedSession, RedeemError> {
    let session = NewSession::new(
        RequestedId::Declared(id),
        ClientId::parse("sp_bridge").unwrap(),
        Duration::from_secs(60),
    )
    .max_life(Duration::from_secs(3600))
    .limit(SessionLimit::new(1, WhenFull::Evict));
    store.redeem_code(RedeemCode::new(code.hash(), session)).await
}

async fn is_live(store: &PostgresStore, id: &SessionId) -> bool {
    let statuses = store.session_statuses(std::slice::from_ref(id)).await.unwrap().found;
    statuses.iter().any(|status| status.state == SessionState::Live)
}

async fn is_spent(client: &Client, code: &ExchangeCode) -> bool {
    let sql = "SELECT spent_at IS NOT NULL FROM bridge_auth.codes WHERE hash = $1";
    client.query_one(sql, &[&code.hash().to_hex()]).await.unwrap().get(0)
}

async fn session_exists(client: &Client, id: &SessionId) -> bool {
    let sql = "SELECT EXISTS (SELECT FROM bridge_auth.sessions WHERE id = $1)";
    client.query_one(sql, &[&id.as_str()]).await.unwrap().get(0)
}

/// Waits until a statement of the store waits for a lock, then kills its backend.
pub async fn kill_the_waiting(client: &Client) {
    wait_for_waiters(client).await;
    assert_eq!(client.execute(KILL, &[]).await.unwrap(), 1);
}

async fn wait_for_waiters(client: &Client) {
    let waiting = "SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'bridge-auth' AND wait_event_type = 'Lock'";
    while client.query(waiting, &[]).await.unwrap().is_empty() {
        sleep(Duration::from_millis(2)).await;
    }
}

async fn backends(client: &Client) -> Vec<i32> {
    let sql = "SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'bridge-auth' ORDER BY pid";
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// The store answers again, after at most the connections that were lost.
/// Until both kinds of connections answer: one may end only after the statement that it was killed in.
pub async fn revive(store: &PostgresStore) {
    let unknown = RefreshToken::random().hash();
    for _ in 0..10 {
        if store.ping().await.is_ok() && store.refresh_status(&unknown).await.is_ok() {
            return;
        }
    }
    store.ping().await.unwrap();
}

async fn failing(operation: impl Future<Output = Result<(), StoreError>>) -> (StoreError, Duration) {
    let start = Instant::now();
    let error = operation.await.unwrap_err();
    (error, start.elapsed())
}
