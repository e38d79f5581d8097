//! A database that was filled by the version before, and gateways of that version which run on.

use std::time::Duration;

use bridge_auth::id::{ClientId, ClientSecret, ExchangeCode, RefreshHash, RefreshToken, SecretHash};
use bridge_auth::store::{
    ClientProof, PostgresStore, RedeemCode, RefreshRefusal, Revoke, SessionState, SqliteStore, Store,
};
use bridge_auth::{SessionId, UserId};
use refinery::Target;
use tokio_postgres::Client;

use super::given::{DAY, declared, is_good, open_hook, provision, rotate, scopes, session_id, state, vouch};
use super::refresh::refusal;
use crate::support::{Backend as _, Listed as _, PostgresBackend};

pub mod postgres {
    refinery::embed_migrations!("migrations/postgres");
}
pub mod sqlite {
    refinery::embed_migrations!("migrations/sqlite");
}

/// The statements of the version before, with their parameters written in.
const OPEN: &str = "SELECT * FROM bridge_auth.open_vouched(
    ROW(KEY, 'ID', true, 'sp_bridge', 'bridge', NULL, NULL, NULL, 86400000000, 8, true)::bridge_auth.new_session,
    'alice', 'read write', 2592000000000, '\\xHASH')";
const REDEEM: &str = "SELECT * FROM bridge_auth.redeem_code('HASH', NULL,
    ROW(KEY, 'ID', true, 'sp_bridge', 'bridge', NULL, NULL, NULL, 3600000000, 8, true)::bridge_auth.new_session,
    2592000000000, NULL)";
const ISSUE: &str =
    "SELECT outcome, ends_at FROM bridge_auth.issue_code('HASH', 'alice', 'read', NULL, 120000000, 8)";
const PROVISION: &str = "SELECT bridge_auth.provision_client(
    'bridge:alice', 'alice', KEY, 'ID', '\\xHASH', 'hook:track', 60000000, 16, NULL) AS outcome";
const HOOK: &str = "SELECT * FROM bridge_auth.open_for_client(
    ROW(KEY, 'ID', false, 'bridge:alice', 'bridge', NULL, NULL, NULL, 3600000000, 8, true)::bridge_auth.new_session,
    '\\xHASH', 'hook:track', 3600000000, NULL, false)";
const REFRESH: &str = "SELECT * FROM bridge_auth.refresh_session(
    '\\xID', '\\xHASH', 'sp_bridge', NULL, NULL, NULL, NULL, 86400000000, 30000000)";
const SWEEP: &str =
    "SELECT codes, sessions, secrets, revocations, refresh_tokens, assertions FROM bridge_auth.sweep(100)";

fn statement(sql: &str, id: &str, hash: &str) -> String {
    let key = format!("encode(substr(sha256('{id}'), 1, 16), 'hex')::uuid");
    sql.replace("KEY", &key).replace("ID", id).replace("HASH", hash)
}

