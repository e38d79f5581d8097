//! A refresh token that comes again: a lost answer is forgiven, and a theft is found.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bridge_auth::SessionId;
use bridge_auth::id::{ClientId, RefreshHash};
use bridge_auth::store::{
    OpenSession, OpenSessionError, Origin, RefreshRefusal, RefreshSessionError, Revoke, SessionLimit,
    SessionState, Store, WhenFull,
};
use futures_util::future::join_all;

use super::given::{
    DAY, HOUR, MINUTE, SECOND, changed, client_id, declared, is_good, new_session, open_hook, provision,
    refresh, refreshable, rotate, scopes, sign_in, sign_in_to_stay, state, user, vouch,
};
use super::refresh::refusal;
use crate::support::{Backend, Listed as _};

super::promises![
    attack_n6_two_processes_that_refresh_at_once_and_go_on_apart_stay_live,
    a_token_that_was_never_used_is_good_however_old_it_is,
    attack_n5_a_lost_answer_is_answered_again_after_minutes_and_after_days,
    what_a_lost_answer_brought_is_retired,
    answers_that_are_lost_again_and_again_are_forgiven,
    attack_n7_a_thief_after_the_owner_ends_the_session_with_what_it_provisioned,
    attack_n7_a_thief_before_the_owner_ends_it_once_both_have_used_theirs,
    attack_n7_a_thief_within_the_grace_ends_it_once_either_comes_back,
    without_grace_only_the_last_answer_is_good,
    a_stolen_older_token_revokes_the_session_whatever_it_asks_for,
    of_64_racers_on_one_token_all_are_answered_and_go_on,
    of_64_racers_after_a_lost_answer_all_are_answered_and_go_on,
    refreshing_against_revoking_leaves_no_live_session,
    refreshing_against_signing_in_again_leaves_one_family,
    refreshing_against_everything_else_is_always_answered,
];

async fn attack_n6_two_processes_that_refresh_at_once_and_go_on_apart_stay_live(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (session, token) = sign_in_to_stay(&*store, &alice).await;
    let (_, mut one) = rotate(&*store, token).await.unwrap();
    db.pass_time(29 * SECOND).await;
    let (_, mut two) = rotate(&*store, token).await.unwrap();
    for token in [one, two] {
        assert!(store.refresh_status(&token).await.unwrap().unwrap().is_unused);
    }
    for _ in 0..3 {
        one = rotate(&*store, one).await.unwrap().1;
        db.pass_time(10 * MINUTE).await;
        two = rotate(&*store, two).await.unwrap().1;
    }
    assert_eq!(state(&*store, &session).await, Some(SessionState::Live));
}

async fn a_token_that_was_never_used_is_good_however_old_it_is(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (session, token) = sign_in_to_stay(&*store, &alice).await;
    let (_, mut busy) = rotate(&*store, token).await.unwrap();
    let (_, idle) = rotate(&*store, token).await.unwrap();
    for _ in 0..20 {
        busy = rotate(&*store, busy).await.unwrap().1;
        db.pass_time(20 * MINUTE).await;
    }
    let (_, next) = rotate(&*store, idle).await.unwrap();
    rotate(&*store, next).await.unwrap();
    rotate(&*store, busy).await.unwrap();
    assert_eq!(state(&*store, &session).await, Some(SessionState::Live));
}

/// A session whose bridge may be asleep for two weeks.
async fn sign_in_for_weeks(store: &dyn Store, user: &bridge_auth::UserId) -> (SessionId, RefreshHash) {
    let (session, token) = refreshable(changed(new_session(), |new| new.life = 14 * DAY));
    (vouch(store, user, session).await.unwrap().id, token)
}

async fn attack_n5_a_lost_answer_is_answered_again_after_minutes_and_after_days(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    for asleep in [5 * SECOND, 35 * SECOND, 10 * MINUTE, HOUR, 3 * DAY] {
        let (session, token) = sign_in_for_weeks(&*store, &alice).await;
        let mut held = rotate(&*store, token).await.unwrap().1;
        for _ in 0..2 {
            // The answer never arrives.
            rotate(&*store, held).await.unwrap();
            db.pass_time(asleep).await;
            held = rotate(&*store, held).await.unwrap().1;
        }
        rotate(&*store, held).await.unwrap();
        assert_eq!(state(&*store, &session).await, Some(SessionState::Live), "{asleep:?}");
    }
}

