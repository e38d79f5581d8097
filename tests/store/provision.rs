//! Hook clients get their secrets, one a device.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bridge_auth::store::{ClientProof, ProvisionClientError, Revoke};
use bridge_auth::{Scopes, SessionId};
use futures_util::future::join_all;

use super::given::{
    HOUR, MINUTE, SECOND, changed, declared, is_good, new_secret, new_session, open_hook, provision, scopes,
    secret_of, sign_in, user, vouch,
};
use crate::support::{Backend, known};

super::promises![
    a_session_that_is_not_live_gets_no_secret,
    a_disabled_user_gets_no_secret,
    a_replaced_secret_is_good_for_the_overlap,
    another_devices_secret_stays,
    a_secret_that_was_replaced_lives_no_longer_by_another,
    provisioning_again_sets_the_scopes,
    a_clients_id_of_another_owner_is_not_touched,
    a_device_that_is_not_live_takes_no_place,
    a_device_has_two_live_credentials_at_most,
    a_persons_hooks_may_ask_for_no_more_than_they_were_narrowed_to,
    a_client_full_of_live_devices_is_refused,
    a_place_is_not_kept_by_who_took_the_session_id_later,
    racing_devices_stay_within_the_cap,
    of_20_racing_provisions_every_secret_returned_last_works,
];

async fn a_session_that_is_not_live_gets_no_secret(db: impl Backend) {
    let store = db.open().await;
    let (alice, bob) = (user(&*store, "alice").await, user(&*store, "bob").await);
    let revoked = sign_in(&*store, &alice).await;
    store.revoke(&Revoke::Session(revoked.clone())).await.unwrap();
    let short = changed(new_session(), |new| new.life = SECOND);
    let expired = vouch(&*store, &alice, short).await.unwrap().id;
    db.pass_time(SECOND).await;
    let his = sign_in(&*store, &bob).await;
    for session in [revoked, expired, his, SessionId::random()] {
        let refused = provision(&*store, &alice, &session).await;
        assert!(matches!(refused, Err(ProvisionClientError::SessionNotLive)), "{refused:?}");
    }
    assert_eq!(db.count("client_secrets").await, 0);
    assert_eq!(db.count("clients").await, 0);
}

async fn a_disabled_user_gets_no_secret(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let session = sign_in(&*store, &alice).await;
    store.disable_user(&alice).await.unwrap();
    let refused = provision(&*store, &alice, &session).await;
    // Disabling has revoked the session as well.
    assert!(
        matches!(refused, Err(ProvisionClientError::UserDisabled | ProvisionClientError::SessionNotLive)),
        "{refused:?}"
    );
    assert_eq!(db.count("client_secrets").await, 0);
}

async fn a_replaced_secret_is_good_for_the_overlap(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let session = sign_in(&*store, &alice).await;
    let first = provision(&*store, &alice, &session).await.unwrap();
    let second = provision(&*store, &alice, &session).await.unwrap();
    db.pass_time(MINUTE - 10 * SECOND).await;
    assert!(is_good(&*store, &alice, &first).await && is_good(&*store, &alice, &second).await);
    db.pass_time(10 * SECOND).await;
    assert!(!is_good(&*store, &alice, &first).await);
    assert!(is_good(&*store, &alice, &second).await);
    let third = new_secret(&alice, &session).overlap(Duration::ZERO);
    store.provision_client(third.clone()).await.unwrap();
    assert!(!is_good(&*store, &alice, &second).await);
    db.pass_time(HOUR / 2).await;
    assert!(is_good(&*store, &alice, &secret_of(&third)).await);
}

async fn a_device_has_two_live_credentials_at_most(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let session = sign_in(&*store, &alice).await;
    let mut secrets = Vec::new();
    for _ in 0..5 {
        secrets.push(provision(&*store, &alice, &session).await.unwrap());
    }
    let mut good = Vec::new();
    for secret in &secrets {
        good.push(is_good(&*store, &alice, secret).await);
    }
    assert_eq!(good, [false, false, false, true, true]);
    assert_eq!(db.count("client_secrets").await, 2);
}

