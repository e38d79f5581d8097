//! Hook clients prove themselves with a secret.

use std::collections::HashSet;

use bridge_auth::id::{ClientId, ClientSecret};
use bridge_auth::store::{ClientProof, OpenSession, OpenSessionError, RequestedId, Revoke, SessionState};
use futures_util::future::join_all;

use super::given::{
    MINUTE, SECOND, changed, declared, is_good, new_secret, new_session, open_hook, provision, scopes,
    secret_of, session_id, sign_in, state, user, vouch,
};
use crate::support::{Backend, Listed as _};

super::promises![
    a_hook_session_is_renewed_by_its_own_devices_secret_alone,
    a_good_secret_names_its_client,
    no_other_secret_is_good,
    a_disabled_owners_secret_is_not_good,
    a_hook_session_belongs_to_the_owner_with_the_scopes_of_the_client,
    a_wrong_secret_opens_nothing,
    a_hook_session_hangs_on_the_device_of_its_secret,
    attack_n1_thousands_of_token_requests_open_one_session,
    after_its_session_was_revoked_a_hook_gets_another,
];

async fn a_good_secret_names_its_client(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let session = sign_in(&*store, &alice).await;
    let secret = provision(&*store, &alice, &session).await.unwrap();
    let id = ClientId::for_hooks_of(&alice);
    let client = store.verify_client(&id, &ClientProof::Secret(secret)).await.unwrap().unwrap();
    assert_eq!((client.id, client.owner), (id, alice));
    assert_eq!(client.scopes, scopes("hook:govern hook:track"));
}

async fn no_other_secret_is_good(db: impl Backend) {
    let store = db.open().await;
    let (alice, bob) = (user(&*store, "alice").await, user(&*store, "bob").await);
    let session = sign_in(&*store, &alice).await;
    let secret = provision(&*store, &alice, &session).await.unwrap();
    let his = provision(&*store, &bob, &sign_in(&*store, &bob).await).await.unwrap();
    assert!(is_good(&*store, &alice, &secret).await && is_good(&*store, &bob, &his).await);
    assert!(!is_good(&*store, &alice, &ClientSecret::random().hash(None)).await);
    assert!(!is_good(&*store, &alice, &his).await);
    assert!(!is_good(&*store, &bob, &secret).await);
    let unknown = ClientId::parse("bridge:nobody").unwrap();
    assert!(store.verify_client(&unknown, &ClientProof::Secret(secret)).await.unwrap().is_none());
}

async fn a_disabled_owners_secret_is_not_good(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let session = sign_in(&*store, &alice).await;
    let secret = provision(&*store, &alice, &session).await.unwrap();
    store.disable_user(&alice).await.unwrap();
    assert!(!is_good(&*store, &alice, &secret).await);
    assert!(open_hook(&*store, &alice, secret).await.is_err());
    store.enable_user(&alice).await.unwrap();
    assert!(!is_good(&*store, &alice, &secret).await);
}

async fn a_hook_session_belongs_to_the_owner_with_the_scopes_of_the_client(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let session = sign_in(&*store, &alice).await;
    let secret = provision(&*store, &alice, &session).await.unwrap();
    let client = ClientId::for_hooks_of(&alice);
    let hook = changed(new_session(), |new| {
        new.client = client.clone();
        new.life = MINUTE;
    });
    let asked = scopes("hook:govern admin");
    let proof = ClientProof::Secret(secret);
    let open = OpenSession::Client { owner: alice.clone(), proof, scopes: asked, session: hook };
    let opened = store.open_session(open).await.unwrap();
    assert_eq!(opened.user, alice);
    assert_eq!(opened.scopes, scopes("hook:govern"));
    assert!(opened.expires_in > 59 * MINUTE, "it expires with its device's session: {opened:?}");
    let status = store.session_statuses(&[opened.id]).await.unwrap().found.remove(0);
    assert_eq!((status.user, status.client, status.state), (alice, client, SessionState::Live));
}

async fn a_wrong_secret_opens_nothing(db: impl Backend) {
    let store = db.open().await;
    let (alice, bob) = (user(&*store, "alice").await, user(&*store, "bob").await);
    let session = sign_in(&*store, &alice).await;
    let first = new_secret(&alice, &session);
    store.provision_client(first.clone()).await.unwrap();
    let second = new_secret(&alice, &session).overlap(SECOND);
    store.provision_client(second).await.unwrap();
    db.pass_time(SECOND).await;
    for (owner, wrong) in
        [(&alice, secret_of(&first)), (&alice, ClientSecret::random().hash(None)), (&bob, secret_of(&first))]
    {
        let refused = open_hook(&*store, owner, wrong).await;
        assert!(matches!(refused, Err(OpenSessionError::WrongSecret)), "{refused:?}");
    }
    assert_eq!(db.count("sessions").await, 1);
}

