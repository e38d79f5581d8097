//! Codes are issued.

use std::time::SystemTime;

use bridge_auth::UserId;
use bridge_auth::store::{GrantRefusal, IssueCodeError, NewCode, RedeemError, Store};

use super::given::{MINUTE, SECOND, code, new_code, redeem, scopes, user};
use crate::support::{Backend, known};

super::promises![
    a_code_needs_a_known_user,
    a_code_needs_an_enabled_user,
    a_code_expires_by_the_clock_of_the_database,
    beyond_the_cap_the_oldest_codes_die,
    the_cap_is_one_users,
    spent_and_expired_codes_take_no_place,
    making_a_user_known_again_changes_the_scopes_and_enables_nobody,
];

async fn a_code_needs_a_known_user(db: impl Backend) {
    let nobody = UserId::parse("nobody").unwrap();
    let refused = db.open().await.issue_code(new_code(&nobody)).await;
    assert!(matches!(refused, Err(IssueCodeError::UnknownUser)), "{refused:?}");
    assert_eq!(db.count("codes").await, 0);
}

async fn a_code_needs_an_enabled_user(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    assert!(store.disable_user(&alice).await.unwrap());
    let refused = store.issue_code(new_code(&alice)).await;
    assert!(matches!(refused, Err(IssueCodeError::UserDisabled)), "{refused:?}");
    assert!(store.enable_user(&alice).await.unwrap());
    let code = code(&*store, &alice).await;
    store.redeem_code(redeem(code)).await.unwrap();
}

async fn a_code_expires_by_the_clock_of_the_database(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (early, late) = (new_code(&alice), new_code(&alice));
    let before = SystemTime::now();
    let expires_at = store.issue_code(early.clone()).await.unwrap();
    store.issue_code(late.clone()).await.unwrap();
    assert!(
        expires_at >= before + 2 * MINUTE - SECOND && expires_at <= SystemTime::now() + 2 * MINUTE + SECOND
    );
    db.pass_time(2 * MINUTE - 30 * SECOND).await;
    store.redeem_code(redeem(early.hash)).await.unwrap();
    db.pass_time(30 * SECOND).await;
    assert_expired(&*store, &late).await;
}

async fn beyond_the_cap_the_oldest_codes_die(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let codes: Vec<_> = (0..5).map(|_| new_code(&alice).max_open(3)).collect();
    for code in &codes {
        store.issue_code(code.clone()).await.unwrap();
        db.pass_time(SECOND).await;
    }
    for dead in &codes[..2] {
        let refused = store.redeem_code(redeem(dead.hash)).await;
        assert!(
            matches!(refused, Err(RedeemError::Refused(GrantRefusal::Unknown | GrantRefusal::Expired))),
            "{refused:?}"
        );
    }
    for open in &codes[2..] {
        store.redeem_code(redeem(open.hash)).await.unwrap();
    }
}

async fn the_cap_is_one_users(db: impl Backend) {
    let store = db.open().await;
    let (alice, bob) = (user(&*store, "alice").await, user(&*store, "bob").await);
    let only = |user| new_code(user).max_open(1);
    let (hers, his) = (only(&alice), only(&bob));
    store.issue_code(hers.clone()).await.unwrap();
    store.issue_code(his).await.unwrap();
    store.redeem_code(redeem(hers.hash)).await.unwrap();
}

async fn spent_and_expired_codes_take_no_place(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let mut codes: Vec<_> = (0..4).map(|_| new_code(&alice).max_open(2)).collect();
    codes[0].life = SECOND;
    store.issue_code(codes[0].clone()).await.unwrap();
    db.pass_time(SECOND).await;
    store.issue_code(codes[1].clone()).await.unwrap();
    db.pass_time(SECOND).await;
    store.issue_code(codes[2].clone()).await.unwrap();
    store.redeem_code(redeem(codes[2].hash)).await.unwrap();
    store.issue_code(codes[3].clone()).await.unwrap();
    assert_expired(&*store, &codes[0]).await;
    store.redeem_code(redeem(codes[1].hash)).await.unwrap();
    store.redeem_code(redeem(codes[3].hash)).await.unwrap();
}

async fn making_a_user_known_again_changes_the_scopes_and_enables_nobody(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let before = code(&*store, &alice).await;
    store.put_user(&known(&alice, &scopes("read"))).await.unwrap();
    let opened = store.redeem_code(redeem(before)).await.unwrap();
    assert_eq!(opened.scopes, scopes("read"));
    store.disable_user(&alice).await.unwrap();
    store.put_user(&known(&alice, &scopes("read"))).await.unwrap();
    let refused = store.issue_code(new_code(&alice)).await;
    assert!(matches!(refused, Err(IssueCodeError::UserDisabled)), "{refused:?}");
}

async fn assert_expired(store: &dyn Store, code: &NewCode) {
    let refused = store.redeem_code(redeem(code.hash)).await;
    assert!(matches!(refused, Err(RedeemError::Refused(GrantRefusal::Expired))), "{refused:?}");
}
