//! What strangers who poll, and hosts that make people known at every login, cause to be written: next to nothing.

use bridge_auth::store::{KnownUser, NewDeviceGrant, PollDeviceGrantError, PostgresStore, Store};
use rusqlite::{Connection, TransactionBehavior};

use super::device_grants::{new_grant, poll, started};
use super::given::{MINUTE, SECOND, scopes, user};
use crate::support::{Backend as _, PostgresBackend, SqliteBackend};

/// What strangers may do as often as they like: a poll with an unknown code, and one that comes too early again.
async fn strangers_poll(store: &dyn Store, waiting: &NewDeviceGrant) {
    for _ in 0..20 {
        let unknown = store.poll_device_grant(poll(&new_grant())).await;
        assert!(matches!(unknown, Err(PollDeviceGrantError::Unknown)), "{unknown:?}");
        let early = store.poll_device_grant(poll(waiting)).await;
        assert!(matches!(early, Err(PollDeviceGrantError::SlowDown { .. })), "{early:?}");
        assert!(store.device_grant(&new_grant().user_code).await.unwrap().is_none());
    }
}

/// A grant whose client polled too early already.
async fn slowed_down(store: &dyn Store) -> NewDeviceGrant {
    let grant = new_grant().interval(MINUTE);
    store.start_device_grant(grant.clone()).await.unwrap();
    for _ in 0..2 {
        store.poll_device_grant(poll(&grant)).await.unwrap_err();
    }
    grant
}

async fn log_in(store: &dyn Store) {
    let alice = user(store, "alice").await;
    store.put_user(&KnownUser::new(alice.clone(), scopes("admin read write")).label("Alice")).await.unwrap();
}

#[tokio::test]
async fn strangers_and_logins_write_nothing_in_postgres_and_wait_for_nobody() {
    let db = PostgresBackend::start().await;
    let store = db.open().await;
    let grant = slowed_down(&*store).await;
    log_in(&*store).await;
    let mut other = db.client().await;
    let held = other.transaction().await.unwrap();
    // Whoever writes there waits, and so does whoever locks a row.
    held.batch_execute("LOCK TABLE bridge_auth.device_grants, bridge_auth.users IN EXCLUSIVE MODE")
        .await
        .unwrap();
    strangers_poll(&*store, &grant).await;
    log_in(&*store).await;
    held.rollback().await.unwrap();
}

#[tokio::test]
async fn strangers_and_logins_write_nothing_in_sqlite_and_wait_for_nobody() {
    let db = SqliteBackend::start().await;
    let store = db.open().await;
    let grant = slowed_down(&*store).await;
    log_in(&*store).await;
    let mut other = Connection::open(db.path()).unwrap();
    let held = other.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    strangers_poll(&*store, &grant).await;
    log_in(&*store).await;
    held.rollback().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_polls_of_one_grant_take_one_connection() {
    let db = PostgresBackend::start().await;
    let store = PostgresStore::builder(&db.url()).pool_size(4).connect().await.unwrap();
    let (grant, other) = (started(&store).await, started(&store).await);
    let mut holder = db.client().await;
    let held = holder.transaction().await.unwrap();
    let lock = "SELECT FROM bridge_auth.device_grants WHERE device_code = $1 FOR UPDATE";
    held.execute(lock, &[&grant.device_code.as_bytes().as_slice()]).await.unwrap();
    let polls: Vec<_> = (0..32)
        .map(|_| {
            let (store, poll) = (store.clone(), poll(&grant));
            tokio::spawn(async move { store.poll_device_grant(poll).await })
        })
        .collect();
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    let watch = db.client().await;
    while watch.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        tokio::time::sleep(SECOND / 100).await;
    }
    let told = store.poll_device_grant(poll(&other)).await;
    assert!(matches!(told, Err(PollDeviceGrantError::Pending)), "it does not wait behind them: {told:?}");
    // On a busy machine its wait may be over.
    assert!(watch.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) <= 1);
    held.rollback().await.unwrap();
    for poll in polls {
        poll.await.unwrap().unwrap_err();
    }
}
