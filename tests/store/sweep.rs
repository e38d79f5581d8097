//! The broom takes what is dead for long enough, and nothing live.

use bridge_auth::store::{GrantRefusal, PollDeviceGrantError, RedeemError, Revoke, SessionState, Swept};

use super::device_grants::{allowed, no, poll, started};
use super::given::{
    DAY, HOUR, MINUTE, SECOND, changed, code, declared, is_good, new_secret, new_session, open_hook,
    provision, redeem, rotate, secret_of, sign_in, sign_in_to_stay, state, user, vouch,
};
use crate::support::Backend;

super::promises![
    nothing_live_is_swept,
    a_code_goes_a_day_after_it_expired_so_that_a_replay_is_known,
    a_session_goes_an_hour_after_it_expired,
    a_revoked_session_keeps_its_id_as_long,
    a_secret_goes_after_its_overlap,
    a_revocation_goes_after_a_day,
    a_sweep_takes_at_most_its_limit_of_each_table,
    refresh_tokens_go_with_their_session_and_no_sooner,
    a_session_of_very_many_refresh_tokens_goes_in_small_steps,
    a_device_grant_goes_an_hour_after_it_expired,
];

async fn nothing_live_is_swept(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let session = sign_in(&*store, &alice).await;
    let replaced = provision(&*store, &alice, &session).await.unwrap();
    let secret = provision(&*store, &alice, &session).await.unwrap();
    let hook = open_hook(&*store, &alice, secret).await.unwrap().id;
    let open = code(&*store, &alice).await;
    let (waits, agreed) = (started(&*store).await, allowed(&*store, &alice).await);
    assert_eq!(store.sweep(1000).await.unwrap().total(), 0);
    db.pass_time(MINUTE / 2).await;
    assert_eq!(store.sweep(1000).await.unwrap().total(), 0);
    assert_eq!(state(&*store, &session).await, Some(SessionState::Live));
    assert_eq!(state(&*store, &hook).await, Some(SessionState::Live));
    assert!(is_good(&*store, &alice, &secret).await && is_good(&*store, &alice, &replaced).await);
    store.redeem_code(redeem(open)).await.unwrap();
    assert!(store.device_grant(&waits.user_code).await.unwrap().is_some());
    store.poll_device_grant(poll(&agreed)).await.unwrap();
    db.pass_time(30 * DAY).await;
    store.sweep(1000).await.unwrap();
    assert!(!is_good(&*store, &alice, &secret).await, "its device has gone");
    assert_eq!((db.count("sessions").await, db.count("client_secrets").await), (0, 0));
}

async fn a_code_goes_a_day_after_it_expired_so_that_a_replay_is_known(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (spent, unspent) = (code(&*store, &alice).await, code(&*store, &alice).await);
    store.redeem_code(redeem(spent)).await.unwrap();
    db.pass_time(DAY + MINUTE).await;
    assert_eq!(store.sweep(1000).await.unwrap().codes, 0);
    let replayed = store.redeem_code(redeem(spent)).await;
    assert!(matches!(replayed, Err(RedeemError::Refused(GrantRefusal::Replayed { .. }))), "{replayed:?}");
    db.pass_time(MINUTE + SECOND).await;
    assert_eq!(store.sweep(1000).await.unwrap().codes, 2);
    for gone in [spent, unspent] {
        let refused = store.redeem_code(redeem(gone)).await;
        assert!(matches!(refused, Err(RedeemError::Refused(GrantRefusal::Unknown))), "{refused:?}");
    }
}

async fn a_session_goes_an_hour_after_it_expired(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let session = vouch(&*store, &alice, declared("laptop")).await.unwrap().id;
    db.pass_time(2 * HOUR - MINUTE).await;
    assert_eq!(store.sweep(1000).await.unwrap().sessions, 0);
    assert_eq!(state(&*store, &session).await, Some(SessionState::Expired));
    db.pass_time(MINUTE + SECOND).await;
    assert_eq!(store.sweep(1000).await.unwrap().sessions, 1);
    assert_eq!(state(&*store, &session).await, None);
    assert!(!vouch(&*store, &alice, declared("laptop")).await.unwrap().renewed);
}

async fn a_revoked_session_keeps_its_id_as_long(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let session = sign_in(&*store, &alice).await;
    store.revoke(&Revoke::Session(session.clone())).await.unwrap();
    db.pass_time(2 * HOUR - MINUTE).await;
    assert_eq!(store.sweep(1000).await.unwrap().sessions, 0);
    assert_eq!(state(&*store, &session).await, Some(SessionState::Revoked));
    db.pass_time(MINUTE + SECOND).await;
    assert_eq!(store.sweep(1000).await.unwrap().sessions, 1);
}

