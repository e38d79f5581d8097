//! What holds while a SQLite file is not where it was opened, and how often the disk is written to find out whether it can be.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bridge_auth::id::ExchangeCode;
use bridge_auth::store::{
    RedeemError, Revoke, SessionKey, SessionState, SqliteStore, Store, StoreError, StoreErrorKind,
    StoreErrorKind::Moved,
};
use bridge_auth::{SessionId, UserId};
use futures_util::future::join_all;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::support::known;

use super::given::{redeem, sign_in, state, user};

/// A store in a folder within the temporary one, and a session in it.
struct Given {
    folder: TempDir,
    path: PathBuf,
    store: SqliteStore,
    alice: UserId,
    session: SessionId,
}

impl Given {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/bridges.db");
        let store = SqliteStore::open(&path).await.unwrap();
        let alice = user(&store, "alice").await;
        let session = sign_in(&store, &alice).await;
        Self { folder, path, store, alice, session }
    }

    fn beside(&self, ending: &str) -> PathBuf {
        with_ending(&self.path, ending)
    }

    /// Whether nothing is answered, by whatever way it is asked.
    async fn is_silent(&self, about: &Path) {
        let store = &self.store;
        let unknown = store.redeem_code(redeem(ExchangeCode::random().hash())).await;
        let errors = [
            ("revoke", store.revoke(&Revoke::Session(self.session.clone())).await.err()),
            ("disable", store.disable_user(&self.alice).await.err()),
            ("enable", store.enable_user(&self.alice).await.err()),
            ("sweep", store.sweep(10).await.err()),
            ("look up", store.session_statuses(std::slice::from_ref(&self.session)).await.err()),
            ("rows", store.row_states(&[SessionKey::of(self.session.clone())]).await.err()),
            ("log", store.revocations_since(&Default::default(), 10).await.err()),
            ("devices", store.devices_of(&self.alice, &Default::default()).await.err()),
            ("ping", store.ping().await.err()),
            ("refusal", unknown.err().map(store_error)),
        ];
        for (operation, error) in errors {
            let error = error.unwrap_or_else(|| panic!("{operation} answered"));
            assert_eq!(error.kind(), Moved, "{operation}: {error:?}");
            assert_eq!(error.to_string(), "the store's file was moved, removed or replaced");
            let source = error.source().unwrap().to_string();
            assert!(source.contains(&*about.to_string_lossy()), "{operation}: {source}");
            assert!(source.contains("put it back") || source.contains("put that one back"), "{source}");
        }
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn store_error(error: RedeemError) -> StoreError {
    match error {
        RedeemError::Store(error) => error,
        refusal => panic!("a file that is not there refused: {refusal}"),
    }
}

#[tokio::test]
async fn names_of_databases_in_memory_are_refused_with_what_to_write_instead() {
    for name in [
        "",
        ":memory:",
        ":MEMORY:",
        ":memory:?cache=shared",
        "file::memory:",
        "file::memory:?cache=shared",
        "file:bridges?mode=memory&cache=shared",
        "file:/bridges?vfs=memdb",
        "file:bridges.db",
    ] {
        for opened in [SqliteStore::open(name).await, SqliteStore::builder(name).readers(1).open().await] {
            let error = opened.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{name:?}");
            let source = error.source().unwrap().to_string();
            assert!(
                source.ends_with("write the path of a file, for instance in a temporary folder"),
                "{source}"
            );
            assert!(source.contains(name), "{source}");
        }
        assert!(name.is_empty() || !Path::new(name).exists(), "{name:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_moved_away_answers_nothing_until_it_is_back() {
    let given = Given::start().await;
    let away = given.folder.path().join("away");
    let folder = given.path.parent().unwrap();
    for (ending, moved) in [
        ("", given.path.clone()),
        ("-wal", given.beside("-wal")),
        ("-shm", given.beside("-shm")),
        ("", folder.to_owned()),
    ] {
        fs::rename(&moved, &away).unwrap();
        given.is_silent(&given.beside(ending)).await;
        assert!(!moved.exists(), "{moved:?} was made anew");
        fs::rename(&away, &moved).unwrap();
        assert_eq!(state(&given.store, &given.session).await, Some(SessionState::Live), "{moved:?}");
        user(&given.store, "bob").await;
        given.store.ping().await.unwrap();
    }
    assert_eq!(given.store.revoke(&Revoke::Session(given.session.clone())).await.unwrap(), Some(1));
    let again = SqliteStore::open(&given.path).await.unwrap();
    assert_eq!(state(&again, &given.session).await, Some(SessionState::Revoked));
}

#[tokio::test]
async fn a_file_that_is_removed_stays_silent_and_is_not_made_anew() {
    for ending in ["", "-wal", "-shm"] {
        let given = Given::start().await;
        fs::remove_file(given.beside(ending)).unwrap();
        given.is_silent(&given.beside(ending)).await;
        assert!(!given.beside(ending).exists());
    }
}

#[tokio::test]
async fn another_file_in_its_place_is_refused_until_the_store_is_opened_anew() {
    let given = Given::start().await;
    let backup = given.folder.path().join("backup.db");
    let copy = format!("VACUUM INTO '{}'", backup.display());
    Connection::open(&given.path).unwrap().execute_batch(&copy).unwrap();
    let away: Vec<_> =
        ["", "-wal", "-shm"].map(|ending| with_ending(&backup, &format!(".old{ending}"))).into();
    for (ending, away) in ["", "-wal", "-shm"].into_iter().zip(&away) {
        fs::rename(given.beside(ending), away).unwrap();
    }
    fs::rename(&backup, &given.path).unwrap();
    given.is_silent(&given.path).await;

    let anew = SqliteStore::open(&given.path).await.unwrap();
    assert_eq!(anew.revoke(&Revoke::Session(given.session.clone())).await.unwrap(), Some(1));
    given.is_silent(&given.path).await;
    drop(anew);
}

#[tokio::test]
async fn a_link_that_is_set_to_another_file_is_noticed() {
    let given = Given::start().await;
    let link = given.folder.path().join("current.db");
    let point = |to: &Path| {
        let new = given.folder.path().join("new");
        std::os::unix::fs::symlink(to, &new).unwrap();
        fs::rename(new, &link).unwrap();
    };
    point(&given.path);
    let store = SqliteStore::open(&link).await.unwrap();
    assert_eq!(state(&store, &given.session).await, Some(SessionState::Live));
    let other = Given::start().await;
    point(&other.path);
    let error = store.revoke(&Revoke::Session(given.session.clone())).await.unwrap_err();
    assert_eq!(error.kind(), Moved);
    point(&given.path);
    assert_eq!(store.revoke(&Revoke::Session(given.session.clone())).await.unwrap(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_under_way_while_the_file_is_moved_is_not_acknowledged() {
    let given = Given::start().await;
    let away = given.folder.path().join("away.db");
    let elsewhere = Connection::open(&given.path).unwrap();
    elsewhere.execute_batch("BEGIN IMMEDIATE").unwrap();
    let revoke = Revoke::Session(given.session.clone());
    let write = given.store.revoke(&revoke);
    let interfere = async {
        // It looked before it began to wait; if it has not yet, it fails all the same.
        tokio::time::sleep(Duration::from_millis(200)).await;
        fs::rename(&given.path, &away).unwrap();
        elsewhere.execute_batch("ROLLBACK").unwrap();
    };
    let (written, ()) = tokio::join!(write, interfere);
    assert_eq!(written.unwrap_err().kind(), Moved);
    fs::rename(&away, &given.path).unwrap();
    // It was committed, and as with every error it was not known.
    assert_eq!(state(&given.store, &given.session).await, Some(SessionState::Revoked));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_writes_while_files_come_and_go_finds_all_that_was_acknowledged() {
    let given = Given::start().await;
    let away = given.folder.path().join("away");
    let begun = Instant::now();
    let mut moves = 0;
    let mut acknowledged = Vec::new();
    let mut refused = 0;
    for n in 0.. {
        let moved = given.beside(["", "-wal", "-shm"][n % 3]);
        let name = format!("person-{n}");
        let put = user_put(&given.store, &name);
        let shuffle = async {
            if n % 2 == 0 {
                fs::rename(&moved, &away).unwrap();
                tokio::time::sleep(Duration::from_micros(n as u64 % 700)).await;
                fs::rename(&away, &moved).unwrap();
                moves += 1;
            }
        };
        match tokio::join!(put, shuffle).0 {
            Ok(()) => acknowledged.push(name),
            Err(error) => {
                assert_eq!(error.kind(), Moved, "{error:?}");
                refused += 1;
            }
        }
        if begun.elapsed() > Duration::from_secs(2) && refused > 0 {
            break;
        }
    }
    drop(given.store);
    let after = Connection::open(&given.path).unwrap();
    for name in &acknowledged {
        let found =
            after.query_one("SELECT count(*) FROM users WHERE id = ?", [name], |row| row.get::<_, i64>(0));
        assert_eq!(found.unwrap(), 1, "{name} of {} ({moves} moves, {refused} refused)", acknowledged.len());
    }
}

async fn user_put(store: &SqliteStore, name: &str) -> Result<(), StoreError> {
    store.put_user(&known(&UserId::parse(name).unwrap(), &Default::default())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn many_pings_write_once_a_second_and_none_writes_nothing() {
    let given = Given::start().await;
    let log = || fs::metadata(given.beside("-wal")).unwrap().len();
    let before = log();
    for pinged in join_all((0..200).map(|_| given.store.ping())).await {
        pinged.unwrap();
    }
    let frame = 24 + 4096;
    let begun = Instant::now();
    assert!(log() > before, "the first wrote");
    let mut calls = 0;
    while begun.elapsed() < Duration::from_millis(2500) {
        given.store.ping().await.unwrap();
        calls += 1;
    }
    let seconds = begun.elapsed().as_secs() + 2;
    assert!(log() - before <= seconds * frame, "{} bytes for {calls} calls", log() - before);
    assert!(log() - before >= 2 * frame, "{} bytes for {calls} calls", log() - before);
    let quiet = log();
    state(&given.store, &given.session).await;
    given.store.revocations_since(&Default::default(), 1).await.unwrap();
    assert_eq!(log(), quiet);
}
