//! What holds of a SQLite file alone: its mode, its companions, many processes at its birth.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bridge_auth::id::{ClientSecret, ExchangeCode, RefreshToken};
use bridge_auth::store::{
    GrantRefusal, OpenSessionError, RedeemError, RefreshRefusal, RefreshSessionError, Revoke, SessionState,
    SqliteStore, Store, StoreErrorKind,
};
use futures_util::future::join_all;
use tokio::time::timeout;

use super::given::{
    code, is_good, new_secret, open_hook, provision, redeem, rotate, secret_of, sign_in, state, user,
};
use crate::support::{Backend, Listed as _, SqliteBackend};

#[tokio::test]
async fn the_file_and_its_folder_are_made_for_the_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some/where/bridges.db");
    let store = SqliteStore::open(&path).await.unwrap();
    user(&store, "alice").await;
    let files: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().map(Result::unwrap).collect();
    assert!(files.iter().any(|file| file.file_name() == "bridges.db-wal"), "{files:?}");
    for file in files {
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file:?}");
    }
}

#[tokio::test]
async fn a_name_that_means_something_to_sqlite_is_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file:bridges.db?mode=memory");
    let store = SqliteStore::open(&path).await.unwrap();
    let alice = user(&store, "alice").await;
    sign_in(&store, &alice).await;
    let again = SqliteStore::open(&path).await.unwrap();
    assert_eq!(again.sessions_of(&alice).await.unwrap().len(), 1);
    assert!(path.exists());
}

#[tokio::test]
async fn what_is_no_database_is_an_error_that_names_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "certainly not a database, and long enough to be read as one".repeat(50)).unwrap();
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (StoreErrorKind::Failed, "the store failed"));
    let error = SqliteStore::open(path.join("inside")).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("certainly"));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_handles_make_one_file_at_once() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/bridges.db");
        let opening = (0..16).map(|n| {
            let path = path.clone();
            tokio::spawn(async move { use_file(&path, &format!("user-{n}")).await })
        });
        assert!(join_all(opening).await.iter().all(Result::is_ok));
        assert_migrated_once(&path, 16);
    }
}

/// The test runs itself in four more processes, which the variable tells from the first.
#[tokio::test]
async fn four_processes_make_one_file_at_once() {
    const FILE: &str = "BRIDGE_AUTH_TEST_FILE";
    if let Some(path) = std::env::var_os(FILE) {
        return use_file(&PathBuf::from(path), &format!("process-{}", std::process::id())).await;
    }
    for _ in 0..5 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/bridges.db");
        let this = std::env::current_exe().unwrap();
        let start = |_| {
            let mut child = Command::new(&this);
            child.args(["--exact", "store::sqlite_file::four_processes_make_one_file_at_once"]);
            child.env(FILE, &path).stdout(Stdio::null()).spawn().unwrap()
        };
        let children: Vec<_> = (0..4).map(start).collect();
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
        assert_migrated_once(&path, 4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_future_leaves_the_code_spent_with_its_session_or_neither() {
    let db = SqliteBackend::start().await;
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (mut finished, mut sessions) = (0, 0);
    for n in 0..200 {
        let hash = code(&*store, &alice).await;
        let patience = Duration::from_micros(n * 10);
        finished += u64::from(timeout(patience, store.redeem_code(redeem(hash))).await.is_ok());
        // The second call waits for whatever the first has begun.
        match store.redeem_code(redeem(hash)).await {
            Ok(_) | Err(RedeemError::Refused(GrantRefusal::Replayed { .. })) => sessions += 1,
            Err(e) => panic!("neither spent nor unspent: {e}"),
        }
    }
    assert!((1..200).contains(&finished), "{finished} were not dropped");
    assert_eq!(db.count("sessions").await, sessions);
}

#[tokio::test]
async fn a_writer_elsewhere_that_takes_too_long_is_a_timeout_and_reads_go_on() {
    let db = SqliteBackend::start().await;
    let store = SqliteStore::builder(db.path()).timeout(Duration::from_millis(50)).open().await.unwrap();
    let alice = user(&store, "alice").await;
    let session = sign_in(&store, &alice).await;
    let elsewhere = rusqlite::Connection::open(db.path()).unwrap();
    elsewhere.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = store.revoke(&Revoke::Session(session.clone())).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::TimedOut);
    assert_eq!(state(&store, &session).await, Some(SessionState::Live));
    store.ping().await.unwrap();
    elsewhere.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.revoke(&Revoke::Session(session)).await.unwrap(), Some(1));
}