async fn what_a_lost_answer_brought_is_retired(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (session, token) = sign_in_to_stay(&*store, &alice).await;
    let home = Origin::unknown().address([192, 0, 2, 1].into());
    let lost = refresh(token).origin(home.clone());
    store.refresh_session(lost.clone()).await.unwrap();
    db.pass_time(MINUTE).await;
    let again = refresh(token).origin(home);
    let came_back = SystemTime::now();
    store.refresh_session(again.clone()).await.unwrap();
    let unused = async |token| store.refresh_status(&token).await.unwrap().unwrap().is_unused;
    assert!(!unused(token).await && !unused(lost.successor).await && unused(again.successor).await);
    assert_eq!(state(&*store, &session).await, Some(SessionState::Live));

    let RefreshRefusal::Reused { user, session: ended, used_at, used_from } =
        refusal(rotate(&*store, lost.successor).await)
    else {
        panic!("not reused")
    };
    assert_eq!((&user, &ended, used_from), (&alice, &session, Some([192, 0, 2, 1].into())));
    assert!(used_at >= came_back - SECOND && used_at <= came_back + MINUTE);
    assert_eq!(refusal(rotate(&*store, again.successor).await), RefreshRefusal::SessionEnded);
}

async fn answers_that_are_lost_again_and_again_are_forgiven(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (session, token) = sign_in_for_weeks(&*store, &alice).await;
    for _ in 0..10 {
        rotate(&*store, token).await.unwrap();
        db.pass_time(HOUR).await;
    }
    let (_, next) = rotate(&*store, token).await.unwrap();
    rotate(&*store, next).await.unwrap();
    assert_eq!(state(&*store, &session).await, Some(SessionState::Live));
}

async fn attack_n7_a_thief_after_the_owner_ends_the_session_with_what_it_provisioned(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let other = sign_in(&*store, &alice).await;
    let (session, stolen) = sign_in_to_stay(&*store, &alice).await;
    let secret = provision(&*store, &alice, &session).await.unwrap();
    let hook = open_hook(&*store, &alice, secret).await.unwrap();
    let home = Origin::unknown().address([192, 0, 2, 1].into());
    let used = SystemTime::now();
    let own = refresh(stolen).origin(home);
    store.refresh_session(own.clone()).await.unwrap();
    let (_, next) = rotate(&*store, own.successor).await.unwrap();
    db.pass_time(31 * SECOND).await;
    let RefreshRefusal::Reused { user, session: ended, used_at, used_from } =
        refusal(rotate(&*store, stolen).await)
    else {
        panic!("not reused")
    };
    assert_eq!((&user, &ended, used_from), (&alice, &session, Some([192, 0, 2, 1].into())));
    assert!(used_at >= used - 32 * SECOND && used_at <= used - 31 * SECOND + MINUTE);
    for dead in [&session, &hook.id] {
        assert_eq!(state(&*store, dead).await, Some(SessionState::Revoked));
    }
    assert!(!is_good(&*store, &alice, &secret).await);
    assert_eq!(refusal(rotate(&*store, next).await), RefreshRefusal::SessionEnded);
    assert_eq!(state(&*store, &other).await, Some(SessionState::Live));
}

async fn attack_n7_a_thief_before_the_owner_ends_it_once_both_have_used_theirs(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    // The thief goes on, and then the owner comes.
    let (session, stolen) = sign_in_to_stay(&*store, &alice).await;
    let (_, thiefs) = rotate(&*store, stolen).await.unwrap();
    rotate(&*store, thiefs).await.unwrap();
    db.pass_time(MINUTE).await;
    assert!(matches!(refusal(rotate(&*store, stolen).await), RefreshRefusal::Reused { .. }));
    assert_eq!(state(&*store, &session).await, Some(SessionState::Revoked));
    // The owner comes, and then the thief goes on.
    let (session, stolen) = sign_in_to_stay(&*store, &alice).await;
    let (_, thiefs) = rotate(&*store, stolen).await.unwrap();
    db.pass_time(MINUTE).await;
    let (_, owners) = rotate(&*store, stolen).await.unwrap();
    rotate(&*store, owners).await.unwrap();
    assert!(matches!(refusal(rotate(&*store, thiefs).await), RefreshRefusal::Reused { .. }));
    assert_eq!(state(&*store, &session).await, Some(SessionState::Revoked));
}

