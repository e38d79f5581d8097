//! A person ends all that is theirs but the session they look from.

use std::collections::HashSet;

use bridge_auth::id::ClientId;
use bridge_auth::store::{PollDeviceGrantError, Revocation, RevocationCursor, Revoke, SessionState};
use bridge_auth::{SessionId, UserId};

use super::device_grants::{allowed, poll, started, yes};
use super::given::{
    MINUTE, changed, code, new_session, redeem, refresh, sign_in, sign_in_to_stay, state, user, vouch,
};
use super::revoke::device;
use crate::support::{Backend, Listed as _};

super::promises![
    all_others_end_and_one_session_stays_with_its_hooks,
    what_was_allowed_and_not_collected_ends_with_all_others,
    what_a_client_was_given_and_has_not_collected_ends_with_the_client,
    what_is_allowed_after_all_others_ended_is_good,
    the_session_that_stays_is_refreshed_on,
    a_session_that_is_not_the_persons_own_and_live_keeps_nothing,
    all_others_of_nobody_are_none,
    each_of_the_others_is_in_the_log_and_the_person_is_not,
    linking_against_ending_all_others_leaves_one_session,
];

fn others(user: &UserId, keep: &SessionId) -> Revoke {
    Revoke::Others { user: user.clone(), keep: keep.clone() }
}

async fn all_others_end_and_one_session_stays_with_its_hooks(db: impl Backend) {
    let store = db.open().await;
    let (alice, bob) = (user(&*store, "alice").await, user(&*store, "bob").await);
    let (kept, his) = (device(&*store, &alice).await, device(&*store, &bob).await);
    let lost = [device(&*store, &alice).await, device(&*store, &alice).await];
    assert_eq!(store.revoke(&others(&alice, &kept.session)).await.unwrap(), Some(4));
    for device in &lost {
        device.assert(&*store, SessionState::Revoked).await;
    }
    assert_eq!(store.revoke(&others(&alice, &kept.session)).await.unwrap(), Some(0));
    kept.assert(&*store, SessionState::Live).await;
    his.assert(&*store, SessionState::Live).await;
}

async fn what_was_allowed_and_not_collected_ends_with_all_others(db: impl Backend) {
    let store = db.open().await;
    let (alice, bob) = (user(&*store, "alice").await, user(&*store, "bob").await);
    let kept = sign_in(&*store, &alice).await;
    let (open, his) = (code(&*store, &alice).await, code(&*store, &bob).await);
    let (grant, his_grant) = (allowed(&*store, &alice).await, allowed(&*store, &bob).await);
    assert_eq!(store.revoke(&others(&alice, &kept)).await.unwrap(), Some(0));
    assert!(store.redeem_code(redeem(open)).await.is_err());
    let collected = store.poll_device_grant(poll(&grant)).await;
    assert!(matches!(collected, Err(PollDeviceGrantError::UserDisabled)), "{collected:?}");
    store.redeem_code(redeem(his)).await.unwrap();
    store.poll_device_grant(poll(&his_grant)).await.unwrap();
    assert_eq!(state(&*store, &kept).await, Some(SessionState::Live));
}

async fn what_a_client_was_given_and_has_not_collected_ends_with_the_client(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (open, grant) = (code(&*store, &alice).await, allowed(&*store, &alice).await);
    let other = ClientId::parse("another").unwrap();
    store.revoke(&Revoke::Client(other)).await.unwrap();
    let later = code(&*store, &alice).await;
    store.redeem_code(redeem(later)).await.unwrap();
    let own = redeem(open);
    store.revoke(&Revoke::Client(own.session.client.clone())).await.unwrap();
    store.revoke(&Revoke::Client(poll(&grant).session.client)).await.unwrap();
    assert!(store.redeem_code(own).await.is_err());
    let collected = store.poll_device_grant(poll(&grant)).await;
    assert!(matches!(collected, Err(PollDeviceGrantError::UserDisabled)), "{collected:?}");
}

async fn what_is_allowed_after_all_others_ended_is_good(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (kept, waits) = (sign_in(&*store, &alice).await, started(&*store).await);
    store.revoke(&others(&alice, &kept)).await.unwrap();
    let new = code(&*store, &alice).await;
    store.redeem_code(redeem(new)).await.unwrap();
    store.decide_device_grant(yes(&waits, &alice)).await.unwrap();
    store.poll_device_grant(poll(&waits)).await.unwrap();
    assert_eq!(store.sessions_of(&alice).await.unwrap().len(), 3);
}