#[tokio::test]
async fn what_changes_nothing_waits_for_no_writer() {
    let db = SqliteBackend::start().await;
    let store = SqliteStore::builder(db.path()).timeout(Duration::from_millis(50)).open().await.unwrap();
    let alice = user(&store, "alice").await;
    let session = sign_in(&store, &alice).await;
    let secret = provision(&store, &alice, &session).await.unwrap();
    let hook = open_hook(&store, &alice, secret).await.unwrap();
    let elsewhere = rusqlite::Connection::open(db.path()).unwrap();
    elsewhere.execute_batch("BEGIN IMMEDIATE").unwrap();
    user(&store, "alice").await;
    let again = open_hook(&store, &alice, secret).await.unwrap();
    assert_eq!((again.id, again.renewed), (hook.id, true));
    let wrong = open_hook(&store, &alice, ClientSecret::random().hash(None)).await;
    assert!(matches!(wrong, Err(OpenSessionError::WrongSecret)), "{wrong:?}");
    let unknown = store.redeem_code(redeem(ExchangeCode::random().hash())).await;
    assert!(matches!(unknown, Err(RedeemError::Refused(GrantRefusal::Unknown))), "{unknown:?}");
    let unknown = rotate(&store, RefreshToken::random().hash()).await;
    assert!(matches!(unknown, Err(RefreshSessionError::Refused(RefreshRefusal::Unknown))), "{unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn provisions_of_two_processes_that_wait_together_replace_none_of_each_other() {
    let db = SqliteBackend::start().await;
    let stores = [db.open().await, db.open().await];
    let store = Arc::clone(&stores[0]);
    let alice = user(&*store, "alice").await;
    let session = sign_in(&*store, &alice).await;
    let elsewhere = rusqlite::Connection::open(db.path()).unwrap();
    elsewhere.execute_batch("BEGIN IMMEDIATE").unwrap();
    let both = [0, 1].map(|_| new_secret(&alice, &session).overlap(Duration::ZERO));
    let mut stores = stores.into_iter();
    let provisioning = both.clone().map(|new| {
        let store = stores.next().unwrap();
        tokio::spawn(async move { store.provision_client(new).await })
    });
    // Both have begun well before either can write.
    tokio::time::sleep(Duration::from_millis(500)).await;
    elsewhere.execute_batch("ROLLBACK").unwrap();
    for provisioned in provisioning {
        provisioned.await.unwrap().unwrap();
    }
    for new in &both {
        assert!(is_good(&*store, &alice, &secret_of(new)).await);
    }
}

#[test]
fn a_store_may_outlive_its_runtime() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bridges.db");
    let open = || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let store = runtime.block_on(SqliteStore::open(&path)).unwrap();
        runtime.block_on(user(&store, "alice"));
        (store, runtime)
    };
    let (store, runtime) = open();
    drop((store, runtime));
    let (store, runtime) = open();
    drop(runtime);
    drop(store);
}

/// Opens the file as a gateway does at its start, and writes to it.
async fn use_file(path: &Path, name: &str) {
    let store = SqliteStore::open(path).await.unwrap();
    let person = user(&store, name).await;
    sign_in(&store, &person).await;
}

fn assert_migrated_once(path: &Path, sessions: u64) {
    let connection = rusqlite::Connection::open(path).unwrap();
    let count = |table: &str| -> u64 {
        let sql = format!("SELECT count(*) FROM {table}");
        connection.query_one(&sql, [], |row| row.get::<_, i64>(0)).unwrap().unsigned_abs()
    };
    let sql_files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite")).unwrap();
    assert_eq!(count("refinery_schema_history"), sql_files.count() as u64);
    assert_eq!(count("sessions"), sessions);
    let mode: String = connection.query_one("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
}
