//! A database that was filled by the version before, and gateways of that version which run on.

use std::time::Duration;

use bridge_auth::store::{
    ClientProof, KeyQuery, PostgresStore, RedeemCode, SessionState, SqliteStore, Store,
};
use bridge_auth::{ClientId, ClientSecret, ExchangeCode, SessionId, UserId};
use refinery::Target;
use tokio_postgres::Client;

use super::given::{
    DAY, HOUR, SECOND, declared, is_good, redeem, refreshable, rotate, scopes, session_id, state, vouch,
};
use crate::support::PostgresBackend;

mod postgres {
    refinery::embed_migrations!("migrations/postgres");
}
mod sqlite {
    refinery::embed_migrations!("migrations/sqlite");
}

/// The statements of the version before, with their parameters written in.
const OPEN: &str = "SELECT outcome, session_id, expires_in FROM bridge_auth.open_vouched(
    ROW(KEY, 'ID', true, 'sp_bridge', 'bridge', NULL, NULL, NULL, 3600000000, 8, true)::bridge_auth.new_session,
    'alice', 'read write')";
const REDEEM: &str = "SELECT * FROM bridge_auth.redeem_code('HASH', NULL,
    ROW(KEY, 'ID', true, 'sp_bridge', 'bridge', NULL, NULL, NULL, 3600000000, 8, true)::bridge_auth.new_session)";
const ISSUE: &str =
    "SELECT outcome, ends_at FROM bridge_auth.issue_code('HASH', 'alice', 'read', NULL, 120000000, 8)";
const PROVISION: &str = "SELECT bridge_auth.provision_client(
    'bridge:alice', 'alice', KEY, 'ID', '\\xHASH', 'hook:track', 60000000, 16) AS outcome";
const HOOK: &str = "SELECT * FROM bridge_auth.open_for_client(
    ROW(KEY, 'ID', false, 'bridge:alice', 'bridge', NULL, NULL, NULL, 3600000000, 8, true)::bridge_auth.new_session,
    '\\xHASH', 'hook:track')";
const SWEEP: &str = "SELECT codes, sessions, secrets, revocations FROM bridge_auth.sweep(100)";

fn statement(sql: &str, id: &str, hash: &str) -> String {
    let key = format!("encode(substr(sha256('{id}'), 1, 16), 'hex')::uuid");
    sql.replace("KEY", &key).replace("ID", id).replace("HASH", hash)
}