/// Runs a statement of the version before; its outcome.
async fn run(client: &Client, sql: &str) -> String {
    let row = client.query_one(sql, &[]).await.unwrap();
    row.try_get("outcome").unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What was in a database that the version before left.
struct Before {
    code: ExchangeCode,
    /// The laptop's refresh tokens: the last was never used.
    tokens: [RefreshHash; 3],
    /// The desktop's: whether the answer with the second arrived, nobody knows.
    lost: [RefreshHash; 2],
    /// The laptop's secrets, oldest first.
    secrets: [SecretHash; 4],
    /// The tablet's, whose session has expired.
    forgotten: SecretHash,
}

/// How many sessions the laptop's hooks have.
const HOOKS: usize = 50;

impl Before {
    fn new() -> Self {
        let secret = || ClientSecret::random().hash(None);
        Self {
            code: ExchangeCode::random(),
            tokens: std::array::from_fn(|_| RefreshToken::random().hash()),
            lost: std::array::from_fn(|_| RefreshToken::random().hash()),
            secrets: std::array::from_fn(|_| secret()),
            forgotten: secret(),
        }
    }

    /// Alice with a laptop that was refreshed twice and whose hooks have sessions, a code, and a tablet that has expired.
    async fn in_postgres(&self) -> (PostgresBackend, Client) {
        let backend = PostgresBackend::empty().await;
        let mut client = backend.client().await;
        client.batch_execute("CREATE SCHEMA bridge_auth").await.unwrap();
        let mut before = postgres::migrations::runner().set_grouped(true).set_target(Target::Version(8));
        before.set_migration_table_name("bridge_auth.migrations").run_async(&mut client).await.unwrap();
        let user = "INSERT INTO bridge_auth.users (id, scopes) VALUES ('alice', 'admin read write')";
        client.batch_execute(user).await.unwrap();
        let [first, second, third] = self.tokens.map(|token| hex(token.as_bytes()));
        assert_eq!(run(&client, &statement(OPEN, "laptop", &first)).await, "opened");
        assert_eq!(run(&client, &statement(REFRESH, &first, &second)).await, "opened");
        assert_eq!(run(&client, &statement(REFRESH, &second, &third)).await, "opened");
        let [used, lost] = self.lost.map(|token| hex(token.as_bytes()));
        assert_eq!(run(&client, &statement(OPEN, "desktop", &used)).await, "opened");
        assert_eq!(run(&client, &statement(REFRESH, &used, &lost)).await, "opened");
        assert_eq!(run(&client, &statement(ISSUE, "", &self.code.hash().to_hex())).await, "issued");
        for secret in &self.secrets {
            let secret = hex(secret.as_bytes());
            assert_eq!(run(&client, &statement(PROVISION, "laptop", &secret)).await, "provisioned");
        }
        let newest = hex(self.secrets[3].as_bytes());
        for n in 0..HOOKS {
            assert_eq!(run(&client, &statement(HOOK, &format!("hook-{n}"), &newest)).await, "opened");
        }
        assert_eq!(run(&client, &statement(OPEN, "tablet", &"cd".repeat(32))).await, "opened");
        let forgotten = hex(self.forgotten.as_bytes());
        assert_eq!(run(&client, &statement(PROVISION, "tablet", &forgotten)).await, "provisioned");
        // The grace of the last refresh is over, and so is the tablet's session.
        let later = "UPDATE bridge_auth.sessions SET rotated_at = rotated_at - interval '1 hour';
            UPDATE bridge_auth.refresh_tokens SET issued_at = issued_at - interval '1 hour';
            UPDATE bridge_auth.sessions SET expires_at = now() - interval '10 minutes' WHERE id = 'tablet'";
        client.batch_execute(later).await.unwrap();
        (backend, client)
    }

    /// The same.
    fn in_sqlite(&self, path: &std::path::Path) {
        let mut file = rusqlite::Connection::open(path).unwrap();
        sqlite::migrations::runner().set_target(Target::Version(3)).run(&mut file).unwrap();
        let hashes = |hashes: &[String]| hashes.iter().map(|hash| format!("x'{hash}'")).collect::<Vec<_>>();
        let tokens = hashes(&self.tokens.map(|token| hex(token.as_bytes())));
        let lost = hashes(&self.lost.map(|token| hex(token.as_bytes())));
        let secrets = hashes(&self.secrets.map(|secret| hex(secret.as_bytes())));
        let session = |id: &str, client: &str, parent: &str, expires: &str| {
            format!(
                "INSERT INTO sessions (id, user_id, client_id, parent, call_source, scopes, created_at, renewed_at,
                    expires_at, ends_at, generation, rotated_at)
                SELECT '{id}', 'alice', '{client}', {parent}, 'bridge', 'read write', at, at, {expires},
                    at + 2592000000, 2, at - 3600000 FROM (SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS at);"
            )
        };
        let mut sql =
            "BEGIN; INSERT INTO users (id, scopes) VALUES ('alice', 'admin read write');".to_owned();
        sql += &session("laptop", "sp_bridge", "NULL", "at + 86400000");
        sql += &session("desktop", "sp_bridge", "NULL", "at + 86400000");
        sql += &session("tablet", "sp_bridge", "NULL", "at - 600000");
        for n in 0..HOOKS {
            sql += &session(&format!("hook-{n}"), "bridge:alice", "'laptop'", "at + 3600000");
        }
        let laptop = tokens.iter().enumerate().map(|(generation, token)| (token, "laptop", generation));
        // The fixture's sessions say that they have three generations.
        let desktop = lost.iter().enumerate().map(|(place, token)| (token, "desktop", place + 1));
        for (token, session, generation) in laptop.chain(desktop) {
            sql += &format!(
                "INSERT INTO refresh_tokens VALUES ({token}, '{session}', {generation}, (unixepoch() - 3600) * 1000);"
            );
        }
        sql += &format!(
            "INSERT INTO codes (hash, user_id, scopes, created_at, expires_at)
                VALUES ('{}', 'alice', 'read', unixepoch() * 1000, (unixepoch() + 120) * 1000);
            INSERT INTO clients (id, owner, scopes) VALUES ('bridge:alice', 'alice', 'hook:track');",
            self.code.hash().to_hex()
        );
        for (place, secret) in secrets.iter().enumerate() {
            let expires = if place < 3 { "(unixepoch() + 60) * 1000" } else { "NULL" };
            sql += &format!(
                "INSERT INTO client_secrets (client_id, session_id, hash, expires_at)
                    VALUES ('bridge:alice', 'laptop', {secret}, {expires});"
            );
        }
        sql += &format!(
            "INSERT INTO client_secrets (client_id, session_id, hash) VALUES ('bridge:alice', 'tablet', x'{}'); COMMIT;",
            hex(self.forgotten.as_bytes())
        );
        file.execute_batch(&sql).unwrap();
    }

    /// What should live goes on as if it were of this version, and what should not is dead.
    async fn lives_on_in(&self, store: &dyn Store) {
        let (alice, laptop) = (UserId::parse("alice").unwrap(), session_id("laptop"));
        assert_eq!(state(store, &laptop).await, Some(SessionState::Live));
        let devices = store.all_devices_of(&alice).await.unwrap();
        assert_eq!(devices.len(), 2);
        let shown = devices.iter().find(|device| device.session.id == laptop).unwrap();
        assert!(shown.secret_since.is_some() && shown.hook_session.is_some());
        assert_eq!(shown.session.ends_at, shown.session.created_at + 30 * DAY);
        for n in 0..HOOKS {
            assert_eq!(state(store, &session_id(&format!("hook-{n}"))).await, Some(SessionState::Live));
        }
        let mut good = Vec::new();
        for secret in self.secrets.iter().chain([&self.forgotten]) {
            good.push(is_good(store, &alice, secret).await);
        }
        // A device has two at most, and one that has expired has none.
        assert_eq!(good, [false, false, true, true, false]);
        let id = ClientId::for_hooks_of(&alice);
        let client = store.verify_client(&id, &ClientProof::Secret(self.secrets[3])).await.unwrap().unwrap();
        assert_eq!(client.scopes, scopes("hook:track"));
        let hook = open_hook(store, &alice, self.secrets[3]).await.unwrap();
        assert!(hook.renewed, "one of those that there were goes on");
        provision(store, &alice, &laptop).await.unwrap();

        let session = declared("other");
        let other = store.redeem_code(RedeemCode::new(self.code.hash(), session)).await;
        assert!(!other.unwrap().renewed);

        // A lost answer from before is answered again, and what it brought is retired.
        let unused = async |token| store.refresh_status(&token).await.unwrap().unwrap().is_unused;
        let [used, lost] = self.lost;
        assert!(!unused(used).await && unused(lost).await);
        let (_, found) = rotate(store, used).await.unwrap();
        assert!(!unused(lost).await && unused(found).await);
        assert!(matches!(refusal(rotate(store, lost).await), RefreshRefusal::Reused { .. }));
        assert_eq!(state(store, &session_id("desktop")).await, Some(SessionState::Revoked));

        // The third token was never used. What came before it was, and is known for copied.
        let [first, second, third] = self.tokens;
        assert!(!unused(first).await && !unused(second).await && unused(third).await);
        let (refreshed, next) = rotate(store, third).await.unwrap();
        assert_eq!((&refreshed.id, refreshed.scopes), (&laptop, scopes("read write")));
        rotate(store, next).await.unwrap();
        assert!(matches!(refusal(rotate(store, second).await), RefreshRefusal::Reused { .. }));
        assert_eq!(state(store, &laptop).await, Some(SessionState::Revoked));
        for n in 0..HOOKS {
            assert_eq!(state(store, &session_id(&format!("hook-{n}"))).await, Some(SessionState::Revoked));
        }
        assert_eq!(store.revoke(&Revoke::User(alice)).await.unwrap(), Some(1), "the other one");
    }
}

