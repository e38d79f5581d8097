//! Whoever ends a session ends all that hangs on it, at any depth, and nothing else.

use std::collections::HashSet;
use std::sync::Arc;

use bridge_auth::store::{
    OpenSessionError, RefreshRefusal, RefreshSessionError, Revocation, RevocationCursor, Revoke,
    SessionLimit, SessionState, Store, WhenFull,
};
use bridge_auth::{SessionId, UserId};
use futures_util::future::join_all;

use super::delegated::{agent, exchange, hang};
use super::given::{
    HOUR, MINUTE, changed, client_id, code, declared, new_session, provision, redeem, refreshable, rotate,
    sign_in, state, user, vouch,
};
use crate::support::{Backend, Listed as _, PostgresBackend};

super::promises![
    any_link_of_a_chain_takes_along_what_is_below_it_alone,
    whatever_ends_a_device_ends_its_chains,
    a_client_takes_along_what_hangs_on_its_sessions_and_each_is_in_the_log,
    all_others_end_with_their_chains_and_the_chain_of_the_one_that_stays_stays,
    a_delegated_session_alone_keeps_nothing,
    each_session_of_a_chain_is_in_the_log,
    ending_a_full_device_writes_what_is_live_of_it_and_nothing_else,
    what_has_expired_in_a_chain_a_moment_ago_is_revoked_too,
    a_chain_is_swept_an_hour_after_it_expired,
    exchanging_against_any_revocation_leaves_none_live,
    revoking_clients_and_people_at_once_ends_all_without_a_fault,
];

/// A device with a chain of four, a second session on each of the upper two, and a session of hooks.
struct Tree {
    device: SessionId,
    chain: [SessionId; 4],
    beside: [SessionId; 2],
    hook: SessionId,
}

impl Tree {
    async fn new(store: &dyn Store, user: &UserId) -> Self {
        let device = sign_in(store, user).await;
        Self::on(store, user, device).await
    }

    async fn on(store: &dyn Store, user: &UserId, device: SessionId) -> Self {
        let secret = provision(store, user, &device).await.unwrap();
        let hook = super::given::open_hook(store, user, secret).await.unwrap().id;
        let one = hang(store, user, &device, "planner").await;
        let two = hang(store, user, &one, "reader").await;
        let three = hang(store, user, &two, "planner").await;
        let four = hang(store, user, &three, "writer").await;
        let beside = [hang(store, user, &device, "reader").await, hang(store, user, &one, "writer").await];
        Self { device, chain: [one, two, three, four], beside, hook }
    }

    fn all(&self) -> Vec<SessionId> {
        let below = self.chain.iter().chain(&self.beside).chain([&self.hook, &self.device]);
        below.cloned().collect()
    }

    /// Asserts that these are revoked, and that all others live.
    async fn assert_ended(&self, store: &dyn Store, ended: &[&SessionId]) {
        for session in self.all() {
            let is_ended = ended.contains(&&session);
            let expected = if is_ended { SessionState::Revoked } else { SessionState::Live };
            assert_eq!(state(store, &session).await, Some(expected), "{session}");
        }
    }

    async fn assert_all(&self, store: &dyn Store, expected: SessionState) {
        for session in self.all() {
            assert_eq!(state(store, &session).await, Some(expected), "{session}");
        }
    }
}

async fn any_link_of_a_chain_takes_along_what_is_below_it_alone(db: impl Backend) {
    let store = db.open().await;
    let (alice, bob) = (user(&*store, "alice").await, user(&*store, "bob").await);
    let (tree, other) = (Tree::new(&*store, &alice).await, Tree::new(&*store, &alice).await);
    let his = Tree::new(&*store, &bob).await;
    let [one, two, three, four] = &tree.chain;
    let revoke = async |session: &SessionId| store.revoke(&Revoke::Session(session.clone())).await.unwrap();
    assert_eq!(revoke(four).await, Some(1));
    tree.assert_ended(&*store, &[four]).await;
    assert_eq!(revoke(two).await, Some(2));
    tree.assert_ended(&*store, &[two, three, four]).await;
    assert_eq!(revoke(two).await, Some(0));
    // By its own person, as RFC 7009 has it.
    let own = Revoke::SessionOf { user: alice.clone(), session: one.clone() };
    let foreign = Revoke::SessionOf { user: bob.clone(), session: one.clone() };
    assert_eq!(store.revoke(&foreign).await.unwrap(), None);
    assert_eq!(store.revoke(&own).await.unwrap(), Some(2));
    tree.assert_ended(&*store, &[one, two, three, four, &tree.beside[1]]).await;
    assert_eq!(revoke(&tree.device).await, Some(3));
    tree.assert_all(&*store, SessionState::Revoked).await;
    for kept in [&other, &his] {
        kept.assert_all(&*store, SessionState::Live).await;
    }
    assert_eq!(store.revoke(&Revoke::User(alice)).await.unwrap(), Some(8));
    other.assert_all(&*store, SessionState::Revoked).await;
    his.assert_all(&*store, SessionState::Live).await;
    assert!(store.disable_user(&bob).await.unwrap());
    his.assert_all(&*store, SessionState::Revoked).await;
}