async fn a_persons_hooks_may_ask_for_no_more_than_they_were_narrowed_to(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let session = sign_in(&*store, &alice).await;
    let secret = new_secret(&alice, &session);
    assert_eq!(
        store.provision_client(secret.clone()).await.unwrap().scopes,
        scopes("hook:govern hook:track")
    );
    let narrow = known(&alice, &scopes("read")).hook_scopes(scopes("hook:track other"));
    store.put_user(&narrow).await.unwrap();
    let proof = ClientProof::Secret(secret_of(&secret));
    let client = store.verify_client(&secret.client, &proof).await.unwrap().unwrap();
    assert_eq!(client.scopes, scopes("hook:track"), "from the next token on");
    assert_eq!(open_hook(&*store, &alice, secret_of(&secret)).await.unwrap().scopes, scopes("hook:track"));
    let again = store.provision_client(new_secret(&alice, &session)).await.unwrap();
    assert_eq!(again.scopes, scopes("hook:track"));
    // Nothing, and all again.
    let none = known(&alice, &scopes("read")).hook_scopes(Scopes::default());
    store.put_user(&none).await.unwrap();
    assert!(store.provision_client(new_secret(&alice, &session)).await.unwrap().scopes.is_empty());
    store.put_user(&known(&alice, &scopes("read"))).await.unwrap();
    let again = store.provision_client(new_secret(&alice, &session)).await.unwrap();
    assert_eq!(again.scopes, scopes("hook:govern hook:track"));
}

async fn another_devices_secret_stays(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (one, two) = (sign_in(&*store, &alice).await, sign_in(&*store, &alice).await);
    let first = provision(&*store, &alice, &one).await.unwrap();
    let other = new_secret(&alice, &two).overlap(Duration::ZERO);
    store.provision_client(other.clone()).await.unwrap();
    db.pass_time(HOUR / 2).await;
    assert!(is_good(&*store, &alice, &first).await && is_good(&*store, &alice, &secret_of(&other)).await);
}

async fn a_secret_that_was_replaced_lives_no_longer_by_another(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let session = sign_in(&*store, &alice).await;
    let first = provision(&*store, &alice, &session).await.unwrap();
    provision(&*store, &alice, &session).await.unwrap();
    db.pass_time(MINUTE / 2).await;
    provision(&*store, &alice, &session).await.unwrap();
    db.pass_time(MINUTE / 2).await;
    assert!(!is_good(&*store, &alice, &first).await);
}

async fn provisioning_again_sets_the_scopes(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let session = sign_in(&*store, &alice).await;
    let first = new_secret(&alice, &session);
    store.provision_client(first.clone()).await.unwrap();
    let narrower = new_secret(&alice, &session).scopes(scopes("hook:track"));
    store.provision_client(narrower.clone()).await.unwrap();
    for secret in [first, narrower] {
        let client = store
            .verify_client(&secret.client, &ClientProof::Secret(secret_of(&secret)))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(client.scopes, scopes("hook:track"));
    }
    assert_eq!(db.count("clients").await, 1);
}

async fn a_clients_id_of_another_owner_is_not_touched(db: impl Backend) {
    let store = db.open().await;
    let (alice, bob) = (user(&*store, "alice").await, user(&*store, "bob").await);
    let hers = sign_in(&*store, &alice).await;
    let secret = provision(&*store, &alice, &hers).await.unwrap();
    let his = sign_in(&*store, &bob).await;
    let thief = changed(new_secret(&bob, &his), |new| new.client = new_secret(&alice, &hers).client);
    assert!(store.provision_client(thief.clone()).await.is_err());
    assert!(!is_good(&*store, &alice, &secret_of(&thief)).await);
    let client = store.verify_client(&thief.client, &ClientProof::Secret(secret)).await.unwrap().unwrap();
    assert_eq!(client.owner, alice);
}

