//! Hook clients prove themselves with a key, and no assertion of it counts twice.

use std::sync::Arc;
use std::time::Duration;

use bridge_auth::UserId;
use bridge_auth::id::{AssertionHash, ClientId, ClientSecret, KeyThumbprint};
use bridge_auth::store::{
    ClientCredential, ClientKey, ClientProof, KeyQuery, OpenSession, OpenSessionError, OpenedSession,
    ProvisionClient, Revoke, SessionState, Store,
};
use futures_util::future::join_all;

use super::given::{
    HOUR, MINUTE, changed, is_good, new_secret, new_session, provision, scopes, secret_of, sign_in, state,
    user,
};
use crate::support::Backend;

super::promises![
    a_key_opens_a_session_that_hangs_on_its_device,
    a_secret_is_never_taken_for_a_key,
    a_replaced_key_is_good_for_the_overlap,
    a_key_goes_with_the_session_of_its_device,
    a_key_is_the_devices_that_brought_it_last,
    a_disabled_owners_keys_are_none,
    a_key_is_found_by_its_algorithm_and_by_its_id_or_thumbprint,
    attack_n3_of_very_many_keys_at_most_two_are_found,
    a_secret_takes_the_place_of_a_key,
    of_64_racers_one_spends_an_assertion,
    an_assertion_is_remembered_for_its_life,
];

fn thumbprint(seed: u8) -> KeyThumbprint {
    KeyThumbprint::from_bytes(&[seed; 32]).unwrap()
}

/// A request for a key of `user`'s hooks, asked for by `session`. The store reads the names in it alone.
fn new_key(provision: ProvisionClient, seed: u8) -> (ProvisionClient, ClientKey) {
    named_key(provision, seed, "EdDSA", &format!("key-{seed}"))
}

fn named_key(provision: ProvisionClient, seed: u8, alg: &str, kid: &str) -> (ProvisionClient, ClientKey) {
    let jwk = serde_json::json!({ "alg": alg, "kid": kid, "x": seed.to_string() }).to_string();
    let key = ClientKey::new(thumbprint(seed), jwk);
    (changed(provision, |new| new.credential = ClientCredential::Key(key.clone())), key)
}

async fn keys(store: &dyn Store, owner: &UserId) -> Vec<ClientKey> {
    keys_called(store, owner, "EdDSA", None).await
}

async fn keys_called(store: &dyn Store, owner: &UserId, alg: &str, kid: Option<&str>) -> Vec<ClientKey> {
    let query = kid.into_iter().fold(KeyQuery::new(alg), KeyQuery::key_id);
    store.client_keys(&ClientId::for_hooks_of(owner), &query).await.unwrap()
}

async fn verifies(store: &dyn Store, owner: &UserId, proof: ClientProof) -> bool {
    store.verify_client(&ClientId::for_hooks_of(owner), &proof).await.unwrap().is_some()
}

async fn open_with(
    store: &dyn Store,
    owner: &UserId,
    proof: ClientProof,
) -> Result<OpenedSession, OpenSessionError> {
    let session = changed(new_session(), |new| new.client = ClientId::for_hooks_of(owner));
    let owner = owner.clone();
    store.open_session(OpenSession::Client { owner, proof, scopes: scopes("hook:track"), session }).await
}

async fn a_key_opens_a_session_that_hangs_on_its_device(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let device = sign_in(&*store, &alice).await;
    let (new, key) = new_key(new_secret(&alice, &device), 1);
    store.provision_client(new.clone()).await.unwrap();
    assert_eq!(keys(&*store, &alice).await, std::slice::from_ref(&key));
    let proof = ClientProof::Key(key.thumbprint);
    let client = store.verify_client(&new.client, &proof).await.unwrap().unwrap();
    assert_eq!((&client.owner, client.scopes), (&alice, scopes("hook:govern hook:track")));
    let opened = open_with(&*store, &alice, proof).await.unwrap();
    assert_eq!((&opened.user, opened.scopes), (&alice, scopes("hook:track")));
    assert_eq!(store.revoke(&Revoke::Session(device)).await.unwrap(), Some(2));
    assert_eq!(state(&*store, &opened.id).await, Some(SessionState::Revoked));
}

