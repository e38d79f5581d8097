//! Hook clients prove themselves with a secret.

use bridge_auth::store::{
    ClientProof, NewSession, OpenSession, OpenSessionError, ProvisionClient, Revoke, SessionState,
};
use bridge_auth::{ClientId, ClientSecret};

use super::given::{
    MINUTE, SECOND, declared, is_good, new_secret, new_session, open_hook, provision, scopes, secret_of,
    session_id, sign_in, state, user,
};
use crate::support::Backend;

super::promises![
    a_hook_session_is_renewed_by_its_own_devices_secret_alone,
    a_good_secret_names_its_client,
    no_other_secret_is_good,
    a_disabled_owners_secret_is_not_good,
    a_hook_session_belongs_to_the_owner_with_the_scopes_of_the_client,
    a_wrong_secret_opens_nothing,
    a_hook_session_hangs_on_the_device_of_its_secret,
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
    let hook = NewSession { client: client.clone(), life: MINUTE, ..new_session() };
    let asked = scopes("hook:govern admin");
    let open = OpenSession::Client { proof: ClientProof::Secret(secret), scopes: asked, session: hook };
    let opened = store.open_session(open).await.unwrap();
    assert_eq!(opened.user, alice);
    assert_eq!(opened.scopes, scopes("hook:govern"));
    assert_eq!(opened.expires_in, MINUTE);
    let status = store.session_statuses(&[opened.id]).await.unwrap().remove(0);
    assert_eq!((status.user, status.client, status.state), (alice, client, SessionState::Live));
}

async fn a_wrong_secret_opens_nothing(db: impl Backend) {
    let store = db.open().await;
    let (alice, bob) = (user(&*store, "alice").await, user(&*store, "bob").await);
    let session = sign_in(&*store, &alice).await;
    let first = new_secret(&alice, &session);
    store.provision_client(first.clone()).await.unwrap();
    let second = ProvisionClient { overlap: SECOND, ..new_secret(&alice, &session) };
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

async fn a_hook_session_is_renewed_by_its_own_devices_secret_alone(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (laptop, desktop) = (sign_in(&*store, &alice).await, sign_in(&*store, &alice).await);
    let on_laptop = provision(&*store, &alice, &laptop).await.unwrap();
    let on_desktop = provision(&*store, &alice, &desktop).await.unwrap();
    let open = |secret| {
        let session = NewSession { client: ClientId::for_hooks_of(&alice), ..declared("hooks") };
        OpenSession::Client { proof: ClientProof::Secret(secret), scopes: scopes("hook:govern"), session }
    };
    assert!(!store.open_session(open(on_laptop)).await.unwrap().renewed);
    assert!(store.open_session(open(on_laptop)).await.unwrap().renewed);
    let other = store.open_session(open(on_desktop)).await;
    assert!(matches!(other, Err(OpenSessionError::SessionTaken)), "{other:?}");
    store.revoke(&Revoke::Session(laptop)).await.unwrap();
    assert_eq!(state(&*store, &session_id("hooks")).await, Some(SessionState::Revoked));
}