/// A code that is replayed, a refresh token that is copied, a limit that is full.
async fn whatever_ends_a_device_ends_its_chains(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let code = code(&*store, &alice).await;
    let linked = store.redeem_code(redeem(code)).await.unwrap().id;
    let tree = Tree::on(&*store, &alice, linked).await;
    store.redeem_code(redeem(code)).await.unwrap_err();
    tree.assert_all(&*store, SessionState::Revoked).await;

    let (session, token) = refreshable(new_session());
    let refreshed = vouch(&*store, &alice, session).await.unwrap().id;
    let tree = Tree::on(&*store, &alice, refreshed).await;
    let (_, next) = rotate(&*store, token).await.unwrap();
    rotate(&*store, next).await.unwrap();
    tree.assert_all(&*store, SessionState::Live).await;
    db.pass_time(MINUTE).await;
    let copied = rotate(&*store, token).await;
    assert!(matches!(copied, Err(RefreshSessionError::Refused(RefreshRefusal::Reused { .. }))), "{copied:?}");
    tree.assert_all(&*store, SessionState::Revoked).await;

    let tree = Tree::new(&*store, &alice).await;
    let full = new_session().limit(SessionLimit::new(1, WhenFull::Evict));
    let opened = vouch(&*store, &alice, full).await.unwrap();
    assert_eq!(opened.evicted, std::slice::from_ref(&tree.device));
    tree.assert_all(&*store, SessionState::Revoked).await;
}

async fn a_client_takes_along_what_hangs_on_its_sessions_and_each_is_in_the_log(db: impl Backend) {
    let store = db.open().await;
    let (alice, bob) = (user(&*store, "alice").await, user(&*store, "bob").await);
    let (tree, his) = (Tree::new(&*store, &alice).await, Tree::new(&*store, &bob).await);
    let here = store.revocations_since(&RevocationCursor::default(), 1000).await.unwrap().next;
    let reader = Revoke::Client(client_id("reader"));
    assert_eq!(store.revoke(&reader).await.unwrap(), Some(8));
    for tree in [&tree, &his] {
        let [_, two, three, four] = &tree.chain;
        tree.assert_ended(&*store, &[two, three, four, &tree.beside[0]]).await;
    }
    assert_eq!(store.revoke(&reader).await.unwrap(), Some(0));
    let logged: HashSet<_> =
        store.revocations_since(&here, 1000).await.unwrap().entries.unwrap().into_iter().collect();
    let others = [&tree, &his].into_iter().flat_map(|tree| tree.chain[2..].iter().cloned());
    let expected = others.map(Revocation::Session).chain([Revocation::Client(client_id("reader"))]);
    assert_eq!(logged, expected.collect());
    // And the client of the devices themselves.
    assert_eq!(store.revoke(&Revoke::Client(client_id("sp_bridge"))).await.unwrap(), Some(8));
    for tree in [&tree, &his] {
        tree.assert_all(&*store, SessionState::Revoked).await;
    }
}

async fn all_others_end_with_their_chains_and_the_chain_of_the_one_that_stays_stays(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (kept, lost) = (Tree::new(&*store, &alice).await, Tree::new(&*store, &alice).await);
    let others = Revoke::Others { user: alice.clone(), keep: kept.device.clone() };
    assert_eq!(store.revoke(&others).await.unwrap(), Some(8));
    kept.assert_all(&*store, SessionState::Live).await;
    lost.assert_all(&*store, SessionState::Revoked).await;
    assert_eq!(store.revoke(&others).await.unwrap(), Some(0));
}

