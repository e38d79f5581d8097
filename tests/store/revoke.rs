//! What is revoked is never live again, and takes along what hangs on it.

use std::sync::Arc;

use bridge_auth::store::{ClientProof, NewSession, OpenSession, Revoke, SessionState, Store};
use bridge_auth::{ClientId, SessionId, UserId};
use futures_util::future::join_all;

use super::given::{
    HOUR, MINUTE, client_id, code, declared, is_good, new_session, open_hook, provision, redeem, scopes,
    sign_in, state, user, vouch,
};
use crate::support::Backend;

super::promises![
    a_revoked_session_is_live_on_no_node,
    revoking_again_counts_nothing_and_does_no_harm,
    an_unknown_session_or_user_is_told_from_a_known_one,
    another_users_session_is_as_good_as_unknown,
    a_session_takes_along_its_hooks_alone,
    an_expired_session_can_be_revoked_with_its_hooks,
    expiry_takes_nothing_along,
    a_session_never_takes_along_what_another_user_had_under_its_id,
    a_user_takes_along_everything_of_theirs_alone,
    a_client_takes_along_its_sessions_and_secrets,
    the_client_of_all_bridges_takes_along_their_hooks,
    disabling_revokes_all_and_enabling_brings_nothing_back,
    opening_against_disabling_leaves_no_live_session,
    opening_a_hook_against_revoking_its_device_leaves_none_live,
];

async fn a_revoked_session_is_live_on_no_node(db: impl Backend) {
    let (here, there) = (db.open().await, db.open().await);
    let alice = user(&*here, "alice").await;
    for _ in 0..20 {
        let session = sign_in(&*here, &alice).await;
        assert_eq!(state(&*there, &session).await, Some(SessionState::Live));
        assert_eq!(here.revoke(&Revoke::Session(session.clone())).await.unwrap(), Some(1));
        assert_eq!(state(&*there, &session).await, Some(SessionState::Revoked));
    }
}

async fn revoking_again_counts_nothing_and_does_no_harm(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (one, two) = (sign_in(&*store, &alice).await, sign_in(&*store, &alice).await);
    let targets = [
        (Revoke::Session(one.clone()), 1),
        (Revoke::SessionOf { user: alice.clone(), session: one.clone() }, 0),
        (Revoke::User(alice.clone()), 1),
        (Revoke::Client(client_id("sp_bridge")), 0),
    ];
    for (target, count) in targets {
        assert_eq!(store.revoke(&target).await.unwrap(), Some(count), "{target:?}");
        assert_eq!(store.revoke(&target).await.unwrap(), Some(0), "{target:?}");
    }
    assert_eq!(state(&*store, &one).await, Some(SessionState::Revoked));
    assert_eq!(state(&*store, &two).await, Some(SessionState::Revoked));
}

async fn an_unknown_session_or_user_is_told_from_a_known_one(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let nobody = UserId::parse("nobody").unwrap();
    let unknown = SessionId::random();
    for target in [
        Revoke::Session(unknown.clone()),
        Revoke::SessionOf { user: alice.clone(), session: unknown },
        Revoke::User(nobody.clone()),
    ] {
        assert_eq!(store.revoke(&target).await.unwrap(), None, "{target:?}");
    }
    assert_eq!(store.revoke(&Revoke::User(alice.clone())).await.unwrap(), Some(0));
    assert_eq!(store.revoke(&Revoke::Client(client_id("unheard-of"))).await.unwrap(), Some(0));
    assert!(!store.disable_user(&nobody).await.unwrap());
    assert!(!store.enable_user(&nobody).await.unwrap());
}

async fn another_users_session_is_as_good_as_unknown(db: impl Backend) {
    let store = db.open().await;
    let (alice, bob) = (user(&*store, "alice").await, user(&*store, "bob").await);
    let session = sign_in(&*store, &alice).await;
    let by = |user: &UserId| Revoke::SessionOf { user: user.clone(), session: session.clone() };
    assert_eq!(store.revoke(&by(&bob)).await.unwrap(), None);
    assert_eq!(state(&*store, &session).await, Some(SessionState::Live));
    assert_eq!(store.revoke(&by(&alice)).await.unwrap(), Some(1));
    assert_eq!(state(&*store, &session).await, Some(SessionState::Revoked));
}