/// Within the grace nobody can tell a thief from another program of the owner's, as long as each uses its own.
async fn attack_n7_a_thief_within_the_grace_ends_it_once_either_comes_back(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (session, stolen) = sign_in_to_stay(&*store, &alice).await;
    let (_, owners) = rotate(&*store, stolen).await.unwrap();
    rotate(&*store, stolen).await.unwrap();
    rotate(&*store, owners).await.unwrap();
    assert_eq!(state(&*store, &session).await, Some(SessionState::Live));
    db.pass_time(31 * SECOND).await;
    assert!(matches!(refusal(rotate(&*store, stolen).await), RefreshRefusal::Reused { .. }));
    assert_eq!(state(&*store, &session).await, Some(SessionState::Revoked));
}

async fn without_grace_only_the_last_answer_is_good(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (session, token) = sign_in_to_stay(&*store, &alice).await;
    let strictly = |token| refresh(token).grace(Duration::ZERO);
    let first = strictly(token);
    store.refresh_session(first.clone()).await.unwrap();
    store.refresh_session(strictly(token)).await.unwrap();
    let retired = store.refresh_session(strictly(first.successor)).await;
    assert!(matches!(refusal(retired), RefreshRefusal::Reused { .. }));
    assert_eq!(state(&*store, &session).await, Some(SessionState::Revoked));
}

async fn a_stolen_older_token_revokes_the_session_whatever_it_asks_for(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (session, stolen) = sign_in_to_stay(&*store, &alice).await;
    let mut token = stolen;
    for _ in 0..3 {
        token = rotate(&*store, token).await.unwrap().1;
    }
    db.pass_time(MINUTE).await;
    let greedy = refresh(stolen).scopes(scopes("admin"));
    assert!(matches!(refusal(store.refresh_session(greedy).await), RefreshRefusal::Reused { .. }));
    assert_eq!(state(&*store, &session).await, Some(SessionState::Revoked));
    assert_eq!(refusal(rotate(&*store, token).await), RefreshRefusal::SessionEnded);
}

/// Each of 64 gets an answer of its own, and goes on with it long after the grace.
async fn race(nodes: &[Arc<dyn Store>; 2], db: &impl Backend, session: &SessionId, token: RefreshHash) {
    let racers = (0..64).map(|n| {
        let node = Arc::clone(&nodes[n % 2]);
        tokio::spawn(async move { rotate(&*node, token).await.unwrap() })
    });
    let answers: Vec<_> = join_all(racers).await.into_iter().map(Result::unwrap).collect();
    assert!(answers.iter().all(|(refreshed, _)| refreshed.id == *session));
    assert_eq!(db.count("sessions").await, 1);
    db.pass_time(MINUTE).await;
    for (_, token) in &answers {
        assert!(nodes[0].refresh_status(token).await.unwrap().unwrap().is_unused);
        let (_, next) = rotate(&*nodes[1], *token).await.unwrap();
        rotate(&*nodes[0], next).await.unwrap();
    }
    assert_eq!(state(&*nodes[1], session).await, Some(SessionState::Live));
    // And the token that they raced on is not good for ever.
    db.pass_time(MINUTE).await;
    assert!(matches!(refusal(rotate(&*nodes[0], token).await), RefreshRefusal::Reused { .. }));
    assert_eq!(state(&*nodes[1], session).await, Some(SessionState::Revoked));
}

async fn of_64_racers_on_one_token_all_are_answered_and_go_on(db: impl Backend) {
    let nodes = [db.open().await, db.open().await];
    let alice = user(&*nodes[0], "alice").await;
    let (session, token) = sign_in_to_stay(&*nodes[0], &alice).await;
    race(&nodes, &db, &session, token).await;
}

async fn of_64_racers_after_a_lost_answer_all_are_answered_and_go_on(db: impl Backend) {
    let nodes = [db.open().await, db.open().await];
    let alice = user(&*nodes[0], "alice").await;
    let (session, token) = sign_in_for_weeks(&*nodes[0], &alice).await;
    rotate(&*nodes[0], token).await.unwrap();
    db.pass_time(2 * DAY).await;
    race(&nodes, &db, &session, token).await;
}

