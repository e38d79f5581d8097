//! What "live" promises, strict and watched, on both stores.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bridge_auth::authenticate::Authenticator;
use bridge_auth::issue::Access;
use bridge_auth::rejection::InvalidCredential;
use bridge_auth::store::{Revoke, Store};
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use bridge_auth::{Bridge, Freshness, Rejection, SignedIn};
use futures_util::future::join_all;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::support::Backend;
use crate::support::bridge::{access, builder_over, user};
use crate::support::counting::Counting;

crate::store::promises![
    a_crowd_shares_queries_and_a_lone_request_has_its_own,
    one_id_asked_for_by_many_is_asked_once,
    a_dropped_request_leaves_its_query_to_the_others,
    a_watched_session_seen_before_needs_no_query,
    a_revocation_on_another_node_is_heard_well_within_the_lag,
    a_revocation_through_this_bridge_needs_no_watcher,
    every_kind_of_revocation_reaches_the_watcher,
    while_freshness_is_unproven_requests_fall_back_to_strict_and_then_to_503,
    the_watcher_recovers_and_tells_how_it_fares,
    an_expired_session_is_refused_though_it_is_remembered,
    a_removed_key_ends_what_was_verified_with_it,
];

const LAG: Duration = Duration::from_secs(1);

struct Node {
    bridge: Bridge,
    authenticator: Authenticator,
    store: Arc<Counting>,
}

impl Node {
    async fn new(db: &impl Backend, keys: &KeyRing, freshness: Freshness) -> Self {
        let store = Arc::new(Counting::new(db.open().await));
        let bridge = builder_over(store.clone(), keys.clone()).freshness(freshness).build().unwrap();
        let authenticator = bridge.authenticator("bridge").unwrap();
        Self { bridge, authenticator, store }
    }

    async fn try_in(&self, access: &Access) -> Result<(), Rejection> {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, access.token.to_header_value())]);
        self.authenticator.authenticate(&headers).await.map(drop)
    }

    /// No request sent more than the lag after the acknowledgement is let in.
    async fn refuses_within_the_lag(&self, access: &Access, acknowledged: Instant) {
        loop {
            let sent = acknowledged.elapsed();
            if self.try_in(access).await.is_err() {
                return;
            }
            assert!(sent < LAG, "let in {sent:?} after the revocation was acknowledged");
        }
    }

    /// Until remembered verdicts are used.
    async fn proven(&self, access: &Access) {
        self.try_in(access).await.unwrap();
        while !self.bridge.watch_status().proven {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.try_in(access).await.unwrap();
    }
}

fn keys() -> KeyRing {
    KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap()
}

fn watched() -> Freshness {
    Freshness::Watched { max_lag: LAG }
}

fn refused(reason: InvalidCredential) -> Result<(), Rejection> {
    Err(Rejection::InvalidCredential(reason))
}

async fn a_crowd_shares_queries_and_a_lone_request_has_its_own(db: impl Backend) {
    let node = Node::new(&db, &keys(), Freshness::Strict).await;
    let all = join_all((0..200).map(|n| access(&node.bridge, Box::leak(format!("u{n}").into()), ""))).await;
    node.store.reset();
    for access in &all {
        node.try_in(access).await.unwrap();
    }
    assert_eq!(node.store.queries(), 200);
    node.store.reset();
    let verdicts = join_all(all.iter().map(|access| node.try_in(access))).await;
    assert!(verdicts.iter().all(Result::is_ok));
    // A handful on a quiet machine. On a busy one the crowd itself takes the time of many queries to arrive.
    assert!(node.store.queries() < 100, "{} queries for 200 at once", node.store.queries());
}

async fn one_id_asked_for_by_many_is_asked_once(db: impl Backend) {
    let node = Node::new(&db, &keys(), Freshness::Strict).await;
    let access = access(&node.bridge, "alice", "").await;
    node.store.reset();
    let verdicts = join_all((0..200).map(|_| node.try_in(&access))).await;
    assert!(verdicts.iter().all(Result::is_ok));
    assert_eq!(node.store.most_ids(), 1);
}

async fn a_dropped_request_leaves_its_query_to_the_others(db: impl Backend) {
    let node = Arc::new(Node::new(&db, &keys(), Freshness::Strict).await);
    let access = Arc::new(access(&node.bridge, "alice", "").await);
    let admitted = Arc::new(AtomicUsize::new(0));
    let requests = (0..400).map(|n| {
        let (node, access, admitted) = (node.clone(), access.clone(), admitted.clone());
        tokio::spawn(async move {
            let patience = if n % 2 == 0 { Duration::from_micros(n) } else { Duration::from_secs(30) };
            if let Ok(verdict) = tokio::time::timeout(patience, node.try_in(&access)).await {
                verdict.unwrap();
                admitted.fetch_add(1, Ordering::SeqCst);
            }
        })
    });
    join_all(requests).await.into_iter().for_each(|done| done.unwrap());
    assert!(admitted.load(Ordering::SeqCst) >= 200);
    node.try_in(&access).await.unwrap();
}

async fn a_watched_session_seen_before_needs_no_query(db: impl Backend) {
    let node = Node::new(&db, &keys(), watched()).await;
    let access = access(&node.bridge, "alice", "").await;
    let mut fewest = usize::MAX;
    // On a busy machine the watcher may come too late to prove anything; then it is right to ask.
    for _ in 0..20 {
        node.proven(&access).await;
        node.store.reset();
        for _ in 0..1000 {
            node.try_in(&access).await.unwrap();
        }
        fewest = fewest.min(node.store.queries());
        if fewest == 0 {
            return;
        }
    }
    panic!("a thousand requests asked {fewest} times at least");
}

