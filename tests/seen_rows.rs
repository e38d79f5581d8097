//! A row that was seen before is asked for its state alone, which is worth as much, on both stores.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bridge_auth::authenticate::Authenticator;
use bridge_auth::id::{CallSource, ClientId};
use bridge_auth::issue::Access;
use bridge_auth::rejection::InvalidCredential;
use bridge_auth::store::{NewSession, Revoke, Store, StoreErrorKind};
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use bridge_auth::{Bridge, Rejection};
use futures_util::future::join_all;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::store::given::{DAY, changed, declared, user, vouch};
use crate::support::Backend;
use crate::support::bridge::{access, builder_over};
use crate::support::counting::Counting;

crate::store::promises![
    only_the_first_look_up_of_a_token_asks_whose_the_session_is,
    attack_an_id_that_was_swept_and_is_anothers_now_lets_its_old_token_in_nowhere,
    a_session_that_came_back_to_its_owner_is_let_in_and_seen_again,
    what_ends_a_session_ends_it_for_those_who_have_seen_it,
    no_request_waits_for_longer_than_the_deadline,
];

struct Node {
    bridge: Bridge,
    authenticator: Authenticator,
    store: Arc<Counting>,
}

impl Node {
    const DEADLINE: Duration = Duration::from_millis(400);

    async fn new(db: &impl Backend) -> Self {
        let store = Arc::new(Counting::new(db.open().await));
        let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
        let bridge = builder_over(store.clone(), keys).store_deadline(Self::DEADLINE).build().unwrap();
        let authenticator = bridge.authenticator("bridge").unwrap();
        Self { bridge, authenticator, store }
    }

    async fn try_in(&self, access: &Access) -> Result<CallSource, Rejection> {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, access.token.to_header_value())]);
        self.authenticator.authenticate(&headers).await.map(|caller| caller.call_source().clone())
    }

    /// How many look-ups one request took, and how many of them asked whose the session is.
    async fn costs(&self, access: &Access) -> (usize, usize) {
        self.store.reset();
        self.try_in(access).await.unwrap();
        (self.store.queries(), self.store.full_queries())
    }

    /// Its session is swept, long after it expired by the clock of the database; not by that of the gateway.
    async fn sweep(&self, db: &impl Backend, access: &Access) {
        db.pass_time(2 * DAY).await;
        assert_eq!(self.store.sweep(1000).await.unwrap().sessions, 1);
        assert_eq!(self.try_in(access).await, refused(InvalidCredential::SessionUnknown));
    }

    /// Its id is declared again.
    async fn reopen(&self, access: &Access, name: &str, set: impl FnOnce(NewSession) -> NewSession) {
        let owner = user(&*self.store, name).await;
        let session = set(declared(access.session.as_str()));
        vouch(&*self.store, &owner, session).await.unwrap();
    }
}

fn refused<T>(reason: InvalidCredential) -> Result<T, Rejection> {
    Err(Rejection::InvalidCredential(reason))
}

async fn only_the_first_look_up_of_a_token_asks_whose_the_session_is(db: impl Backend) {
    let node = Node::new(&db).await;
    let (alice, bob) = (access(&node.bridge, "alice", "").await, access(&node.bridge, "bob", "").await);
    assert_eq!(node.costs(&alice).await, (1, 1));
    assert_eq!(node.costs(&alice).await, (1, 0));
    assert_eq!(node.costs(&bob).await, (1, 1));
    node.store.reset();
    for let_in in join_all([&alice, &bob].repeat(50).into_iter().map(|access| node.try_in(access))).await {
        let_in.unwrap();
    }
    assert_eq!((node.store.full_queries(), node.store.most_ids()), (0, 2));
    // Another token of the same session is another's to see.
    let again = user(&*node.store, "alice").await;
    let request = bridge_auth::issue::AccessRequest::for_user(again, Default::default());
    let other = node.bridge.issuer().open_access(request.session_id(alice.session.clone())).await.unwrap();
    assert_eq!(node.costs(&other).await, (1, 1));
}

