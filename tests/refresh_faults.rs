//! Refreshing that is cut off anywhere: the old token is good or the new one is, and never neither.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use bridge_auth::UserId;
use bridge_auth::id::{RefreshHash, RefreshToken};
use bridge_auth::store::{PostgresStore, RefreshSessionError, SqliteStore, Store};
use tokio::time::{sleep, timeout};

use crate::postgres_faults::{KILL, kill_the_waiting, revive};
use crate::store::given::{
    MINUTE, changed, new_session, refresh, refreshable, rotate, sign_in_to_stay, user, vouch,
};
use crate::support::postgres::{Cluster, PostgresBackend};
use crate::support::{Backend, Listed as _, SqliteBackend};

/// What holds a refresh up at one of its steps.
const STEPS: [(&str, &str); 3] = [
    ("the user", "SELECT FROM bridge_auth.users FOR UPDATE"),
    ("the session", "SELECT FROM bridge_auth.sessions FOR UPDATE"),
    // The session is extended, and somebody just stores the same successor.
    (
        "the successor",
        "INSERT INTO bridge_auth.refresh_tokens SELECT '\\xHASH', key, 0, now() FROM bridge_auth.sessions",
    ),
];

/// Whether the store says that `token` is of the newest generation; `None` when it does not know it.
async fn is_newest(store: &dyn Store, token: &RefreshHash) -> Option<bool> {
    store.refresh_status(token).await.unwrap().map(|status| status.is_unused)
}

#[tokio::test]
async fn killed_at_any_step_of_refreshing_the_old_token_is_as_it_was() {
    for (step, hold) in STEPS {
        let backend = PostgresBackend::start().await;
        let store = PostgresStore::connect(&backend.url()).await.unwrap();
        let alice = user(&store, "alice").await;
        let (_, token) = sign_in_to_stay(&store, &alice).await;
        let before = store.sessions_of(&alice).await.unwrap();
        let new = refresh(token);

        let client = backend.client().await;
        let mut holder = backend.client().await;
        let held = holder.transaction().await.unwrap();
        held.batch_execute(&hold.replace("HASH", &new.successor.to_hex())).await.unwrap();
        let (answer, ()) = tokio::join!(store.refresh_session(new.clone()), kill_the_waiting(&client));
        assert!(matches!(answer, Err(RefreshSessionError::Store(_))), "{step}: {answer:?}");
        held.rollback().await.unwrap();

        assert_eq!(is_newest(&store, &token).await, Some(true), "{step}");
        assert_eq!(is_newest(&store, &new.successor).await, None, "{step}");
        assert_eq!(store.sessions_of(&alice).await.unwrap(), before, "{step}");
        store.refresh_session(new.clone()).await.unwrap();
        assert_eq!(is_newest(&store, &new.successor).await, Some(true), "{step}");
    }
}

#[tokio::test]
async fn killed_at_any_moment_of_refreshing_one_of_the_tokens_is_good() {
    let backend = PostgresBackend::start().await;
    let store = PostgresStore::connect(&backend.url()).await.unwrap();
    let alice = user(&store, "alice").await;
    let client = backend.client().await;
    let kill = client.prepare(KILL).await.unwrap();
    let (_, mut token) = sign_in_to_stay(&store, &alice).await;
    let (mut done, mut undone) = (0, 0);
    for round in 0..200_u64 {
        let new = refresh(token).grace(MINUTE);
        let killing = async {
            // A refresh takes a millisecond or two.
            sleep(Duration::from_micros(round * 37 % 3_000)).await;
            client.execute(&kill, &[]).await.unwrap();
        };
        let (answer, ()) = tokio::join!(store.refresh_session(new.clone()), killing);
        revive(&store).await;
        let state = (is_newest(&store, &token).await, is_newest(&store, &new.successor).await);
        match state {
            (Some(false), Some(true)) => done += 1,
            (Some(true), None) => undone += 1,
            other => panic!("{other:?} after {answer:?}"),
        }
        assert!(answer.is_err() || state.1 == Some(true), "what was acknowledged is so");
        // Whoever got no answer asks again with what they have.
        token = match answer {
            Ok(_) => new.successor,
            Err(RefreshSessionError::Store(_)) => rotate(&store, token).await.unwrap().1,
            Err(other) => panic!("{other:?}"),
        };
    }
    assert_eq!(done + undone, 200);
    assert_eq!(backend.count("sessions").await, 1);
}