async fn a_secret_is_never_taken_for_a_key(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let device = sign_in(&*store, &alice).await;
    let secret = ClientSecret::random().hash(None);
    let of_secret = ClientProof::Key(KeyThumbprint::from_bytes(secret.as_bytes()).unwrap());
    let (new, key) = new_key(new_secret(&alice, &device), 1);
    let both = [changed(new.clone(), |new| new.credential = ClientCredential::Secret(secret)), new];
    for new in both {
        store.provision_client(new).await.unwrap();
    }
    // The hash of the key that is stored, offered as that of a secret.
    let of_key = bridge_auth::id::SecretHash::from_stored(key.thumbprint.as_bytes()).unwrap();
    for wrong in [of_secret, ClientProof::Secret(of_key)] {
        assert!(!verifies(&*store, &alice, wrong).await, "{wrong:?}");
        let refused = open_with(&*store, &alice, wrong).await;
        assert!(matches!(refused, Err(OpenSessionError::WrongSecret)), "{refused:?}");
    }
    for right in [ClientProof::Secret(secret), ClientProof::Key(key.thumbprint)] {
        assert!(verifies(&*store, &alice, right).await);
        open_with(&*store, &alice, right).await.unwrap();
    }
    assert_eq!(keys(&*store, &alice).await, [key]);
}

async fn a_replaced_key_is_good_for_the_overlap(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let device = sign_in(&*store, &alice).await;
    let (first, old) = new_key(new_secret(&alice, &device), 1);
    let (second, new) = new_key(new_secret(&alice, &device), 2);
    store.provision_client(first).await.unwrap();
    store.provision_client(second).await.unwrap();
    assert_eq!(keys(&*store, &alice).await, [new.clone(), old.clone()], "newest first");
    assert!(verifies(&*store, &alice, ClientProof::Key(old.thumbprint)).await);
    db.pass_time(MINUTE).await;
    assert_eq!(keys(&*store, &alice).await, [new]);
    assert!(!verifies(&*store, &alice, ClientProof::Key(old.thumbprint)).await);
    let refused = open_with(&*store, &alice, ClientProof::Key(old.thumbprint)).await;
    assert!(matches!(refused, Err(OpenSessionError::WrongSecret)), "{refused:?}");
}

async fn a_key_goes_with_the_session_of_its_device(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let client = ClientId::for_hooks_of(&alice);
    for target in [None, Some(Revoke::User(alice.clone())), Some(Revoke::Client(client))] {
        let device = sign_in(&*store, &alice).await;
        let (new, key) = new_key(new_secret(&alice, &device), 1);
        store.provision_client(new).await.unwrap();
        store.revoke(&target.unwrap_or(Revoke::Session(device))).await.unwrap();
        assert_eq!(keys(&*store, &alice).await, []);
        assert!(!verifies(&*store, &alice, ClientProof::Key(key.thumbprint)).await);
    }
}

async fn a_key_is_the_devices_that_brought_it_last(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (before, now) = (sign_in(&*store, &alice).await, sign_in(&*store, &alice).await);
    let (_, key) = new_key(new_secret(&alice, &before), 1);
    for device in [&before, &now] {
        store.provision_client(new_key(new_secret(&alice, device), 1).0).await.unwrap();
        assert_eq!(keys(&*store, &alice).await, std::slice::from_ref(&key));
    }
    let hook = open_with(&*store, &alice, ClientProof::Key(key.thumbprint)).await.unwrap();
    store.revoke(&Revoke::Session(now)).await.unwrap();
    assert_eq!(state(&*store, &hook.id).await, Some(SessionState::Revoked));
    assert_eq!(keys(&*store, &alice).await, [], "the session from before keeps it not alive");
}

async fn a_disabled_owners_keys_are_none(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let device = sign_in(&*store, &alice).await;
    store.provision_client(new_key(new_secret(&alice, &device), 1).0).await.unwrap();
    store.disable_user(&alice).await.unwrap();
    assert_eq!(keys(&*store, &alice).await, []);
    assert_eq!(keys(&*store, &UserId::parse("nobody").unwrap()).await, []);
}