async fn a_device_that_is_not_live_takes_no_place(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let mut secrets = Vec::new();
    for life in [HOUR, SECOND, HOUR, SECOND] {
        let session = vouch(&*store, &alice, changed(new_session(), |new| new.life = life)).await.unwrap().id;
        secrets.push(provision(&*store, &alice, &session).await.unwrap());
    }
    db.pass_time(MINUTE).await;
    let newest = sign_in(&*store, &alice).await;
    let new = new_secret(&alice, &newest).max_devices(3);
    store.provision_client(new.clone()).await.unwrap();
    let mut good = Vec::new();
    for secret in secrets.iter().chain([&secret_of(&new)]) {
        good.push(is_good(&*store, &alice, secret).await);
    }
    assert_eq!(good, [true, false, true, false, true]);
    assert_eq!(db.count("client_secrets").await, 3);
}

async fn a_client_full_of_live_devices_is_refused(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let capped = |session| new_secret(&alice, session).max_devices(2);
    let devices =
        [sign_in(&*store, &alice).await, sign_in(&*store, &alice).await, sign_in(&*store, &alice).await];
    store.provision_client(capped(&devices[0])).await.unwrap();
    store.provision_client(capped(&devices[1])).await.unwrap();
    let refused = store.provision_client(capped(&devices[2])).await;
    assert!(matches!(refused, Err(ProvisionClientError::TooManyDevices)), "{refused:?}");
    assert_eq!(db.count("client_secrets").await, 2);
    store.provision_client(capped(&devices[1])).await.expect("the device has its place");
    store.revoke(&Revoke::Session(devices[0].clone())).await.unwrap();
    store.provision_client(capped(&devices[2])).await.expect("a place is free");
}

async fn a_place_is_not_kept_by_who_took_the_session_id_later(db: impl Backend) {
    let store = db.open().await;
    let (alice, bob) = (user(&*store, "alice").await, user(&*store, "bob").await);
    let hers = vouch(&*store, &alice, declared("shared")).await.unwrap().id;
    let old = provision(&*store, &alice, &hers).await.unwrap();
    db.pass_time(2 * HOUR + SECOND).await;
    store.sweep(100).await.unwrap();
    vouch(&*store, &bob, declared("shared")).await.unwrap();
    let session = sign_in(&*store, &alice).await;
    let only = new_secret(&alice, &session).max_devices(1);
    store.provision_client(only).await.unwrap();
    assert!(!is_good(&*store, &alice, &old).await);
}

async fn racing_devices_stay_within_the_cap(db: impl Backend) {
    let nodes = [db.open().await, db.open().await];
    let alice = user(&*nodes[0], "alice").await;
    let devices = join_all((0..10).map(|_| sign_in(&*nodes[0], &alice))).await;
    let racers = devices.iter().enumerate().map(|(n, device)| {
        let capped = new_secret(&alice, device).max_devices(3);
        nodes[n % 2].provision_client(capped)
    });
    let provisioned = join_all(racers).await.into_iter().filter(Result::is_ok).count();
    assert_eq!(provisioned, 3);
}

async fn of_20_racing_provisions_every_secret_returned_last_works(db: impl Backend) {
    let nodes = [db.open().await, db.open().await];
    let alice = user(&*nodes[0], "alice").await;
    // The shorter one is as long as an answer may be on its way.
    for overlap in [2 * SECOND, MINUTE] {
        let devices = join_all((0..4).map(|_| sign_in(&*nodes[0], &alice))).await;
        let returned = Arc::new(Mutex::new(Vec::new()));
        let racers = (0..20).map(|n| {
            let (node, returned) = (Arc::clone(&nodes[n % 2]), Arc::clone(&returned));
            let new = (new_secret(&alice, &devices[n % 4])).overlap(overlap);
            tokio::spawn(async move {
                node.provision_client(new.clone()).await.unwrap();
                returned.lock().unwrap().push((new.session.clone(), secret_of(&new)));
            })
        });
        assert!(join_all(racers).await.iter().all(Result::is_ok));
        let returned = returned.lock().unwrap().clone();
        assert_eq!(returned.len(), 20);
        for device in &devices {
            let (_, last) = returned.iter().rfind(|(session, _)| session == device).unwrap();
            assert!(is_good(&*nodes[0], &alice, last).await);
        }
    }
}
