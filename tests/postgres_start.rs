//! What a gateway says of a database on which it cannot work, before it works on it.

use std::time::{Duration, Instant};

use bridge_auth::SessionId;
use bridge_auth::store::{PostgresStore, Revoke, Store, StoreError, StoreErrorKind};
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use http::{Method, StatusCode};
use std::sync::Arc;

use crate::store::given;
use crate::support::bridge::builder_over;
use crate::support::gateway::Gateway;
use crate::support::record::Record;
use crate::support::{Backend, PostgresBackend};

/// The newest migration that this version knows.
fn newest() -> i32 {
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres")).unwrap();
    let number = |name: String| name.strip_prefix('V')?.split_once("__")?.0.parse::<i32>().ok();
    files.filter_map(|file| number(file.unwrap().file_name().into_string().unwrap())).max().unwrap()
}

async fn connect_both_ways(url: &str) -> [Result<PostgresStore, StoreError>; 2] {
    [PostgresStore::connect(url).await, PostgresStore::builder(url).migrate(false).connect().await]
}

async fn refused(url: &str, words: &[&str]) {
    for answer in connect_both_ways(url).await {
        let error = answer.expect_err(url);
        let told = Record::told(&error);
        assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{told}");
        assert!(words.iter().all(|word| told.contains(word)), "{words:?}: {told}");
    }
}

const NEWER: &str =
    "INSERT INTO bridge_auth.migrations VALUES (99, 'of_tomorrow', '2026-01-01T00:00:00Z', '7')";

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_in_those_words() {
    let backend = PostgresBackend::start().await;
    let client = backend.client().await;
    client.batch_execute(NEWER).await.unwrap();
    client.batch_execute("UPDATE bridge_auth.compatible SET since = 99").await.unwrap();
    let said = format!(
        "the database was migrated by a newer version of bridge-auth (V99; this one knows up to V{}): upgrade this gateway",
        newest()
    );
    refused(&backend.url(), &[&said]).await;
    client.batch_execute("DROP TABLE bridge_auth.compatible").await.unwrap();
    refused(&backend.url(), &[&said]).await;
}

#[tokio::test]
async fn an_old_gateway_comes_up_after_a_migration_that_says_it_may() {
    let backend = PostgresBackend::start().await;
    backend.client().await.batch_execute(NEWER).await.unwrap();
    let record = Record::default();
    let listening = record.listen();
    for store in connect_both_ways(&backend.url()).await {
        store.unwrap().ping().await.unwrap();
    }
    drop(listening);
    let log = record.text();
    let said = format!(
        "the database was migrated by a newer version of bridge-auth (V99; this one knows up to V{}). The \
         database says that this version may run on it. Upgrade this gateway when you can",
        newest()
    );
    assert_eq!(log.matches(&said).count(), 2, "{log}");
    assert!(log.contains("WARN"), "{log}");
}

#[tokio::test]
async fn a_changed_a_skipped_and_a_missing_migration_are_refused_by_name() {
    let backend = PostgresBackend::start().await;
    let client = backend.client().await;
    client.batch_execute("UPDATE bridge_auth.migrations SET checksum = 'x' WHERE version = 5").await.unwrap();
    refused(&backend.url(), &["V5__revocation", "other contents"]).await;
    client.batch_execute("DELETE FROM bridge_auth.migrations WHERE version = 5").await.unwrap();
    refused(&backend.url(), &["V5__revocation", "not applied"]).await;

    let empty = PostgresBackend::empty().await;
    let error = PostgresStore::builder(&empty.url()).migrate(false).connect().await.unwrap_err();
    let told = Record::told(&error);
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured);
    assert!(told.contains("V1__tables") && told.contains("PostgresStore::migrate"), "{told}");
}