async fn attack_an_id_that_was_swept_and_is_anothers_now_lets_its_old_token_in_nowhere(db: impl Backend) {
    for (name, client) in [("bob", "sp_bridge"), ("alice", "another")] {
        let client = ClientId::parse(client).unwrap();
        let node = Node::new(&db).await;
        let (alice, carol) =
            (access(&node.bridge, "alice", "").await, access(&node.bridge, "carol", "").await);
        for _ in 0..2 {
            node.try_in(&alice).await.unwrap();
        }
        node.store.revoke(&Revoke::Session(carol.session)).await.unwrap();
        db.pass_time(2 * DAY).await;
        assert_eq!(node.store.sweep(1000).await.unwrap().sessions, 2);
        node.reopen(&alice, name, |session| changed(session, |new| new.client = client)).await;
        let carol = access(&node.bridge, "carol", "").await;
        for _ in 0..3 {
            assert_eq!(node.try_in(&alice).await, refused(InvalidCredential::SessionOfAnother), "{name}");
            // Beside those who may come in, too.
            let crowd = [&alice, &carol].repeat(20);
            let verdicts = join_all(crowd.iter().map(|access| node.try_in(access))).await;
            assert!(verdicts.iter().step_by(2).all(Result::is_err), "{name}: {verdicts:?}");
            assert!(verdicts.iter().skip(1).step_by(2).all(Result::is_ok), "{name}: {verdicts:?}");
        }
        db.pass_time(2 * DAY).await;
        node.store.sweep(1000).await.unwrap();
    }
}

async fn a_session_that_came_back_to_its_owner_is_let_in_and_seen_again(db: impl Backend) {
    let node = Node::new(&db).await;
    let alice = access(&node.bridge, "alice", "").await;
    let source = node.try_in(&alice).await.unwrap();
    node.sweep(&db, &alice).await;
    node.reopen(&alice, "alice", |session| session).await;
    assert_eq!(node.costs(&alice).await, (2, 1), "the row is another, which the first one told");
    assert_eq!(node.costs(&alice).await, (1, 0));
    // Of another call source: whoever asks is told of that one.
    node.sweep(&db, &alice).await;
    let editor = CallSource::parse("editor").unwrap();
    node.reopen(&alice, "alice", |session| session.call_source(editor.clone())).await;
    for _ in 0..3 {
        assert_eq!(node.try_in(&alice).await.as_ref(), Ok(&editor));
    }
    assert_ne!(source, editor);
}

async fn what_ends_a_session_ends_it_for_those_who_have_seen_it(db: impl Backend) {
    let node = Node::new(&db).await;
    let [revoked, expired] = ["alice", "bob"].map(|name| access(&node.bridge, name, ""));
    let (revoked, expired) = (revoked.await, expired.await);
    for access in [&revoked, &expired, &revoked, &expired] {
        node.try_in(access).await.unwrap();
    }
    node.store.revoke(&Revoke::Session(revoked.session.clone())).await.unwrap();
    node.store.reset();
    assert_eq!(node.try_in(&revoked).await, refused(InvalidCredential::SessionRevoked));
    assert_eq!(node.store.full_queries(), 0);
    db.pass_time(DAY).await;
    assert_eq!(node.try_in(&expired).await, refused(InvalidCredential::SessionExpired));
}

async fn no_request_waits_for_longer_than_the_deadline(db: impl Backend) {
    let node = Node::new(&db).await;
    let (alice, bob) = (access(&node.bridge, "alice", "").await, access(&node.bridge, "bob", "").await);
    node.try_in(&alice).await.unwrap();
    node.store.hang_look_ups();
    // Those who ask first, those who wait for them, and those who come while they wait.
    let requests = (0..60).map(|n: u32| {
        let (node, access) = (&node, if n.is_multiple_of(3) { &bob } else { &alice });
        async move {
            tokio::time::sleep(Duration::from_millis(20) * n).await;
            let asked = Instant::now();
            (node.try_in(access).await, asked.elapsed())
        }
    });
    for (verdict, waited) in join_all(requests).await {
        assert_eq!(verdict, Err(Rejection::Unavailable(StoreErrorKind::TimedOut)));
        assert!(waited < Node::DEADLINE + Duration::from_millis(200), "{waited:?}");
    }
    node.store.mend();
    for access in [&alice, &bob] {
        node.try_in(access).await.unwrap();
    }
}