async fn a_secret_goes_after_its_overlap(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let session = sign_in(&*store, &alice).await;
    provision(&*store, &alice, &session).await.unwrap();
    let new = new_secret(&alice, &session).overlap(MINUTE);
    store.provision_client(new.clone()).await.unwrap();
    assert_eq!(store.sweep(1000).await.unwrap().secrets, 0);
    db.pass_time(MINUTE + SECOND).await;
    assert_eq!(store.sweep(1000).await.unwrap().secrets, 1);
    assert!(is_good(&*store, &alice, &secret_of(&new)).await);
}

async fn a_revocation_goes_after_a_day(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    store.revoke(&Revoke::User(alice.clone())).await.unwrap();
    db.pass_time(DAY - MINUTE).await;
    assert_eq!(store.sweep(1000).await.unwrap().revocations, 0);
    db.pass_time(MINUTE + SECOND).await;
    assert_eq!(store.sweep(1000).await.unwrap().revocations, 1);
    assert_eq!(db.count("revocations").await, 0);
}

async fn a_sweep_takes_at_most_its_limit_of_each_table(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    for _ in 0..5 {
        let short = changed(new_session(), |new| new.life = SECOND);
        let session = vouch(&*store, &alice, short).await.unwrap().id;
        code(&*store, &alice).await;
        started(&*store).await;
        store.revoke(&Revoke::Session(session)).await.unwrap();
    }
    let live = sign_in(&*store, &alice).await;
    for _ in 0..2 {
        provision(&*store, &alice, &live).await.unwrap();
    }
    db.pass_time(2 * DAY).await;
    let mut all = Swept::default();
    loop {
        let swept = store.sweep(2).await.unwrap();
        let of_each = [swept.codes, swept.sessions, swept.secrets, swept.revocations, swept.device_grants];
        assert!(of_each.iter().all(|n| *n <= 2));
        if swept.total() == 0 {
            break;
        }
        all += swept;
    }
    assert_eq!((all.codes, all.sessions, all.secrets, all.revocations), (5, 6, 2, 5));
    assert_eq!((all.device_grants, all.total()), (5, 23));
}

async fn refresh_tokens_go_with_their_session_and_no_sooner(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (session, first) = sign_in_to_stay(&*store, &alice).await;
    let (_, second) = rotate(&*store, first).await.unwrap();
    store.revoke(&Revoke::Session(session.clone())).await.unwrap();
    db.pass_time(2 * HOUR - MINUTE).await;
    assert_eq!(store.sweep(1000).await.unwrap().refresh_tokens, 0);
    assert!(store.refresh_status(&first).await.unwrap().is_some(), "a reuse would still be known");
    db.pass_time(MINUTE + SECOND).await;
    let swept = store.sweep(1000).await.unwrap();
    assert_eq!((swept.sessions, swept.refresh_tokens), (1, 2));
    assert_eq!((db.count("sessions").await, db.count("refresh_tokens").await), (0, 0));
    assert!(store.refresh_status(&second).await.unwrap().is_none());
}

async fn a_session_of_very_many_refresh_tokens_goes_in_small_steps(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (_, mut token) = sign_in_to_stay(&*store, &alice).await;
    for _ in 0..6 {
        token = rotate(&*store, token).await.unwrap().1;
    }
    sign_in(&*store, &alice).await;
    db.pass_time(2 * HOUR + SECOND).await;
    let steps = [(3, 1), (3, 0), (1, 1), (0, 0)];
    for (tokens, sessions) in steps {
        let swept = store.sweep(3).await.unwrap();
        assert_eq!((swept.refresh_tokens, swept.sessions), (tokens, sessions));
    }
}

/// Whatever became of it: until then its client is told that it has expired.
async fn a_device_grant_goes_an_hour_after_it_expired(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (waits, agreed, denied) =
        (started(&*store).await, allowed(&*store, &alice).await, started(&*store).await);
    store.decide_device_grant(no(&denied, &alice)).await.unwrap();
    let spent = allowed(&*store, &alice).await;
    store.poll_device_grant(poll(&spent)).await.unwrap();
    db.pass_time(HOUR + 9 * MINUTE).await;
    assert_eq!(store.sweep(1000).await.unwrap().device_grants, 0);
    for grant in [&waits, &agreed, &denied] {
        let told = store.poll_device_grant(poll(grant)).await;
        assert!(matches!(told, Err(PollDeviceGrantError::Expired)), "{told:?}");
    }
    db.pass_time(MINUTE + SECOND).await;
    assert_eq!(store.sweep(1000).await.unwrap().device_grants, 4);
    let told = store.poll_device_grant(poll(&waits)).await;
    assert!(matches!(told, Err(PollDeviceGrantError::Unknown)), "{told:?}");
}
