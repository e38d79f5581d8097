//! Gateways that know nothing of signing in, or of delegation, run on beside those that do, and what they write is as good.

use std::path::Path;
use std::time::SystemTime;

use bridge_auth::UserId;
use bridge_auth::id::{AssertionHash, ExchangeCode};
use bridge_auth::store::{
    KnownUser, NewSession, PollDeviceGrantError, PostgresStore, RedeemCode, RequestedId, Revoke,
    SessionState, SpentAssertion, SqliteStore, Store, UserQuery,
};
use refinery::Target;
use tokio_postgres::Client;

use super::delegated::hang;
use super::device_grants::{allowed, poll};
use super::given::{HOUR, changed, client_id, new_code, new_session, scopes, session_id, state, user, vouch};
use super::migrations::{postgres, sqlite};
use crate::support::{Listed as _, PostgresBackend};

/// The statements of V14, with their parameters written in.
const ISSUE: &str =
    "SELECT outcome, ends_at FROM bridge_auth.issue_code('HASH', 'alice', 'read', NULL, 120000000, 8, NULL)";
const REDEEM: &str = "SELECT * FROM bridge_auth.redeem_code('HASH', NULL, ROW('00000000-0000-0000-0000-000000000001', 'laptop',
    true, 'sp_bridge', 'bridge', NULL, NULL, NULL, 3600000000, 8, true)::bridge_auth.new_session, 2592000000000, NULL, NULL)";
const PUT: &str = "SELECT bridge_auth.put_user('alice', 'SCOPES', NULL)::text AS outcome";
const DISABLE: &str = "SELECT bridge_auth.revoke_user('alice', true)::text AS outcome";
const SWEEP: &str =
    "SELECT codes, sessions, secrets, revocations, refresh_tokens, assertions FROM bridge_auth.sweep(100)";

async fn outcome(client: &Client, sql: &str) -> String {
    client.query_one(sql, &[]).await.unwrap().try_get("outcome").unwrap_or_default()
}

async fn with(client: &Client, sql: &str, code: &ExchangeCode) -> String {
    outcome(client, &sql.replace("HASH", &code.hash().to_hex())).await
}

fn by(client: &str, code: &ExchangeCode) -> RedeemCode {
    let id = RequestedId::Declared(session_id(client));
    RedeemCode::new(code.hash(), NewSession::new(id, client_id(client), HOUR))
        .redirect_uri("https://a.example")
}

async fn migrated_to(version: i32) -> (PostgresBackend, Client) {
    let backend = PostgresBackend::empty().await;
    let mut old = backend.client().await;
    old.batch_execute("CREATE SCHEMA bridge_auth").await.unwrap();
    let mut before = postgres::migrations::runner().set_grouped(true).set_target(Target::Version(version));
    before.set_migration_table_name("bridge_auth.migrations").run_async(&mut old).await.unwrap();
    (backend, old)
}

#[tokio::test]
async fn a_gateway_from_before_sign_in_runs_on_in_postgres() {
    let (backend, old) = migrated_to(14).await;
    let [stored, later, theirs] = [(); 3].map(|()| ExchangeCode::random());
    outcome(&old, &PUT.replace("SCOPES", "read")).await;
    assert_eq!(with(&old, ISSUE, &stored).await, "issued");

    let store = PostgresStore::connect(&backend.url()).await.unwrap();
    let alice = UserId::parse("alice").unwrap();
    store.put_user(&KnownUser::new(alice.clone(), scopes("read write")).label("Alice")).await.unwrap();
    let old = backend.client().await;
    assert_eq!(with(&old, ISSUE, &later).await, "issued");
    for code in [&stored, &later] {
        // Whoever redeems it: its client is not known.
        store.redeem_code(by("desktop", code)).await.unwrap();
    }
    let new = changed(new_code(&alice), |new| (new.hash, new.client) = (theirs.hash(), client_id("desktop")));
    store.issue_code(new.redirect_uri("https://a.example")).await.unwrap();
    assert_eq!(with(&old, REDEEM, &theirs).await, "wrong_client", "an old gateway knows one client alone");
    store.redeem_code(by("desktop", &theirs)).await.unwrap();

    let new = new_code(&alice);
    store.issue_code(new.clone().redirect_uri("https://a.example")).await.unwrap();
    assert_eq!(outcome(&old, &REDEEM.replace("HASH", &new.hash.to_hex())).await, "opened");
    outcome(&old, &PUT.replace("SCOPES", "read")).await;
    let label = store.users(&UserQuery::new("ALI")).await.unwrap().users.remove(0).label;
    assert_eq!(label.as_deref(), Some("Alice"), "an old gateway keeps the label");
    let grant = allowed(&store, &alice).await;
    assert_eq!(outcome(&old, DISABLE).await, "2");
    let told = store.poll_device_grant(poll(&grant)).await;
    assert!(matches!(told, Err(PollDeviceGrantError::UserDisabled)), "{told:?}");
    outcome(&old, SWEEP).await;
    let since: i32 = old.query_one("SELECT since FROM bridge_auth.compatible", &[]).await.unwrap().get(0);
    assert!(since <= 14, "gateways of V14 may start on this database");
}

#[tokio::test]
async fn codes_from_before_sign_in_are_good_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bridges.db");
    let code = ExchangeCode::random();
    fill(&path, &code);
    let store = SqliteStore::open(&path).await.unwrap();
    store.redeem_code(by("desktop", &code)).await.unwrap();
    let alice = user(&store, "alice").await;
    assert_eq!(store.users(&UserQuery::new("")).await.unwrap().users[0].label, None);
    let grant = allowed(&store, &alice).await;
    store.poll_device_grant(poll(&grant)).await.unwrap();
}