async fn the_session_that_stays_is_refreshed_on(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let ((kept, token), (_, other)) =
        (sign_in_to_stay(&*store, &alice).await, sign_in_to_stay(&*store, &alice).await);
    assert_eq!(store.revoke(&others(&alice, &kept)).await.unwrap(), Some(1));
    assert_eq!(store.refresh_session(refresh(token)).await.unwrap().id, kept);
    store.refresh_session(refresh(other)).await.unwrap_err();
}

async fn a_session_that_is_not_the_persons_own_and_live_keeps_nothing(db: impl Backend) {
    let store = db.open().await;
    let (alice, bob) = (user(&*store, "alice").await, user(&*store, "bob").await);
    let his = sign_in(&*store, &bob).await;
    let revoked = sign_in(&*store, &alice).await;
    store.revoke(&Revoke::Session(revoked.clone())).await.unwrap();
    let short = changed(new_session(), |new| new.life = MINUTE / 2);
    let expired = vouch(&*store, &alice, short).await.unwrap().id;
    db.pass_time(MINUTE).await;
    // One that expired a moment ago is ended like a live one.
    for (keep, more) in [(expired, 1), (revoked, 0), (his.clone(), 0), (SessionId::random(), 0)] {
        let lost = device(&*store, &alice).await;
        assert_eq!(store.revoke(&others(&alice, &keep)).await.unwrap(), Some(2 + more), "{keep}");
        lost.assert(&*store, SessionState::Revoked).await;
    }
    assert_eq!(state(&*store, &his).await, Some(SessionState::Live));
    // A hook ends with its device, so it is not kept without it.
    let lost = device(&*store, &alice).await;
    assert_eq!(store.revoke(&others(&alice, &lost.hook)).await.unwrap(), Some(2));
    lost.assert(&*store, SessionState::Revoked).await;
}

async fn all_others_of_nobody_are_none(db: impl Backend) {
    let store = db.open().await;
    let bob = user(&*store, "bob").await;
    let his = sign_in(&*store, &bob).await;
    let nobody = UserId::parse("nobody").unwrap();
    assert_eq!(store.revoke(&others(&nobody, &his)).await.unwrap(), None);
    assert_eq!(state(&*store, &his).await, Some(SessionState::Live));
}

async fn each_of_the_others_is_in_the_log_and_the_person_is_not(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (kept, lost) = (device(&*store, &alice).await, device(&*store, &alice).await);
    let here = store.revocations_since(&RevocationCursor::default(), 1000).await.unwrap().next;
    store.revoke(&others(&alice, &kept.session)).await.unwrap();
    let logged = store.revocations_since(&here, 1000).await.unwrap().entries.unwrap();
    let ended = [Revocation::Session(lost.session), Revocation::Session(lost.hook)];
    assert_eq!(logged.into_iter().collect::<HashSet<_>>(), HashSet::from(ended));
}

/// Whichever comes first: a program that was let in before has a session that ends, or none.
async fn linking_against_ending_all_others_leaves_one_session(db: impl Backend) {
    let nodes = [db.open().await, db.open().await];
    for round in 0..20 {
        let alice = user(&*nodes[0], &format!("alice-{round}")).await;
        let kept = sign_in(&*nodes[0], &alice).await;
        let (open, grant) = (code(&*nodes[0], &alice).await, allowed(&*nodes[0], &alice).await);
        let target = others(&alice, &kept);
        let (linked, collected, revoked) = tokio::join!(
            nodes[0].redeem_code(redeem(open)),
            nodes[0].poll_device_grant(poll(&grant)),
            nodes[1].revoke(&target),
        );
        let opened = u64::from(linked.is_ok()) + u64::from(collected.is_ok());
        assert_eq!(revoked.unwrap(), Some(opened), "{linked:?} {collected:?}");
        assert_eq!(state(&*nodes[1], &kept).await, Some(SessionState::Live));
        assert_eq!(nodes[1].sessions_of(&alice).await.unwrap().len(), 1);
    }
}