async fn a_session_takes_along_its_hooks_alone(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (lost, kept) = (device(&*store, &alice).await, device(&*store, &alice).await);
    assert_eq!(store.revoke(&Revoke::Session(lost.session.clone())).await.unwrap(), Some(2));
    lost.assert(&*store, SessionState::Revoked).await;
    kept.assert(&*store, SessionState::Live).await;
}

async fn an_expired_session_can_be_revoked_with_its_hooks(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let device = device(&*store, &alice).await;
    db.pass_time(HOUR + MINUTE).await;
    let hook = open_hook(&*store, &alice, device.secret).await.unwrap().id;
    assert_eq!(store.revoke(&Revoke::Session(device.session.clone())).await.unwrap(), Some(3));
    device.assert(&*store, SessionState::Revoked).await;
    assert_eq!(state(&*store, &hook).await, Some(SessionState::Revoked));
}

async fn expiry_takes_nothing_along(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let short = NewSession { life: MINUTE, ..new_session() };
    let session = vouch(&*store, &alice, short).await.unwrap().id;
    let secret = provision(&*store, &alice, &session).await.unwrap();
    let hook = open_hook(&*store, &alice, secret).await.unwrap().id;
    db.pass_time(2 * MINUTE).await;
    assert_eq!(state(&*store, &session).await, Some(SessionState::Expired));
    assert_eq!(state(&*store, &hook).await, Some(SessionState::Live));
    open_hook(&*store, &alice, secret).await.unwrap();
}

async fn a_session_never_takes_along_what_another_user_had_under_its_id(db: impl Backend) {
    let store = db.open().await;
    let (alice, bob) = (user(&*store, "alice").await, user(&*store, "bob").await);
    let hers = declared("shared");
    let hers = vouch(&*store, &alice, NewSession { life: MINUTE, ..hers }).await.unwrap().id;
    let secret = provision(&*store, &alice, &hers).await.unwrap();
    db.pass_time(MINUTE + HOUR).await;
    let hook = open_hook(&*store, &alice, secret).await.unwrap().id;
    assert_eq!(store.sweep(100).await.unwrap().sessions, 1);
    let his = vouch(&*store, &bob, declared("shared")).await.unwrap().id;
    assert_eq!(store.revoke(&Revoke::Session(his)).await.unwrap(), Some(1));
    assert_eq!(state(&*store, &hook).await, Some(SessionState::Live));
    assert!(is_good(&*store, &alice, &secret).await);
}

async fn a_user_takes_along_everything_of_theirs_alone(db: impl Backend) {
    let store = db.open().await;
    let (alice, bob) = (user(&*store, "alice").await, user(&*store, "bob").await);
    let devices = [device(&*store, &alice).await, device(&*store, &alice).await];
    let his = device(&*store, &bob).await;
    let (open, his_code) = (code(&*store, &alice).await, code(&*store, &bob).await);
    assert_eq!(store.revoke(&Revoke::User(alice.clone())).await.unwrap(), Some(4));
    for device in &devices {
        device.assert(&*store, SessionState::Revoked).await;
    }
    assert!(store.redeem_code(redeem(open)).await.is_err());
    his.assert(&*store, SessionState::Live).await;
    store.redeem_code(redeem(his_code)).await.unwrap();
    sign_in(&*store, &alice).await;
}

async fn a_client_takes_along_its_sessions_and_secrets(db: impl Backend) {
    let store = db.open().await;
    let (alice, bob) = (user(&*store, "alice").await, user(&*store, "bob").await);
    let (hers, his) = (device(&*store, &alice).await, device(&*store, &bob).await);
    let client = ClientId::for_hooks_of(&alice);
    assert_eq!(store.revoke(&Revoke::Client(client)).await.unwrap(), Some(1));
    assert_eq!(state(&*store, &hers.hook).await, Some(SessionState::Revoked));
    assert!(!is_good(&*store, &alice, &hers.secret).await);
    assert_eq!(state(&*store, &hers.session).await, Some(SessionState::Live));
    his.assert(&*store, SessionState::Live).await;
    let secret = provision(&*store, &alice, &hers.session).await.unwrap();
    open_hook(&*store, &alice, secret).await.unwrap();
}