fn fill(path: &Path, code: &ExchangeCode) {
    let mut file = rusqlite::Connection::open(path).unwrap();
    sqlite::migrations::runner().set_target(Target::Version(5)).run(&mut file).unwrap();
    let sql = format!(
        "INSERT INTO users (id, scopes) VALUES ('alice', 'read');
        INSERT INTO codes (hash, user_id, scopes, created_at, expires_at)
            VALUES ('{}', 'alice', 'read', unixepoch() * 1000, (unixepoch() + 120) * 1000);",
        code.hash().to_hex()
    );
    file.execute_batch(&sql).unwrap();
}

/// The statements of V15 that open and end sessions, and its list of devices, with their parameters written in.
const VOUCH: &str = "SELECT * FROM bridge_auth.open_vouched(ROW(encode(substr(sha256('ID'), 1, 16), 'hex')::uuid, 'ID', true,
    'sp_bridge', 'bridge', NULL, NULL, NULL, 3600000000, 8, true)::bridge_auth.new_session, 'alice', 'read', 2592000000000,
    NULL)";
const REVOKE: &str =
    "SELECT bridge_auth.revoke_session(encode(substr(sha256('ID'), 1, 16), 'hex')::uuid, 'ID', NULL)::text
    AS outcome";
const OTHERS: &str =
    "SELECT bridge_auth.revoke_others('alice', encode(substr(sha256('ID'), 1, 16), 'hex')::uuid,
    'ID')::text AS outcome";
const CLIENT: &str = "SELECT bridge_auth.revoke_client('ID')::text AS outcome";
const DEVICES: &str = "SELECT count(*)::text AS outcome FROM bridge_auth.sessions AS device
    WHERE device.user_id = 'alice' AND device.parent IS NULL AND device.revoked_at IS NULL AND device.expires_at > now()";
const SWEEP_OF_V15: &str = "SELECT codes, sessions, secrets, revocations, refresh_tokens, assertions, device_grants FROM bridge_auth.sweep(100)";

#[tokio::test]
async fn what_a_gateway_from_before_delegation_ends_takes_its_chains_along_in_postgres() {
    let (backend, old) = migrated_to(15).await;
    outcome(&old, &PUT.replace("SCOPES", "read")).await;
    assert_eq!(outcome(&old, &VOUCH.replace("ID", "before")).await, "opened");
    let store = PostgresStore::connect(&backend.url()).await.unwrap();
    let alice = UserId::parse("alice").unwrap();
    let old = backend.client().await;
    let chain = async |device: &str, client: &str| {
        assert_eq!(outcome(&old, &VOUCH.replace("ID", device)).await, "opened");
        let one = hang(&store, &alice, &session_id(device), client).await;
        let two = hang(&store, &alice, &one, "reader").await;
        [session_id(device), one, two]
    };
    let before = chain("before", "planner").await;
    let laptop = chain("laptop", "writer").await;
    let [desktop, kept] = [chain("desktop", "planner").await, chain("kept", "planner").await];
    assert_eq!(outcome(&old, DEVICES).await, "4", "a delegated session is no device there either");
    for (end, count, ended, live) in [
        (REVOKE.replace("ID", "before"), "3", &before[..], &laptop[..]),
        (CLIENT.replace("ID", "writer"), "2", &laptop[1..], &laptop[..1]),
        (OTHERS.replace("ID", "kept"), "4", &desktop[..], &kept[..]),
        (DISABLE.to_owned(), "3", &kept[..], &[]),
    ] {
        assert_eq!(outcome(&old, &end).await, count, "{end}");
        for (sessions, expected) in [(ended, SessionState::Revoked), (live, SessionState::Live)] {
            for session in sessions {
                assert_eq!(state(&store, session).await, Some(expected), "{end}");
            }
        }
    }
    outcome(&old, SWEEP_OF_V15).await;
    let since: i32 = old.query_one("SELECT since FROM bridge_auth.compatible", &[]).await.unwrap().get(0);
    assert!(since <= 15, "gateways of V15 may start on this database");
}

#[tokio::test]
async fn sessions_from_before_delegation_are_good_parents_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bridges.db");
    let mut file = rusqlite::Connection::open(&path).unwrap();
    sqlite::migrations::runner().set_target(Target::Version(6)).run(&mut file).unwrap();
    let sql = "INSERT INTO users (id, scopes) VALUES ('alice', 'read');
        INSERT INTO sessions (id, user_id, client_id, call_source, scopes, created_at, renewed_at, expires_at)
            SELECT 'before', 'alice', 'sp_bridge', 'bridge', 'read', at, at, at + 3600000
            FROM (SELECT unixepoch() * 1000 AS at);
        INSERT INTO sessions (id, user_id, client_id, parent, call_source, scopes, created_at, renewed_at, expires_at)
            SELECT 'hook', 'alice', 'bridge:alice', 'before', 'bridge', 'hook:track', at, at, at + 3600000
            FROM (SELECT unixepoch() * 1000 AS at);";
    file.execute_batch(sql).unwrap();
    drop(file);
    let store = SqliteStore::open(&path).await.unwrap();
    let alice = UserId::parse("alice").unwrap();
    let child = hang(&store, &alice, &session_id("before"), "planner").await;
    let device = store.all_devices_of(&alice).await.unwrap().remove(0);
    assert_eq!((device.delegated, device.hook_session.map(|hook| hook.id)), (1, Some(session_id("hook"))));
    let assertion = SpentAssertion::new(AssertionHash::of(&client_id("idp"), "1"), HOUR, SystemTime::now());
    vouch(&store, &alice, new_session().assertion(assertion)).await.unwrap();
    assert_eq!(store.revoke(&Revoke::Session(session_id("before"))).await.unwrap(), Some(3));
    assert_eq!(state(&store, &child).await, Some(SessionState::Revoked));
}