async fn a_hook_session_hangs_on_the_device_of_its_secret(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let devices = [sign_in(&*store, &alice).await, sign_in(&*store, &alice).await];
    let mut hooks = Vec::new();
    for device in &devices {
        let secret = provision(&*store, &alice, device).await.unwrap();
        hooks.push(open_hook(&*store, &alice, secret).await.unwrap().id);
    }
    assert_eq!(store.revoke(&Revoke::Session(devices[1].clone())).await.unwrap(), Some(2));
    assert_eq!(state(&*store, &hooks[0]).await, Some(SessionState::Live));
    assert_eq!(state(&*store, &hooks[1]).await, Some(SessionState::Revoked));
}

async fn attack_n1_thousands_of_token_requests_open_one_session(db: impl Backend) {
    let nodes = [db.open().await, db.open().await];
    let alice = user(&*nodes[0], "alice").await;
    let device = sign_in(&*nodes[0], &alice).await;
    let secret = provision(&*nodes[0], &alice, &device).await.unwrap();
    let ids = join_all((0..2000).map(|n| {
        let (node, alice) = (&nodes[n % 2], &alice);
        async move { open_hook(&**node, alice, secret).await.unwrap().id }
    }));
    let ids: HashSet<_> = ids.await.into_iter().collect();
    assert_eq!((ids.len(), db.count("sessions").await), (1, 2));
    assert_eq!(nodes[0].revoke(&Revoke::User(alice.clone())).await.unwrap(), Some(2));
    assert!(!is_good(&*nodes[1], &alice, &secret).await);
}

async fn after_its_session_was_revoked_a_hook_gets_another(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let device = sign_in(&*store, &alice).await;
    let secret = provision(&*store, &alice, &device).await.unwrap();
    let first = open_hook(&*store, &alice, secret).await.unwrap();
    store.revoke(&Revoke::Session(first.id.clone())).await.unwrap();
    assert_eq!(state(&*store, &device).await, Some(SessionState::Live));
    let second = open_hook(&*store, &alice, secret).await.unwrap();
    assert!(!second.renewed && second.id != first.id);
    assert_eq!(state(&*store, &first.id).await, Some(SessionState::Revoked));
    assert_eq!(state(&*store, &second.id).await, Some(SessionState::Live));
    // It follows its device's session, and shows when it was last used.
    db.pass_time(10 * MINUTE).await;
    vouch(&*store, &alice, changed(new_session(), |new| new.id = RequestedId::Declared(device)))
        .await
        .unwrap();
    let third = open_hook(&*store, &alice, secret).await.unwrap();
    assert!(third.renewed && third.id == second.id && third.expires_in > 59 * MINUTE, "{third:?}");
    let shown = store.all_devices_of(&alice).await.unwrap().remove(0).hook_session.unwrap();
    assert!(shown.id == second.id && shown.renewed_at >= shown.created_at + 10 * MINUTE, "{shown:?}");
}

async fn a_hook_session_is_renewed_by_its_own_devices_secret_alone(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (laptop, desktop) = (sign_in(&*store, &alice).await, sign_in(&*store, &alice).await);
    let on_laptop = provision(&*store, &alice, &laptop).await.unwrap();
    let on_desktop = provision(&*store, &alice, &desktop).await.unwrap();
    let open = |secret| {
        let session = changed(declared("hooks"), |new| new.client = ClientId::for_hooks_of(&alice));
        let (owner, proof) = (alice.clone(), ClientProof::Secret(secret));
        OpenSession::Client { owner, proof, scopes: scopes("hook:govern"), session }
    };
    assert!(!store.open_session(open(on_laptop)).await.unwrap().renewed);
    assert!(store.open_session(open(on_laptop)).await.unwrap().renewed);
    let other = store.open_session(open(on_desktop)).await;
    assert!(matches!(other, Err(OpenSessionError::SessionTaken)), "{other:?}");
    store.revoke(&Revoke::Session(laptop)).await.unwrap();
    assert_eq!(state(&*store, &session_id("hooks")).await, Some(SessionState::Revoked));
}