async fn the_client_of_all_bridges_takes_along_their_hooks(db: impl Backend) {
    let store = db.open().await;
    let (alice, bob) = (user(&*store, "alice").await, user(&*store, "bob").await);
    let devices = [device(&*store, &alice).await, device(&*store, &bob).await];
    assert_eq!(store.revoke(&Revoke::Client(client_id("sp_bridge"))).await.unwrap(), Some(4));
    for device in &devices {
        device.assert(&*store, SessionState::Revoked).await;
    }
}

async fn disabling_revokes_all_and_enabling_brings_nothing_back(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let device = device(&*store, &alice).await;
    let open = code(&*store, &alice).await;
    assert!(store.disable_user(&alice).await.unwrap());
    assert!(store.disable_user(&alice).await.unwrap());
    device.assert(&*store, SessionState::Revoked).await;
    assert!(store.enable_user(&alice).await.unwrap());
    assert!(store.enable_user(&alice).await.unwrap());
    device.assert(&*store, SessionState::Revoked).await;
    assert!(store.redeem_code(redeem(open)).await.is_err());
    sign_in(&*store, &alice).await;
}

async fn opening_against_disabling_leaves_no_live_session(db: impl Backend) {
    let nodes = [db.open().await, db.open().await];
    for round in 0..20 {
        let alice = user(&*nodes[0], &format!("alice-{round}")).await;
        let opening: Vec<_> = (0..4)
            .map(|_| {
                let (node, alice) = (Arc::clone(&nodes[0]), alice.clone());
                tokio::spawn(
                    async move { vouch(&*node, &alice, new_session()).await.map(|opened| opened.id) },
                )
            })
            .collect();
        assert!(nodes[1].disable_user(&alice).await.unwrap());
        for opened in join_all(opening).await.into_iter().filter_map(|task| task.unwrap().ok()) {
            assert_eq!(state(&*nodes[1], &opened).await, Some(SessionState::Revoked));
        }
    }
}

async fn opening_a_hook_against_revoking_its_device_leaves_none_live(db: impl Backend) {
    let nodes = [db.open().await, db.open().await];
    let alice = user(&*nodes[0], "alice").await;
    for _ in 0..20 {
        let session = sign_in(&*nodes[0], &alice).await;
        let secret = provision(&*nodes[0], &alice, &session).await.unwrap();
        let device = Revoke::Session(session);
        let (opened, revoked) = tokio::join!(open_hook(&*nodes[0], &alice, secret), nodes[1].revoke(&device));
        assert!(revoked.unwrap().is_some());
        if let Ok(hook) = opened {
            assert_eq!(state(&*nodes[1], &hook.id).await, Some(SessionState::Revoked));
        }
        assert!(nodes[0].sessions_of(&alice).await.unwrap().is_empty());
    }
}

/// A bridge's session with a hook secret and a session of that.
struct Device {
    user: UserId,
    session: SessionId,
    secret: bridge_auth::SecretHash,
    hook: SessionId,
}

async fn device(store: &dyn Store, user: &UserId) -> Device {
    let session = sign_in(store, user).await;
    let secret = provision(store, user, &session).await.unwrap();
    let hook = open_hook(store, user, secret).await.unwrap().id;
    Device { user: user.clone(), session, secret, hook }
}

impl Device {
    /// Asserts that both sessions are in `expected`, and that the secret lives with them.
    async fn assert(&self, store: &dyn Store, expected: SessionState) {
        assert_eq!(state(store, &self.session).await, Some(expected));
        assert_eq!(state(store, &self.hook).await, Some(expected));
        let live = expected == SessionState::Live;
        assert_eq!(is_good(store, &self.user, &self.secret).await, live);
        let session = NewSession { client: ClientId::for_hooks_of(&self.user), ..new_session() };
        let open = OpenSession::Client {
            proof: ClientProof::Secret(self.secret),
            scopes: scopes("hook:track"),
            session,
        };
        assert_eq!(store.open_session(open).await.is_ok(), live);
    }
}