async fn a_key_is_found_by_its_algorithm_and_by_its_id_or_thumbprint(db: impl Backend) {
    use base64::Engine as _;
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let mut made = Vec::new();
    for (seed, alg, kid) in
        [(1, "EdDSA", "laptop"), (2, "RS256", "laptop"), (3, "EdDSA", "desk"), (4, "EdDSA", "laptop")]
    {
        let device = sign_in(&*store, &alice).await;
        let (new, key) = named_key(new_secret(&alice, &device), seed, alg, kid);
        store.provision_client(new).await.unwrap();
        made.push(key);
    }
    let thumbprint_of =
        |key: &ClientKey| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(key.thumbprint.as_bytes());
    let by_thumbprint = made.iter().map(thumbprint_of).collect::<Vec<_>>();
    for (alg, kid, expected) in [
        ("EdDSA", None, &[3, 2][..]),
        ("RS256", None, &[1]),
        ("ES256", None, &[]),
        ("eddsa", None, &[]),
        ("EdDSA", Some("laptop"), &[3, 0]),
        ("EdDSA", Some("desk"), &[2]),
        ("EdDSA", Some("Laptop"), &[]),
        ("EdDSA", Some("%"), &[]),
        ("EdDSA", Some("' OR 1=1--"), &[]),
        ("EdDSA", Some(&*by_thumbprint[0]), &[0]),
        ("RS256", Some(&*by_thumbprint[0]), &[]),
        ("RS256", Some(&*by_thumbprint[1]), &[1]),
        ("EdDSA", Some(&by_thumbprint[0][..42]), &[]),
    ] {
        let expected: Vec<_> = expected.iter().map(|place: &usize| made[*place].clone()).collect();
        assert_eq!(keys_called(&*store, &alice, alg, kid).await, expected, "{alg} {kid:?}");
    }
    // Another person's key by the same name is not hers.
    let bob = user(&*store, "bob").await;
    let device = sign_in(&*store, &bob).await;
    let (new, key) = named_key(new_secret(&bob, &device), 9, "EdDSA", "laptop");
    store.provision_client(new).await.unwrap();
    assert_eq!(keys_called(&*store, &alice, "EdDSA", Some(&thumbprint_of(&key))).await, []);
    assert_eq!(keys_called(&*store, &bob, "EdDSA", Some("laptop")).await, [key]);
}

async fn attack_n3_of_very_many_keys_at_most_two_are_found(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let device = sign_in(&*store, &alice).await;
    let mut newest = Vec::new();
    for seed in 0..200 {
        let new = new_secret(&alice, &device).overlap(HOUR);
        let (new, key) = named_key(new, seed, "RS256", "one for all");
        store.provision_client(new).await.unwrap();
        newest.insert(0, key);
    }
    newest.truncate(2);
    assert_eq!(keys_called(&*store, &alice, "RS256", None).await, newest);
    assert_eq!(keys_called(&*store, &alice, "RS256", Some("one for all")).await, newest);
    assert_eq!(keys_called(&*store, &alice, "PS256", None).await, []);
}

async fn a_secret_takes_the_place_of_a_key(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let device = sign_in(&*store, &alice).await;
    let (new, key) = new_key(new_secret(&alice, &device), 1);
    let secret = provision(&*store, &alice, &device).await.unwrap();
    store.provision_client(new).await.unwrap();
    let last = new_secret(&alice, &device).overlap(Duration::ZERO);
    store.provision_client(last.clone()).await.unwrap();
    assert!(is_good(&*store, &alice, &secret_of(&last)).await);
    assert!(!verifies(&*store, &alice, ClientProof::Key(key.thumbprint)).await);
    db.pass_time(MINUTE).await;
    assert!(!is_good(&*store, &alice, &secret).await);
}

async fn of_64_racers_one_spends_an_assertion(db: impl Backend) {
    let nodes = [db.open().await, db.open().await];
    let assertion = AssertionHash::of(&ClientId::parse("bridge:alice").unwrap(), "once");
    let racers = (0..64).map(|n| {
        let node = Arc::clone(&nodes[n % 2]);
        tokio::spawn(async move { node.spend_assertion(&assertion, MINUTE).await.unwrap() })
    });
    let spent = join_all(racers).await.into_iter().filter(|spent| *spent.as_ref().unwrap()).count();
    assert_eq!(spent, 1);
    assert_eq!(db.count("used_assertions").await, 1);
}

async fn an_assertion_is_remembered_for_its_life(db: impl Backend) {
    let store = db.open().await;
    let client = ClientId::parse("bridge:alice").unwrap();
    let assertion = AssertionHash::of(&client, "once");
    assert!(store.spend_assertion(&assertion, HOUR).await.unwrap());
    assert!(store.spend_assertion(&AssertionHash::of(&client, "twice"), MINUTE).await.unwrap());
    db.pass_time(59 * MINUTE).await;
    assert!(!store.spend_assertion(&assertion, HOUR).await.unwrap());
    assert_eq!(store.sweep(100).await.unwrap().assertions, 1);
    assert!(!store.spend_assertion(&assertion, HOUR).await.unwrap(), "a second use prolongs nothing");
    db.pass_time(MINUTE).await;
    assert!(store.spend_assertion(&assertion, HOUR).await.unwrap());
    assert_eq!(store.sweep(100).await.unwrap().assertions, 0);
}