/// It stays only with what it hangs on, and that ends.
async fn a_delegated_session_alone_keeps_nothing(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let tree = Tree::new(&*store, &alice).await;
    let others = Revoke::Others { user: alice.clone(), keep: tree.chain[1].clone() };
    assert_eq!(store.revoke(&others).await.unwrap(), Some(8));
    tree.assert_all(&*store, SessionState::Revoked).await;
}

async fn each_session_of_a_chain_is_in_the_log(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let tree = Tree::new(&*store, &alice).await;
    let here = store.revocations_since(&RevocationCursor::default(), 1000).await.unwrap().next;
    store.revoke(&Revoke::Session(tree.device.clone())).await.unwrap();
    let logged = store.revocations_since(&here, 1000).await.unwrap().entries.unwrap();
    assert_eq!(logged.len(), 8);
    let logged: HashSet<_> = logged.into_iter().collect();
    assert_eq!(logged, tree.all().into_iter().map(Revocation::Session).collect());
}

/// The work is bounded by what may be live: rows from before cost nothing.
async fn ending_a_full_device_writes_what_is_live_of_it_and_nothing_else(db: impl Backend) {
    let store = db.open().await;
    let (alice, bob) = (user(&*store, "alice").await, user(&*store, "bob").await);
    let (device, other) = (sign_in(&*store, &alice).await, sign_in(&*store, &bob).await);
    hang(&*store, &bob, &other, "planner").await;
    for _ in 0..3 {
        for _ in 0..32 {
            let child = hang(&*store, &alice, &device, "planner").await;
            store.revoke(&Revoke::Session(child)).await.unwrap();
        }
    }
    let mut live = HashSet::from([Revocation::Session(device.clone())]);
    for _ in 0..32 {
        live.insert(Revocation::Session(hang(&*store, &alice, &device, "planner").await));
    }
    let here = store.revocations_since(&RevocationCursor::default(), 1000).await.unwrap().next;
    assert_eq!(store.revoke(&Revoke::Session(device)).await.unwrap(), Some(33));
    let logged = store.revocations_since(&here, 1000).await.unwrap().entries.unwrap();
    // A page may show entries from before again.
    let logged: HashSet<_> = logged.into_iter().collect();
    assert!(live.len() == 33 && live.is_subset(&logged), "{logged:?}");
}

async fn what_has_expired_in_a_chain_a_moment_ago_is_revoked_too(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let device = sign_in(&*store, &alice).await;
    let short = |client| changed(agent(client), |new| new.life = MINUTE);
    let middle = exchange(&*store, &alice, &device, short("planner")).await.unwrap().id;
    let below = exchange(&*store, &alice, &middle, short("reader")).await.unwrap().id;
    db.pass_time(MINUTE + MINUTE / 2).await;
    for session in [&middle, &below] {
        assert_eq!(state(&*store, session).await, Some(SessionState::Expired));
    }
    assert_eq!(store.revoke(&Revoke::Session(device)).await.unwrap(), Some(3));
    for session in [&middle, &below] {
        assert_eq!(state(&*store, session).await, Some(SessionState::Revoked));
    }
}

async fn a_chain_is_swept_an_hour_after_it_expired(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let device =
        vouch(&*store, &alice, changed(declared("laptop"), |new| new.life = 3 * HOUR)).await.unwrap();
    let brief = hang(&*store, &alice, &device.id, "planner").await;
    hang(&*store, &alice, &brief, "reader").await;
    db.pass_time(2 * HOUR - MINUTE).await;
    assert_eq!(store.sweep(100).await.unwrap().sessions, 0);
    db.pass_time(MINUTE).await;
    let young = hang(&*store, &alice, &device.id, "planner").await;
    assert_eq!(store.sweep(100).await.unwrap().sessions, 2);
    assert_eq!(state(&*store, &brief).await, None);
    assert_eq!(state(&*store, &young).await, Some(SessionState::Live));
    assert_eq!(store.revoke(&Revoke::Session(device.id)).await.unwrap(), Some(2));
}