#[tokio::test]
async fn another_encoding_than_utf8_is_refused_with_what_to_write() {
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let backend = PostgresBackend::encoded(encoding).await;
        refused(&backend.url(), &[encoding, "ENCODING 'UTF8' TEMPLATE template0"]).await;
        let sql = "SELECT to_regnamespace('bridge_auth') IS NULL";
        assert!(backend.client().await.query_one(sql, &[]).await.unwrap().get::<_, bool>(0), "{encoding}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_to_migrate_tells_for_whom() {
    let backend = PostgresBackend::empty().await;
    let mut holder = backend.client().await;
    holder.batch_execute("SET application_name = 'the other node'").await.unwrap();
    let pid: i32 = holder.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    let held = holder.transaction().await.unwrap();
    held.batch_execute("SELECT pg_advisory_xact_lock(x'627269646765'::bigint)").await.unwrap();
    let record = Record::default();
    // Of this thread alone, where the future below is polled.
    let listening = record.listen();
    let url = backend.url();
    let mut migrating = std::pin::pin!(PostgresStore::connect(&url));
    let start = Instant::now();
    loop {
        let soon = tokio::time::sleep(Duration::from_millis(20));
        tokio::select! {
            early = &mut migrating => panic!("{early:?}"),
            () = soon => {}
        }
        if record.text().contains("waiting to migrate") {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{}", record.text());
    }
    let log = record.text();
    for part in [&*format!("\"pid\":\"{pid}\""), "the other node", "127.0.0.1", "INFO", "\"since\":\"2"] {
        assert!(log.contains(part), "{part}: {log}");
    }
    held.rollback().await.unwrap();
    migrating.await.unwrap();
    drop(listening);
}

#[tokio::test]
async fn after_a_migration_no_lock_is_left_behind() {
    let backend = PostgresBackend::empty().await;
    let store = PostgresStore::connect(&backend.url()).await.unwrap();
    let client = backend.client().await;
    let sql = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 0);
    store.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_lock_of_the_migrations_is_lost_migrating_stops() {
    let backend = PostgresBackend::empty().await;
    let client = backend.client().await;
    // It cannot get past its first step.
    client.batch_execute("CREATE SCHEMA bridge_auth; BEGIN").await.unwrap();
    client.batch_execute("CREATE TABLE bridge_auth.migrations (version int4)").await.unwrap();
    let url = backend.url();
    let migrating = tokio::spawn(async move { PostgresStore::connect(&url).await });
    let other = backend.client().await;
    let waits = "SELECT FROM pg_locks AS held JOIN pg_stat_activity USING (pid)
        WHERE datname = current_database() AND locktype = 'transactionid' AND NOT granted";
    while other.query(waits, &[]).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(other.query(kill, &[]).await.unwrap().len(), 1);
    let error = migrating.await.unwrap().unwrap_err();
    assert!(Record::told(&error).contains("lock of the migrations was lost"), "{error:?}");
    client.batch_execute("ROLLBACK").await.unwrap();
    PostgresStore::connect(&backend.url()).await.unwrap();
}

/// A role that may log in and no more; dropped with the value's database by name, as roles are the server's.
struct Role {
    name: String,
    url: String,
}

impl Role {
    async fn in_database(backend: &PostgresBackend, kind: &str) -> Self {
        let database = backend.database();
        // A name that must be quoted.
        let name = format!("{kind} \"of\" {database}");
        let quoted = format!("\"{}\"", name.replace('"', "\"\""));
        let client = backend.client().await;
        client.batch_execute(&format!("CREATE ROLE {quoted} LOGIN PASSWORD 'hunter2'")).await.unwrap();
        let mut url = reqwest::Url::parse(&backend.url()).unwrap();
        url.set_username(&name).unwrap();
        url.set_password(Some("hunter2")).unwrap();
        Self { name: quoted, url: url.into() }
    }

    async fn drop(self, backend: &PostgresBackend) {
        let sql = format!("DROP OWNED BY {0} CASCADE; DROP ROLE {0}", self.name);
        backend.client().await.batch_execute(&sql).await.unwrap();
    }
}

/// The statements that an error tells to run.
fn grants(error: &StoreError) -> String {
    let told = Record::told(error);
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{told}");
    let start = told.find("GRANT").unwrap_or_else(|| panic!("{told}"));
    let end = told[start..].rfind(';').map_or(told.len(), |end| start + end);
    told[start..end].to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_rights_are_named_by_the_grants_that_give_them() {
    let backend = PostgresBackend::start().await;
    let client = backend.client().await;
    let closed = "REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA bridge_auth FROM PUBLIC;
        REVOKE USAGE ON TYPE bridge_auth.new_session FROM PUBLIC";
    client.batch_execute(closed).await.unwrap();
    let role = Role::in_database(&backend, "gateway").await;
    for migrate in [true, false] {
        let builder = PostgresStore::builder(&role.url).migrate(migrate);
        let told = grants(&builder.connect().await.unwrap_err());
        for part in [
            "USAGE ON SCHEMA",
            "USAGE ON TYPE",
            "EXECUTE ON ALL FUNCTIONS",
            "SELECT, INSERT, UPDATE, DELETE ON",
            &role.name,
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
    let error = PostgresStore::builder(&role.url).migrate(false).connect().await.unwrap_err();
    client.batch_execute(&grants(&error)).await.unwrap();

    // They are enough for all that a gateway does.
    let store = PostgresStore::connect(&role.url).await.unwrap();
    let gateway = over(&store).await;
    let token = gateway.link("alice").await;
    assert!(gateway.admits(&token).await);
    let alice = given::user(&store, "alice").await;
    let (session, refresh) = given::sign_in_to_stay(&store, &alice).await;
    given::rotate(&store, refresh).await.unwrap();
    given::provision(&store, &alice, &session).await.unwrap();
    store.revocations_since(&Default::default(), 10).await.unwrap();
    store.sweep(100).await.unwrap();
    store.revoke(&Revoke::Client(given::client_id("sp_bridge"))).await.unwrap();
    assert!(!gateway.admits(&token).await);

    // One alone.
    let one = format!("REVOKE DELETE ON bridge_auth.codes FROM {}", role.name);
    client.batch_execute(&one).await.unwrap();
    let error = PostgresStore::connect(&role.url).await.unwrap_err();
    assert_eq!(
        grants(&error),
        format!("GRANT SELECT, INSERT, UPDATE, DELETE ON bridge_auth.codes TO {}", role.name)
    );
    drop((gateway, store));
    role.drop(&backend).await;
}

// One thread: what is done for a request is logged where the test listens.
#[tokio::test]
async fn a_right_that_is_taken_from_a_running_gateway_is_told_once_and_nobody_is_told_to_try_again() {
    let backend = PostgresBackend::start().await;
    let client = backend.client().await;
    let role = Role::in_database(&backend, "runner").await;
    let error = PostgresStore::connect(&role.url).await.unwrap_err();
    client.batch_execute(&grants(&error)).await.unwrap();
    let store = PostgresStore::connect(&role.url).await.unwrap();
    let gateway = over(&store).await;
    let token = gateway.link("alice").await;
    assert!(gateway.admits(&token).await);

    let record = Record::default();
    let _listening = record.listen_to_text();
    let all = format!("REVOKE SELECT ON bridge_auth.sessions FROM {}", role.name);
    client.batch_execute(&all).await.unwrap();
    let to_write = "GRANT USAGE ON SCHEMA bridge_auth";
    let fault = store.session_statuses(&[SessionId::random()]).await.unwrap_err();
    assert!(grants(&fault).contains(to_write), "{fault:?}");
    for _ in 0..5 {
        let answer = gateway.call(Method::GET, "/v1/echo", &token).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
        assert!(answer.header("retry-after").is_empty(), "{answer:?}");
    }
    let log = record.text();
    assert_eq!(log.matches(to_write).count(), 1, "{log}");
    drop((gateway, store));
    role.drop(&backend).await;
}

/// A gateway on this very store.
async fn over(store: &PostgresStore) -> Gateway {
    let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
    Gateway::over(builder_over(Arc::new(store.clone()), keys).build().unwrap()).await
}

#[tokio::test]
async fn a_role_that_may_not_migrate_is_told_what_it_lacks() {
    let backend = PostgresBackend::empty().await;
    let client = backend.client().await;
    let role = Role::in_database(&backend, "migrator").await;
    let grant = grants(&PostgresStore::connect(&role.url).await.unwrap_err());
    let grant = grant.split(';').next().unwrap().to_owned();
    assert_eq!(grant, format!("GRANT CREATE ON DATABASE {} TO {}", backend.database(), role.name));
    client.batch_execute(&grant).await.unwrap();
    PostgresStore::connect(&role.url).await.unwrap().check().await.unwrap();
    role.drop(&backend).await;
}

#[tokio::test]
async fn a_gateway_that_starts_on_an_absent_database_or_may_not_log_in_is_told_what_to_write() {
    let backend = PostgresBackend::empty().await;
    let mut url = reqwest::Url::parse(&backend.url()).unwrap();
    url.set_path("nowhere");
    refused(url.as_str(), &["no such database", "ENCODING 'UTF8'"]).await;
    let mut url = reqwest::Url::parse(&backend.url()).unwrap();
    url.set_username("nobody_at_all").unwrap();
    refused(url.as_str(), &["refused the login", "pg_hba.conf"]).await;
}

/// Somebody may restore it.
#[tokio::test]
async fn a_database_that_is_dropped_under_a_running_gateway_is_unavailable_until_it_is_restored() {
    let backend = PostgresBackend::start().await;
    let store = PostgresStore::connect(&backend.url()).await.unwrap();
    let gateway = over(&store).await;
    let token = gateway.link("alice").await;
    assert!(gateway.admits(&token).await);

    let (database, away) = (backend.database(), format!("{}_away", backend.database()));
    let server = backend.server().await;
    let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'");
    // A new connection may be there before it is renamed.
    let start = Instant::now();
    while let Err(fault) = async {
        server.batch_execute(&end).await?;
        server.batch_execute(&format!("ALTER DATABASE {database} RENAME TO {away}")).await
    }
    .await
    {
        assert!(start.elapsed() < Duration::from_secs(30), "{fault}");
    }
    let fault = loop {
        // What was cut is noticed first.
        let fault = store.ping().await.unwrap_err();
        assert_eq!(fault.kind(), StoreErrorKind::Unavailable, "{fault:?}");
        if Record::told(&fault).contains("no such database") {
            break fault;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{fault:?}");
    };
    assert!(Record::told(&fault).contains("ENCODING 'UTF8'"), "{fault:?}");
    for _ in 0..3 {
        let answer = gateway.call(Method::GET, "/v1/echo", &token).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
        assert_eq!(answer.header("retry-after"), "1", "{answer:?}");
    }
    refused(&backend.url(), &["no such database", "ENCODING 'UTF8'"]).await;

    server.batch_execute(&format!("ALTER DATABASE {away} RENAME TO {database}")).await.unwrap();
    let start = Instant::now();
    loop {
        let answer = gateway.call(Method::GET, "/v1/echo", &token).await;
        if answer.status == StatusCode::OK {
            break;
        }
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
        assert!(start.elapsed() < Duration::from_secs(15), "{answer:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