async fn a_revocation_on_another_node_is_heard_well_within_the_lag(db: impl Backend) {
    let keys = keys();
    let node = Node::new(&db, &keys, watched()).await;
    let other = Node::new(&db, &keys, Freshness::Strict).await;
    for _ in 0..10 {
        let access = access(&node.bridge, "alice", "").await;
        node.proven(&access).await;
        other.bridge.admin().revoke_session(&access.session).await.unwrap();
        node.refuses_within_the_lag(&access, Instant::now()).await;
        assert_eq!(node.try_in(&access).await, refused(InvalidCredential::SessionRevoked));
    }
}

async fn a_revocation_through_this_bridge_needs_no_watcher(db: impl Backend) {
    let node = Node::new(&db, &keys(), watched()).await;
    let admin = node.bridge.admin();
    for kind in 0..3 {
        let access = access(&node.bridge, &format!("user-{kind}"), "").await;
        node.proven(&access).await;
        node.store.break_log();
        match kind {
            0 => assert!(admin.revoke_session(&access.session).await.unwrap()),
            1 => assert_eq!(admin.revoke_user(&access.user).await.unwrap(), Some(1)),
            _ => assert!(admin.disable_user(&access.user).await.unwrap()),
        }
        assert_eq!(node.try_in(&access).await, refused(InvalidCredential::SessionRevoked));
        node.store.mend();
    }
}

async fn every_kind_of_revocation_reaches_the_watcher(db: impl Backend) {
    let keys = keys();
    let node = Node::new(&db, &keys, watched()).await;
    let other = Node::new(&db, &keys, Freshness::Strict).await;
    let admin = other.bridge.admin();
    for kind in 0..4 {
        let access = access(&node.bridge, &format!("user-{kind}"), "").await;
        node.proven(&access).await;
        match kind {
            0 => assert!(admin.revoke_session_of(&access.user, &access.session).await.unwrap()),
            1 => assert_eq!(admin.revoke_user(&access.user).await.unwrap(), Some(1)),
            2 => assert!(admin.disable_user(&access.user).await.unwrap()),
            _ => assert!(admin.revoke_client(&access.client).await.unwrap() > 0),
        }
        node.refuses_within_the_lag(&access, Instant::now()).await;
    }
}

async fn while_freshness_is_unproven_requests_fall_back_to_strict_and_then_to_503(db: impl Backend) {
    let node = Node::new(&db, &keys(), watched()).await;
    let access = access(&node.bridge, "alice", "").await;
    node.proven(&access).await;
    node.store.break_log();
    tokio::time::sleep(LAG).await;
    assert!(!node.bridge.watch_status().proven);
    node.store.reset();
    node.try_in(&access).await.unwrap();
    assert_eq!(node.store.queries(), 1, "strict: it asks");
    node.store.break_look_ups();
    assert!(matches!(node.try_in(&access).await, Err(Rejection::Unavailable(_))));
}

async fn the_watcher_recovers_and_tells_how_it_fares(db: impl Backend) {
    let keys = keys();
    let node = Node::new(&db, &keys, watched()).await;
    assert_eq!(Node::new(&db, &keys, Freshness::Strict).await.bridge.watch_status().age, None);
    assert_eq!(node.bridge.watch_status().age, None);
    let access = access(&node.bridge, "alice", "").await;
    node.proven(&access).await;
    node.store.break_log();
    tokio::time::sleep(LAG).await;
    let status = node.bridge.watch_status();
    assert!(!status.proven && status.faults > 0 && status.last_fault.is_some(), "{status:?}");
    node.store.revoke(&Revoke::User(user("alice"))).await.unwrap();
    node.store.mend();
    while !node.bridge.watch_status().proven {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(node.bridge.watch_status().last_fault, None);
    assert_eq!(node.try_in(&access).await, refused(InvalidCredential::SessionRevoked));
}

async fn an_expired_session_is_refused_though_it_is_remembered(db: impl Backend) {
    let node = Node::new(&db, &keys(), watched()).await;
    let user = user("alice");
    node.bridge.issuer().register_user(&SignedIn::new(user.clone(), Default::default())).await.unwrap();
    let request = bridge_auth::issue::AccessRequest::for_user(user, Default::default());
    let brief = request.session_life(Duration::from_secs(3)).token_life(Duration::from_secs(3));
    let access = node.bridge.issuer().open_access(brief).await.unwrap();
    node.proven(&access).await;
    tokio::time::sleep(Duration::from_millis(3100)).await;
    let verdict = node.try_in(&access).await;
    assert!(matches!(verdict, Err(Rejection::InvalidCredential(_))), "{verdict:?}");
}

async fn a_removed_key_ends_what_was_verified_with_it(db: impl Backend) {
    let keys = keys();
    let node = Node::new(&db, &keys, watched()).await;
    let access = access(&node.bridge, "alice", "").await;
    node.proven(&access).await;
    let old = keys.signing_key_id();
    keys.rotate(SigningKey::generate(Algorithm::Es256).unwrap()).unwrap();
    node.try_in(&access).await.unwrap();
    keys.remove(&old).unwrap();
    assert!(matches!(
        node.try_in(&access).await,
        Err(Rejection::InvalidCredential(InvalidCredential::Token(_)))
    ));
}