async fn refreshing_against_revoking_leaves_no_live_session(db: impl Backend) {
    let nodes = [db.open().await, db.open().await];
    for round in 0..20 {
        let alice = user(&*nodes[0], &format!("alice-{round}")).await;
        let (session, token) = sign_in_to_stay(&*nodes[0], &alice).await;
        let refreshing = (0..4).map(|_| {
            let node = Arc::clone(&nodes[0]);
            tokio::spawn(async move { rotate(&*node, token).await })
        });
        let refreshing: Vec<_> = refreshing.collect();
        let target = match round % 3 {
            0 => Revoke::Session(session.clone()),
            1 => Revoke::User(alice.clone()),
            _ => Revoke::Client(client_id("sp_bridge")),
        };
        nodes[1].revoke(&target).await.unwrap();
        assert_eq!(state(&*nodes[1], &session).await, Some(SessionState::Revoked));
        let mut tokens = vec![token];
        for answer in join_all(refreshing).await {
            match answer.unwrap() {
                Ok((_, token)) => tokens.push(token),
                refused => assert_eq!(refusal(refused), RefreshRefusal::SessionEnded),
            }
        }
        for token in tokens {
            assert_eq!(refusal(rotate(&*nodes[0], token).await), RefreshRefusal::SessionEnded);
        }
        assert_eq!(state(&*nodes[0], &session).await, Some(SessionState::Revoked));
    }
}

async fn refreshing_against_signing_in_again_leaves_one_family(db: impl Backend) {
    let nodes: [Arc<dyn Store>; 2] = [db.open().await, db.open().await];
    let alice = user(&*nodes[0], "alice").await;
    let (session, mut token) = refreshable(declared("laptop"));
    vouch(&*nodes[0], &alice, session).await.unwrap();
    for _ in 0..20 {
        let (session, next) = refreshable(declared("laptop"));
        let open = OpenSession::Vouched { user: alice.clone(), scopes: scopes("read"), session };
        let (refreshed, opened) = tokio::join!(rotate(&*nodes[0], token), nodes[1].open_session(open));
        opened.unwrap();
        let outcome = refreshed.map(|(_, token)| token);
        for forgotten in outcome.ok().into_iter().chain([token]) {
            assert_eq!(refusal(rotate(&*nodes[0], forgotten).await), RefreshRefusal::Unknown);
        }
        token = next;
    }
    assert_eq!(rotate(&*nodes[0], token).await.unwrap().0.id, SessionId::parse("laptop").unwrap());
}

/// Every order of locks meets every other, across two people; a deadlock would be a fault of the store.
async fn refreshing_against_everything_else_is_always_answered(db: impl Backend) {
    let nodes = [db.open().await, db.open().await];
    let people = [user(&*nodes[0], "alice").await, user(&*nodes[0], "bob").await];
    let callers = (0..8_usize).map(|caller| {
        let (store, person) = (Arc::clone(&nodes[caller % 2]), people[caller / 2 % 2].clone());
        tokio::spawn(async move {
            for round in 0..12 {
                let limit = SessionLimit::new(3, WhenFull::Evict);
                let (session, token) = refreshable(new_session().limit(limit));
                // Whoever was disabled just now is enabled again.
                store.enable_user(&person).await.unwrap();
                let session = match vouch(&*store, &person, session).await {
                    Ok(opened) => opened.id,
                    Err(OpenSessionError::UserDisabled) => continue,
                    Err(fault) => panic!("{fault:?}"),
                };
                if let Ok(secret) = provision(&*store, &person, &session).await {
                    let hook = open_hook(&*store, &person, secret).await;
                    assert!(!matches!(hook, Err(OpenSessionError::Store(_))), "{hook:?}");
                }
                let reused = refresh(token).grace(Duration::ZERO);
                for answer in [
                    rotate(&*store, token).await.map(drop),
                    rotate(&*store, token).await.map(drop),
                    if round % 2 == 0 { store.refresh_session(reused).await.map(drop) } else { Ok(()) },
                ] {
                    assert!(!matches!(answer, Err(RefreshSessionError::Store(_))), "{answer:?}");
                }
                match (caller + round) % 6 {
                    0 => drop(store.revoke(&Revoke::Client(client_id("sp_bridge"))).await.unwrap()),
                    1 => drop(store.revoke(&Revoke::Client(ClientId::for_hooks_of(&person))).await.unwrap()),
                    2 => drop(store.revoke(&Revoke::Session(session)).await.unwrap()),
                    3 => drop(store.disable_user(&person).await.unwrap()),
                    _ => drop(store.sweep(100).await.unwrap()),
                }
            }
        })
    });
    for caller in join_all(callers.collect::<Vec<_>>()).await {
        caller.unwrap();
    }
    for person in &people {
        assert!(nodes[0].disable_user(person).await.unwrap());
        assert!(nodes[1].sessions_of(person).await.unwrap().is_empty());
    }
}