#[tokio::test]
async fn a_postgres_database_of_the_version_before_is_migrated_with_all_that_is_in_it() {
    let before = Before::new();
    let (backend, client) = before.in_postgres().await;
    let store = PostgresStore::connect(&backend.url()).await.unwrap();
    let rounds = "SELECT count(*) FROM bridge_auth.refresh_tokens WHERE rounds IS NOT NULL";
    let rewritten: i64 = client.query_one(rounds, &[]).await.unwrap().get(0);
    assert_eq!(rewritten, 0, "no row of a large table was rewritten");
    before.lives_on_in(&store).await;
}

/// The history is in refinery's form: a version of this crate that used it finds all that it knows.
#[tokio::test]
async fn refinery_finds_nothing_to_do_in_a_database_of_ours() {
    let backend = PostgresBackend::start().await;
    let mut runner = postgres::migrations::runner();
    runner.set_migration_table_name("bridge_auth.migrations");
    let mut client = backend.client().await;
    assert!(runner.run_async(&mut client).await.unwrap().applied_migrations().is_empty());
    let last = runner.get_last_applied_migration_async(&mut client).await.unwrap().unwrap();
    assert!(last.applied_on().is_some());
}

#[tokio::test]
async fn a_sqlite_file_of_the_version_before_is_migrated_with_all_that_is_in_it() {
    let before = Before::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bridges.db");
    before.in_sqlite(&path);
    let store = SqliteStore::open(&path).await.unwrap();
    before.lives_on_in(&store).await;
}