/// Runs a statement of the version before, and again where its plan had become invalid; its outcome.
async fn run(client: &Client, sql: &str) -> String {
    let row = client.query_one(sql, &[]).await.unwrap();
    row.try_get("outcome").unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A database as the version before left it: Alice with a session, a code and a hook secret.
async fn postgres_of_before(code: &ExchangeCode, secret: &ClientSecret) -> (PostgresBackend, Client) {
    let backend = PostgresBackend::empty().await;
    let mut client = backend.client().await;
    client.batch_execute("CREATE SCHEMA bridge_auth").await.unwrap();
    let mut before = postgres::migrations::runner().set_grouped(true).set_target(Target::Version(6));
    before.set_migration_table_name("bridge_auth.migrations").run_async(&mut client).await.unwrap();
    let user = "INSERT INTO bridge_auth.users (id, scopes) VALUES ('alice', 'admin read write')";
    client.batch_execute(user).await.unwrap();
    assert_eq!(run(&client, &statement(OPEN, "laptop", "")).await, "opened");
    assert_eq!(run(&client, &statement(ISSUE, "", &code.hash().to_hex())).await, "issued");
    let hash = hex(secret.hash(None).as_bytes());
    assert_eq!(run(&client, &statement(PROVISION, "laptop", &hash)).await, "provisioned");
    (backend, client)
}

/// What the version before left goes on as if it were of this one.
async fn lives_on(store: &dyn Store, code: &ExchangeCode, secret: &ClientSecret) {
    let alice = UserId::parse("alice").unwrap();
    let laptop = session_id("laptop");
    assert_eq!(state(store, &laptop).await, Some(SessionState::Live));
    let before = store.sessions_of(&alice).await.unwrap().remove(0);
    assert_eq!((&before.id, before.expires_at), (&laptop, before.created_at + HOUR));
    assert!(is_good(store, &alice, &secret.hash(None)).await);
    let id = ClientId::for_hooks_of(&alice);
    assert!(store.verify_client(&id, &ClientProof::Secret(secret.hash(None))).await.unwrap().is_some());
    let any = KeyQuery { algorithm: "EdDSA".to_owned(), key_id: None };
    assert!(store.client_keys(&id, &any).await.unwrap().is_empty());

    let other = store.redeem_code(RedeemCode { session: declared("other"), ..redeem(code.hash()) }).await;
    assert!(!other.unwrap().renewed);
    // It gets an absolute end when it is renewed, and can be refreshed from then on.
    let (session, token) = refreshable(declared("laptop"));
    let renewed = vouch(store, &alice, session).await.unwrap();
    assert!(renewed.renewed && renewed.expires_in > HOUR - 60 * SECOND);
    let (refreshed, _) = rotate(store, token).await.unwrap();
    assert_eq!((refreshed.id, refreshed.scopes), (laptop, scopes("read write")));
}

#[tokio::test]
async fn a_postgres_database_of_the_version_before_is_migrated_with_all_that_is_in_it() {
    let (code, secret) = (ExchangeCode::random(), ClientSecret::random());
    let (backend, client) = postgres_of_before(&code, &secret).await;
    let store = PostgresStore::connect(&backend.url()).await.unwrap();
    let ends = "SELECT ends_at IS NULL AND authenticated_at IS NULL AND generation = first_generation
        FROM bridge_auth.sessions";
    let unwritten: bool = client.query_one(ends, &[]).await.unwrap().get(0);
    assert!(unwritten, "it ends when it expires, and no row was rewritten");
    lives_on(&store, &code, &secret).await;
    let ends = "SELECT ends_at > now() + interval '29 days' FROM bridge_auth.sessions WHERE id = 'laptop'";
    assert!(client.query_one(ends, &[]).await.unwrap().get::<_, bool>(0));
}

#[tokio::test]
async fn a_gateway_of_the_version_before_runs_on_while_the_next_one_migrates() {
    let (code, secret) = (ExchangeCode::random(), ClientSecret::random());
    let (backend, old) = postgres_of_before(&code, &secret).await;
    let prepared = old.prepare(&statement(REDEEM, "other", &"0".repeat(64))).await.unwrap();
    assert_eq!(old.query_one(&prepared, &[]).await.unwrap().get::<_, &str>("outcome"), "unknown");
    let store = PostgresStore::connect(&backend.url()).await.unwrap();

    // A plan that it made before fails, and then the gateway closes that connection.
    if old.query_one(&prepared, &[]).await.is_err() {
        let again = old.prepare(&statement(REDEEM, "other", &"0".repeat(64))).await.unwrap();
        assert_eq!(old.query_one(&again, &[]).await.unwrap().get::<_, &str>("outcome"), "unknown");
    }
    let old = backend.client().await;
    let hash = hex(secret.hash(None).as_bytes());
    let alice = UserId::parse("alice").unwrap();
    let (session, token) = refreshable(declared("laptop"));
    vouch(&store, &alice, session).await.unwrap();
    assert_eq!(run(&old, &statement(HOOK, SessionId::random().as_str(), &hash)).await, "opened");
    assert_eq!(run(&old, &statement(REDEEM, "other", &code.hash().to_hex())).await, "opened");
    assert_eq!(run(&old, &statement(PROVISION, "laptop", &"ab".repeat(32))).await, "provisioned");
    run(&old, SWEEP).await;
    rotate(&store, token).await.unwrap();
    // Its renewal forgets the refresh tokens too, and its sessions have an absolute end.
    let (_, token) = {
        let (session, token) = refreshable(declared("laptop"));
        (vouch(&store, &alice, session).await.unwrap(), token)
    };
    assert_eq!(run(&old, &statement(OPEN, "laptop", "")).await, "opened");
    assert!(rotate(&store, token).await.is_err());
    let ends = "SELECT ends_at > now() + interval '29 days' FROM bridge_auth.sessions WHERE id = 'other'";
    assert!(old.query_one(ends, &[]).await.unwrap().get::<_, bool>(0));
}

/// Each table locked, in the order of a call that is under way, or by a backup.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_fails_no_call_that_is_under_way_and_holds_up_none() {
    for tables in [["client_secrets", "sessions"], ["sessions", "client_secrets"]] {
        let (code, secret) = (ExchangeCode::random(), ClientSecret::random());
        let (backend, old) = postgres_of_before(&code, &secret).await;
        let other = backend.client().await;
        let look = |table: &str| format!("SELECT count(*) FROM bridge_auth.{table}");
        old.batch_execute(&format!("BEGIN; {}", look(tables[0]))).await.unwrap();
        let url = backend.url();
        let migrating = tokio::spawn(async move { PostgresStore::connect(&url).await });
        let waits = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        while !other.query_one(waits, &[]).await.unwrap().get::<_, bool>(0) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Behind one that waits for the table, all would wait.
        let beside =
            tokio::time::timeout(Duration::from_secs(20), other.batch_execute(&look(tables[0]))).await;
        beside.expect("it is not held up").unwrap();
        old.batch_execute(&look(tables[1])).await.expect("it is no victim of a deadlock");
        assert!(!migrating.is_finished());
        old.batch_execute("COMMIT").await.unwrap();
        let store = migrating.await.unwrap().expect("it goes on");
        lives_on(&store, &code, &secret).await;
    }
}

#[tokio::test]
async fn a_sqlite_file_of_the_version_before_is_migrated_with_all_that_is_in_it() {
    let (code, secret) = (ExchangeCode::random(), ClientSecret::random());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bridges.db");
    let mut file = rusqlite::Connection::open(&path).unwrap();
    sqlite::migrations::runner().set_target(Target::Version(1)).run(&mut file).unwrap();
    let now = "CAST(unixepoch('subsec') * 1000 AS INTEGER)";
    file.execute_batch(&format!(
        "BEGIN;
        INSERT INTO users (id, scopes) VALUES ('alice', 'admin read write');
        INSERT INTO sessions
            (id, user_id, client_id, call_source, scopes, created_at, renewed_at, expires_at)
            SELECT 'laptop', 'alice', 'sp_bridge', 'bridge', 'read write', at, at, at + {hour}
            FROM (SELECT {now} AS at);
        INSERT INTO codes (hash, user_id, scopes, created_at, expires_at)
            VALUES ('{code}', 'alice', 'read', {now}, {now} + {day});
        INSERT INTO clients (id, owner, scopes) VALUES ('bridge:alice', 'alice', 'hook:track');
        INSERT INTO client_secrets (client_id, session_id, hash) VALUES ('bridge:alice', 'laptop', x'{secret}');
        COMMIT",
        hour = HOUR.as_millis(),
        day = DAY.as_millis(),
        code = code.hash().to_hex(),
        secret = hex(secret.hash(None).as_bytes()),
    ))
    .unwrap();
    let store = SqliteStore::open(&path).await.unwrap();
    lives_on(&store, &code, &secret).await;
}