/// Whoever comes first: the session was not opened, or it ended with the chain.
async fn exchanging_against_any_revocation_leaves_none_live(db: impl Backend) {
    let nodes = [db.open().await, db.open().await];
    let alice = user(&*nodes[0], "alice").await;
    for round in 0..25 {
        let device = sign_in(&*nodes[0], &alice).await;
        let one = hang(&*nodes[0], &alice, &device, "planner").await;
        let two = hang(&*nodes[0], &alice, &one, "reader").await;
        let target = match round % 5 {
            0 => Revoke::Session(device.clone()),
            1 => Revoke::Session(one.clone()),
            2 => Revoke::User(alice.clone()),
            3 => Revoke::Client(client_id("planner")),
            _ => Revoke::Client(client_id("sp_bridge")),
        };
        let exchanging = join_all((0..3).map(|_| exchange(&*nodes[0], &alice, &two, agent("writer"))));
        let (opened, revoked) = tokio::join!(exchanging, nodes[1].revoke(&target));
        assert!(revoked.unwrap() >= Some(2), "{target:?}");
        for answer in opened {
            match answer {
                Ok(opened) => {
                    assert_eq!(
                        state(&*nodes[1], &opened.id).await,
                        Some(SessionState::Revoked),
                        "{target:?}"
                    );
                }
                Err(refused) => assert!(matches!(refused, OpenSessionError::ParentEnded), "{refused:?}"),
            }
        }
        nodes[0].revoke(&Revoke::User(alice.clone())).await.unwrap();
    }
}

/// Chains in which two clients alternate: each revocation needs rows that the others hold.
async fn revoking_clients_and_people_at_once_ends_all_without_a_fault(db: impl Backend) {
    let nodes = [db.open().await, db.open().await];
    for round in 0..6 {
        let mut people = Vec::new();
        let mut all = Vec::new();
        for name in 0..3 {
            let person = user(&*nodes[0], &format!("person-{round}-{name}")).await;
            for device in 0..4 {
                let mut last = sign_in(&*nodes[0], &person).await;
                for depth in 0..4 {
                    let client = if (depth + device) % 2 == 0 { "planner" } else { "reader" };
                    last = hang(&*nodes[0], &person, &last, client).await;
                    all.push(last.clone());
                }
            }
            people.push(person);
        }
        let mut targets: Vec<_> = people.iter().cloned().map(Revoke::User).collect();
        targets.extend(["planner", "reader", "sp_bridge"].map(client_id).map(Revoke::Client));
        let revoking = targets.iter().enumerate().map(|(place, target)| {
            let (node, target) = (Arc::clone(&nodes[place % 2]), target.clone());
            tokio::spawn(async move { node.revoke(&target).await })
        });
        for revoked in join_all(revoking.collect::<Vec<_>>()).await {
            revoked.unwrap().expect("no deadlock, and no time-out");
        }
        for session in &all {
            assert_eq!(state(&*nodes[0], session).await, Some(SessionState::Revoked));
        }
        assert!(nodes[0].sessions_of(&people[0]).await.unwrap().is_empty());
    }
}

/// As in the races above, with the session just where it matters: opened, and not yet committed when the revocation comes.
#[tokio::test]
async fn a_session_that_is_being_exchanged_ends_with_the_client_at_the_top() {
    let db = PostgresBackend::start().await;
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let device = sign_in(&*store, &alice).await;
    let one = hang(&*store, &alice, &device, "planner").await;
    let two = hang(&*store, &alice, &one, "reader").await;
    let client = db.client().await;
    client.batch_execute("BEGIN").await.unwrap();
    let open = "SELECT outcome FROM bridge_auth.open_delegated(
        ROW(encode(substr(sha256('late'), 1, 16), 'hex')::uuid, 'late', false, 'writer', 'bridge', NULL, NULL, NULL,
        3600000000, 32, false)::bridge_auth.new_session, 'alice', 'read', encode(substr(sha256($1::text::bytea), 1, 16),
        'hex')::uuid, $1, NULL, 4, NULL, NULL, NULL, NULL, NULL)";
    let opened = client.query_one(open, &[&two.as_str()]).await.unwrap();
    assert_eq!(opened.get::<_, &str>("outcome"), "opened");
    let revoking = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.revoke(&Revoke::Client(client_id("sp_bridge"))).await }
    });
    db.somebody_waits_for_a_lock().await;
    client.batch_execute("COMMIT").await.unwrap();
    assert_eq!(revoking.await.unwrap().unwrap(), Some(4));
    let late = SessionId::parse("late").unwrap();
    assert_eq!(state(&*store, &late).await, Some(SessionState::Revoked));
}
