//! The revocation log shows every revocation to everyone who reads on.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bridge_auth::store::{Revocation, RevocationCursor, Revoke, SessionLimit, Store, WhenFull};
use futures_util::future::join_all;

use super::given::{
    DAY, SECOND, client_id, code, new_session, open_hook, provision, redeem, sign_in, user, vouch,
};
use crate::support::Backend;

super::promises![
    each_revocation_is_in_the_log,
    a_session_that_ends_in_passing_is_in_the_log,
    hooks_that_go_with_a_bridges_client_are_in_the_log,
    a_reader_goes_on_where_it_was,
    more_than_the_limit_is_none_and_the_reader_goes_on,
    a_reader_who_comes_after_the_sweep_is_told_to_forget_all,
    no_reader_misses_one_under_concurrent_revocations,
];

async fn each_revocation_is_in_the_log(db: impl Backend) {
    let store = db.open().await;
    let (alice, bob) = (user(&*store, "alice").await, user(&*store, "bob").await);
    let cursor = here(&*store).await;
    let device = sign_in(&*store, &alice).await;
    let secret = provision(&*store, &alice, &device).await.unwrap();
    let hook = open_hook(&*store, &alice, secret).await.unwrap().id;
    store.revoke(&Revoke::Session(device.clone())).await.unwrap();
    store.revoke(&Revoke::User(alice.clone())).await.unwrap();
    store.revoke(&Revoke::Client(client_id("sp_bridge"))).await.unwrap();
    store.disable_user(&bob).await.unwrap();
    let logged = since(&*store, &cursor).await;
    for expected in [
        Revocation::Session(device),
        Revocation::Session(hook),
        Revocation::User(alice),
        Revocation::Client(client_id("sp_bridge")),
        Revocation::User(bob),
    ] {
        assert!(logged.contains(&expected), "{expected:?}");
    }
}

async fn a_session_that_ends_in_passing_is_in_the_log(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let cursor = here(&*store).await;
    let hash = code(&*store, &alice).await;
    let replayed = store.redeem_code(redeem(hash)).await.unwrap().id;
    store.redeem_code(redeem(hash)).await.unwrap_err();
    let oldest = sign_in(&*store, &alice).await;
    db.pass_time(SECOND).await;
    let limit = SessionLimit::new(1, WhenFull::Evict);
    vouch(&*store, &alice, new_session().limit(limit)).await.unwrap();
    let logged = since(&*store, &cursor).await;
    assert_eq!(logged, HashSet::from([Revocation::Session(replayed), Revocation::Session(oldest)]));
}

async fn hooks_that_go_with_a_bridges_client_are_in_the_log(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let device = sign_in(&*store, &alice).await;
    let secret = provision(&*store, &alice, &device).await.unwrap();
    let hook = open_hook(&*store, &alice, secret).await.unwrap().id;
    let cursor = here(&*store).await;
    store.revoke(&Revoke::Client(client_id("sp_bridge"))).await.unwrap();
    let logged = since(&*store, &cursor).await;
    assert!(logged.contains(&Revocation::Session(hook)), "no other entry covers it: {logged:?}");
}

async fn a_reader_goes_on_where_it_was(db: impl Backend) {
    let (store, reader) = (db.open().await, db.open().await);
    let alice = user(&*store, "alice").await;
    let mut cursor = here(&*reader).await;
    for _ in 0..5 {
        let session = sign_in(&*store, &alice).await;
        store.revoke(&Revoke::Session(session.clone())).await.unwrap();
        let page = reader.revocations_since(&cursor, 1000).await.unwrap();
        assert!(page.entries.unwrap().contains(&Revocation::Session(session)));
        cursor = page.next;
    }
}

async fn more_than_the_limit_is_none_and_the_reader_goes_on(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let cursor = here(&*store).await;
    for _ in 0..4 {
        let session = sign_in(&*store, &alice).await;
        store.revoke(&Revoke::Session(session)).await.unwrap();
    }
    assert_eq!(since(&*store, &cursor).await.len(), 4);
    assert_eq!(
        store.revocations_since(&cursor, 4).await.unwrap().entries.map(|entries| entries.len()),
        Some(4)
    );
    let page = store.revocations_since(&cursor, 3).await.unwrap();
    assert_eq!(page.entries, None);
    store.revoke(&Revoke::User(alice.clone())).await.unwrap();
    assert!(since(&*store, &page.next).await.contains(&Revocation::User(alice)));
}

async fn a_reader_who_comes_after_the_sweep_is_told_to_forget_all(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let cursor = here(&*store).await;
    store.revoke(&Revoke::User(alice.clone())).await.unwrap();
    db.pass_time(DAY + SECOND).await;
    assert_eq!(store.sweep(100).await.unwrap().revocations, 1);
    let page = store.revocations_since(&cursor, 1000).await.unwrap();
    assert_eq!(page.entries, None, "it missed one");
    // It may be told so again while a transaction is open that is older than what was swept.
    let mut page = page;
    let entries = loop {
        store.revoke(&Revoke::User(alice.clone())).await.unwrap();
        page = store.revocations_since(&page.next, 1000).await.unwrap();
        match page.entries {
            Some(entries) => break entries,
            None => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    assert!(entries.contains(&Revocation::User(alice)));
}

async fn no_reader_misses_one_under_concurrent_revocations(db: impl Backend) {
    let nodes = [db.open().await, db.open().await];
    let alice = user(&*nodes[0], "alice").await;
    let reader = db.open().await;
    let mut cursor = here(&*reader).await;
    let sessions = join_all((0..60).map(|n| sign_in(&*nodes[n % 2], &alice))).await;
    let revoking = tokio::spawn({
        let sessions = sessions.clone();
        let revoke_each = sessions.into_iter().enumerate().map(move |(n, session)| {
            let node = Arc::clone(&nodes[n % 2]);
            tokio::spawn(async move { node.revoke(&Revoke::Session(session)).await.unwrap() })
        });
        join_all(revoke_each)
    });
    let mut seen = HashSet::new();
    loop {
        let all_acknowledged = revoking.is_finished();
        let page = reader.revocations_since(&cursor, 1000).await.unwrap();
        seen.extend(page.entries.unwrap());
        cursor = page.next;
        if all_acknowledged {
            break;
        }
    }
    assert!(revoking.await.unwrap().into_iter().all(|revoked| revoked.unwrap() == Some(1)));
    assert_eq!(seen, sessions.into_iter().map(Revocation::Session).collect());
}

/// Where the log ends now.
async fn here(store: &dyn Store) -> RevocationCursor {
    store.revocations_since(&RevocationCursor::default(), 1000).await.unwrap().next
}

async fn since(store: &dyn Store, cursor: &RevocationCursor) -> HashSet<Revocation> {
    store.revocations_since(cursor, 1000).await.unwrap().entries.unwrap().into_iter().collect()
}