#[tokio::test]
async fn a_gateway_of_the_version_before_runs_on_while_the_next_one_migrates() {
    let before = Before::new();
    let (backend, old) = before.in_postgres().await;
    let prepared = old.prepare(&statement(REDEEM, "other", &"0".repeat(64))).await.unwrap();
    assert_eq!(old.query_one(&prepared, &[]).await.unwrap().get::<_, &str>("outcome"), "unknown");
    let store = PostgresStore::connect(&backend.url()).await.unwrap();

    // A plan that it made before fails, and then the gateway closes that connection.
    if old.query_one(&prepared, &[]).await.is_err() {
        let again = old.prepare(&statement(REDEEM, "other", &"0".repeat(64))).await.unwrap();
        assert_eq!(old.query_one(&again, &[]).await.unwrap().get::<_, &str>("outcome"), "unknown");
    }
    let old = backend.client().await;
    let alice = UserId::parse("alice").unwrap();
    let secret = hex(before.secrets[3].as_bytes());
    assert_eq!(run(&old, &statement(HOOK, SessionId::random().as_str(), &secret)).await, "opened");
    assert_eq!(run(&old, &statement(REDEEM, "other", &before.code.hash().to_hex())).await, "opened");
    assert_eq!(run(&old, &statement(PROVISION, "laptop", &"ab".repeat(32))).await, "provisioned");
    let [_, _, newest] = before.tokens.map(|token| hex(token.as_bytes()));
    let next = RefreshToken::random().hash();
    assert_eq!(run(&old, &statement(REFRESH, &newest, &hex(next.as_bytes()))).await, "opened");
    run(&old, SWEEP).await;
    let (_, token) = rotate(&store, next).await.unwrap();
    // Its renewal forgets the refresh tokens too.
    assert_eq!(run(&old, &statement(OPEN, "laptop", &"ef".repeat(32))).await, "opened");
    assert!(rotate(&store, token).await.is_err());
    assert!(vouch(&store, &alice, declared("laptop")).await.unwrap().renewed);
}

/// Each table locked, in the order of a call that is under way, or by a backup.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_fails_no_call_that_is_under_way_and_holds_up_none() {
    for tables in [["client_secrets", "sessions"], ["sessions", "client_secrets"]] {
        let before = Before::new();
        let (backend, old) = before.in_postgres().await;
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
        before.lives_on_in(&store).await;
    }
}
