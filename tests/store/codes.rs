//! Codes are issued.

use std::sync::Arc;
use std::time::SystemTime;

use bridge_auth::UserId;
use bridge_auth::id::{AssertionHash, ClientId};
use bridge_auth::store::{GrantRefusal, IssueCodeError, NewCode, RedeemError, Store};
use futures_util::future::join_all;

use super::given::{MINUTE, SECOND, changed, code, new_code, redeem, scopes, user};
use crate::support::{Backend, known};

super::promises![
    a_code_needs_a_known_user,
    a_code_needs_an_enabled_user,
    a_code_expires_by_the_clock_of_the_database,
    beyond_the_cap_the_oldest_codes_die,
    the_cap_is_one_users,
    spent_and_expired_codes_take_no_place,
    making_a_user_known_again_changes_the_scopes_and_enables_nobody,
    a_ticket_is_spent_with_its_code_and_once,
    of_64_codes_with_one_ticket_one_is_issued,
    a_code_that_is_refused_spends_no_ticket,
    a_ticket_is_remembered_for_its_life,
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

async fn a_ticket_is_spent_with_its_code_and_once(db: impl Backend) {
    let store = db.open().await;
    let (alice, bob) = (user(&*store, "alice").await, user(&*store, "bob").await);
    let (first, second) = (ticket("1"), ticket("2"));
    let good = new_code(&alice).ticket(first, MINUTE);
    store.issue_code(good.clone()).await.unwrap();
    for person in [&alice, &bob] {
        let again = new_code(person).ticket(first, MINUTE);
        assert_ticket_used(&store.issue_code(again.clone()).await);
        let refused = store.redeem_code(redeem(again.hash)).await;
        assert!(matches!(refused, Err(RedeemError::Refused(GrantRefusal::Unknown))), "{refused:?}");
    }
    assert_eq!(db.count("codes").await, 1);
    assert!(!store.spend_assertion(&first, MINUTE).await.unwrap(), "it counts as used");
    assert!(store.spend_assertion(&second, MINUTE).await.unwrap());
    assert_ticket_used(&store.issue_code(new_code(&alice).ticket(second, MINUTE)).await);
    store.redeem_code(redeem(good.hash)).await.unwrap();
}

async fn of_64_codes_with_one_ticket_one_is_issued(db: impl Backend) {
    let nodes = [db.open().await, db.open().await];
    let people = [user(&*nodes[0], "alice").await, user(&*nodes[0], "bob").await];
    let racers = (0..64).map(|n| {
        let node = Arc::clone(&nodes[n % 2]);
        let code = new_code(&people[n / 2 % 2]).ticket(ticket("raced"), MINUTE);
        tokio::spawn(async move { node.issue_code(code).await })
    });
    let (won, lost): (Vec<_>, Vec<_>) =
        join_all(racers).await.into_iter().map(Result::unwrap).partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 63));
    lost.iter().for_each(assert_ticket_used);
    assert_eq!(db.count("codes").await, 1);
}

async fn a_code_that_is_refused_spends_no_ticket(db: impl Backend) {
    let store = db.open().await;
    let (nobody, alice) = (UserId::parse("nobody").unwrap(), user(&*store, "alice").await);
    let with = |person| new_code(person).ticket(ticket("kept"), MINUTE);
    store.issue_code(with(&nobody)).await.unwrap_err();
    store.disable_user(&alice).await.unwrap();
    store.issue_code(with(&alice)).await.unwrap_err();
    store.enable_user(&alice).await.unwrap();
    let stored = code(&*store, &alice).await;
    let fails = changed(with(&alice), |new| new.hash = stored);
    let failed = store.issue_code(fails).await;
    assert!(matches!(failed, Err(IssueCodeError::Store(_))), "a code of this hash is stored: {failed:?}");
    store.issue_code(with(&alice)).await.unwrap();
}

async fn a_ticket_is_remembered_for_its_life(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let with = |life| new_code(&alice).ticket(ticket("long"), life);
    store.issue_code(with(10 * MINUTE)).await.unwrap();
    db.pass_time(9 * MINUTE).await;
    store.sweep(100).await.unwrap();
    assert_ticket_used(&store.issue_code(with(MINUTE)).await);
    db.pass_time(MINUTE).await;
    assert_eq!(store.sweep(100).await.unwrap().assertions, 1);
}

fn ticket(jti: &str) -> AssertionHash {
    AssertionHash::of(&ClientId::parse("ticket").unwrap(), jti)
}

fn assert_ticket_used(answer: &Result<SystemTime, IssueCodeError>) {
    assert!(matches!(answer, Err(IssueCodeError::TicketUsed)), "{answer:?}");
}

async fn assert_expired(store: &dyn Store, code: &NewCode) {
    let refused = store.redeem_code(redeem(code.hash)).await;
    assert!(matches!(refused, Err(RedeemError::Refused(GrantRefusal::Expired))), "{refused:?}");
}