#[tokio::test]
async fn a_crash_of_the_server_loses_no_refresh_that_was_acknowledged() {
    let cluster = Cluster::start();
    let backend = PostgresBackend::in_cluster(&cluster).await;
    let store = PostgresStore::connect(&backend.url()).await.unwrap();
    let alice = user(&store, "alice").await;
    let (_, mut token) = sign_in_to_stay(&store, &alice).await;
    for round in 0..4 {
        let admin = backend.client().await;
        let checkpointer = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'";
        let pid: i32 = admin.query_one(checkpointer, &[]).await.unwrap().get(0);
        let crashing = async {
            sleep(Duration::from_millis(20 + 7 * round)).await;
            assert!(Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap().success());
        };
        let refreshing = async {
            let mut acknowledged = token;
            while let Ok((_, next)) = rotate(&store, acknowledged).await {
                acknowledged = next;
            }
            acknowledged
        };
        let (acknowledged, ()) = tokio::join!(refreshing, crashing);
        while !admin.is_closed() || store.ping().await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
        revive(&store).await;
        token = rotate(&store, acknowledged).await.unwrap().1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_future_leaves_one_of_the_tokens_good() {
    let db = SqliteBackend::start().await;
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (_, mut token) = sign_in_to_stay(&*store, &alice).await;
    let (mut finished, mut tokens) = (0, 1);
    for n in 0..200 {
        let new = refresh(token);
        let answer = timeout(Duration::from_micros(n * 10), store.refresh_session(new.clone())).await;
        finished += u64::from(answer.is_ok());
        // The second call waits for whatever the first has begun.
        let (_, next) = rotate(&*store, token).await.unwrap();
        let state = is_newest(&*store, &new.successor).await;
        assert!(state.is_none() || state == Some(true), "{state:?}");
        tokens += 1 + u64::from(state.is_some());
        token = next;
    }
    assert!((1..200).contains(&finished), "{finished} were not dropped");
    assert_eq!(db.count("refresh_tokens").await, tokens);
}

/// The test runs itself in another process, which the variable tells from the first, and kills that.
#[tokio::test]
async fn a_killed_process_loses_no_refresh_that_was_acknowledged() {
    const FILE: &str = "BRIDGE_AUTH_TEST_REFRESH";
    if let Some(path) = std::env::var_os(FILE) {
        return refresh_for_ever(path.as_ref()).await;
    }
    let db = SqliteBackend::start().await;
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let acknowledged = || {
        let text = std::fs::read_to_string(db.path().with_extension("log")).unwrap_or_default();
        text.lines().filter_map(|line| RefreshToken::parse(line).ok()).collect::<Vec<_>>()
    };
    for round in 0..5 {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "refresh_faults::a_killed_process_loses_no_refresh_that_was_acknowledged"]);
        let mut child = child.env(FILE, db.path()).stdout(Stdio::null()).spawn().unwrap();
        let before = acknowledged().len();
        while acknowledged().len() < before + 3 + round {
            sleep(Duration::from_millis(1)).await;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let last = acknowledged().pop().unwrap().hash();
        rotate(&*store, last).await.unwrap();
    }
    assert_eq!(store.sessions_of(&alice).await.unwrap().len(), 5);
}

/// Signs Alice in and refreshes, and writes each token down as soon as it was given.
async fn refresh_for_ever(path: &std::path::Path) {
    let store = SqliteStore::open(path).await.unwrap();
    let mut log =
        std::fs::File::options().create(true).append(true).open(path.with_extension("log")).unwrap();
    let (session, mut presented) = refreshable(new_session());
    vouch(&store, &UserId::parse("alice").unwrap(), session).await.unwrap();
    loop {
        let token = RefreshToken::random();
        let new = changed(refresh(presented), |new| new.successor = token.hash());
        store.refresh_session(new).await.unwrap();
        log.write_all(format!("{}\n", token.expose()).as_bytes()).unwrap();
        presented = token.hash();
    }
}
