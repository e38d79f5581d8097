//! What is revoked is never live again, and takes along what hangs on it.

use std::sync::Arc;

use bridge_auth::id::ClientId;
use bridge_auth::store::{ClientProof, OpenSession, Revoke, SessionState, Store};
use bridge_auth::{SessionId, UserId};
use futures_util::future::join_all;

use super::given::{
    HOUR, MINUTE, changed, client_id, code, declared, is_good, new_session, open_hook, provision, redeem,
    scopes, session_id, sign_in, state, user, vouch,
};
use crate::support::{Backend, Listed as _, PostgresBackend};

super::promises![
    a_revoked_session_is_live_on_no_node,
    revoking_again_counts_nothing_and_does_no_harm,
    an_unknown_session_or_user_is_told_from_a_known_one,
    another_users_session_is_as_good_as_unknown,
    a_session_takes_along_its_hooks_alone,
    an_expired_session_can_be_revoked,
    attack_n4_a_hooks_credential_and_session_end_with_their_devices,
    what_expired_a_moment_ago_is_revoked_too,
    a_session_never_takes_along_what_another_user_had_under_its_id,
    a_user_takes_along_everything_of_theirs_alone,
    a_client_takes_along_its_sessions_and_secrets,
    the_client_of_all_bridges_takes_along_their_hooks,
    disabling_revokes_all_and_enabling_brings_nothing_back,
    opening_against_disabling_leaves_no_live_session,
    opening_a_hook_against_revoking_its_device_leaves_none_live,
    opening_a_hook_against_revoking_its_devices_client_leaves_none_live,
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

async fn an_expired_session_can_be_revoked(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let device = device(&*store, &alice).await;
    db.pass_time(HOUR + 2 * MINUTE).await;
    assert!(open_hook(&*store, &alice, device.secret).await.is_err());
    assert_eq!(store.revoke(&Revoke::Session(device.session.clone())).await.unwrap(), Some(1));
    assert_eq!(state(&*store, &device.session).await, Some(SessionState::Revoked));
    // What has expired is as dead as what is revoked, and is not written again.
    assert_eq!(state(&*store, &device.hook).await, Some(SessionState::Expired));
}

/// By any end: revoked, expired, past its absolute end, logged out with all of the person, or swept.
async fn attack_n4_a_hooks_credential_and_session_end_with_their_devices(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    for end in ["session", "user", "client", "disable", "expiry", "absolute end", "sweep"] {
        let short = changed(new_session(), |new| new.life = MINUTE);
        let session = vouch(&*store, &alice, short).await.unwrap();
        let secret = provision(&*store, &alice, &session.id).await.unwrap();
        let hook = open_hook(&*store, &alice, secret).await.unwrap();
        assert!(hook.expires_in <= session.expires_in, "{hook:?}");
        match end {
            "session" => drop(store.revoke(&Revoke::Session(session.id.clone())).await.unwrap()),
            "user" => drop(store.revoke(&Revoke::User(alice.clone())).await.unwrap()),
            "client" => drop(store.revoke(&Revoke::Client(client_id("sp_bridge"))).await.unwrap()),
            "disable" => {
                store.disable_user(&alice).await.unwrap();
                store.enable_user(&alice).await.unwrap();
            }
            "expiry" => db.pass_time(MINUTE).await,
            "absolute end" => db.pass_time(31 * 24 * HOUR).await,
            _ => {
                db.pass_time(2 * HOUR).await;
                while store.sweep(100).await.unwrap().total() > 0 {}
                assert_eq!(db.count("client_secrets").await, 0);
            }
        }
        assert!(!is_good(&*store, &alice, &secret).await, "{end}");
        assert!(open_hook(&*store, &alice, secret).await.is_err(), "{end}");
        assert_ne!(state(&*store, &hook.id).await, Some(SessionState::Live), "{end}");
    }
}

/// A clock that is set back, or that of a server which takes over, must not bring back what a revocation found expired.
async fn what_expired_a_moment_ago_is_revoked_too(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let session = sign_in(&*store, &alice).await;
    db.pass_time(HOUR + MINUTE / 2).await;
    assert_eq!(state(&*store, &session).await, Some(SessionState::Expired));
    assert_eq!(store.revoke(&Revoke::User(alice)).await.unwrap(), Some(1));
    assert_eq!(state(&*store, &session).await, Some(SessionState::Revoked));
}

async fn a_session_never_takes_along_what_another_user_had_under_its_id(db: impl Backend) {
    let store = db.open().await;
    let (alice, bob) = (user(&*store, "alice").await, user(&*store, "bob").await);
    let hers = declared("shared");
    let hers = vouch(&*store, &alice, changed(hers, |new| new.life = MINUTE)).await.unwrap().id;
    let dead = provision(&*store, &alice, &hers).await.unwrap();
    db.pass_time(MINUTE + HOUR).await;
    let other = device(&*store, &alice).await;
    assert_eq!(store.sweep(100).await.unwrap().sessions, 1);
    let his = vouch(&*store, &bob, declared("shared")).await.unwrap().id;
    // Nor does her old secret come back with his session.
    assert!(!is_good(&*store, &alice, &dead).await);
    assert_eq!(store.revoke(&Revoke::Session(his)).await.unwrap(), Some(1));
    other.assert(&*store, SessionState::Live).await;
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

async fn opening_a_hook_against_revoking_its_devices_client_leaves_none_live(db: impl Backend) {
    let nodes = [db.open().await, db.open().await];
    let alice = user(&*nodes[0], "alice").await;
    for _ in 0..20 {
        let session = sign_in(&*nodes[0], &alice).await;
        let secret = provision(&*nodes[0], &alice, &session).await.unwrap();
        let bridges = Revoke::Client(client_id("sp_bridge"));
        let (opened, revoked) =
            tokio::join!(open_hook(&*nodes[0], &alice, secret), nodes[1].revoke(&bridges));
        assert!(revoked.unwrap().is_some());
        if let Ok(hook) = opened {
            assert_eq!(state(&*nodes[1], &hook.id).await, Some(SessionState::Revoked));
        }
    }
}

/// As above, with the hook just where it matters: opened, and not yet committed when the revocation comes.
#[tokio::test]
async fn a_hook_that_is_being_opened_ends_with_its_devices_client() {
    let db = PostgresBackend::start().await;
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let session = sign_in(&*store, &alice).await;
    let secret = provision(&*store, &alice, &session).await.unwrap();
    let client = db.client().await;
    client.batch_execute("BEGIN").await.unwrap();
    let open = "SELECT outcome FROM bridge_auth.open_for_client(
        ROW(encode(substr(sha256('hook'), 1, 16), 'hex')::uuid, 'hook', false, 'bridge:alice',
        'bridge', NULL, NULL, NULL, 3600000000, 8, true)::bridge_auth.new_session, $1, 'hook:track')";
    let opened = client.query_one(open, &[&secret.as_bytes().as_slice()]).await.unwrap();
    assert_eq!(opened.get::<_, &str>("outcome"), "opened");
    let revoking = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.revoke(&Revoke::Client(client_id("sp_bridge"))).await }
    });
    db.somebody_waits_for_a_lock().await;
    client.batch_execute("COMMIT").await.unwrap();
    assert_eq!(revoking.await.unwrap().unwrap(), Some(2));
    assert_eq!(state(&*store, &session_id("hook")).await, Some(SessionState::Revoked));
}

/// A bridge's session with a hook secret and a session of that.
pub struct Device {
    user: UserId,
    pub session: SessionId,
    secret: bridge_auth::id::SecretHash,
    pub hook: SessionId,
}

pub async fn device(store: &dyn Store, user: &UserId) -> Device {
    let session = sign_in(store, user).await;
    let secret = provision(store, user, &session).await.unwrap();
    let hook = open_hook(store, user, secret).await.unwrap().id;
    Device { user: user.clone(), session, secret, hook }
}

impl Device {
    /// Asserts that both sessions are in `expected`, and that the secret lives with them.
    pub async fn assert(&self, store: &dyn Store, expected: SessionState) {
        assert_eq!(state(store, &self.session).await, Some(expected));
        assert_eq!(state(store, &self.hook).await, Some(expected));
        let live = expected == SessionState::Live;
        assert_eq!(is_good(store, &self.user, &self.secret).await, live);
        let session = changed(new_session(), |new| new.client = ClientId::for_hooks_of(&self.user));
        let open = OpenSession::Client {
            owner: self.user.clone(),
            proof: ClientProof::Secret(self.secret),
            scopes: scopes("hook:track"),
            session,
        };
        assert_eq!(store.open_session(open).await.is_ok(), live);
    }
}
