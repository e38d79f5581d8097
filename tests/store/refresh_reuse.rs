//! A refresh token that comes again: forgiven within the grace, and a theft after it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bridge_auth::store::{
    NewSession, OpenSession, OpenSessionError, RefreshRefusal, RefreshSession, RefreshSessionError, Revoke,
    SessionLimit, SessionState, Store, WhenFull,
};
use bridge_auth::{ClientId, SessionId};
use futures_util::future::join_all;

use super::given::{
    MINUTE, SECOND, client_id, declared, is_good, new_session, open_hook, provision, refresh, refreshable,
    rotate, scopes, sign_in, sign_in_to_stay, state, user, vouch,
};
use super::refresh::refusal;
use crate::support::Backend;

super::promises![
    within_the_grace_a_used_token_gets_another_successor,
    after_the_grace_a_used_token_revokes_the_session_with_what_it_provisioned,
    without_grace_a_second_use_is_one_too_many,
    a_stolen_older_token_revokes_the_session_whatever_it_asks_for,
    of_64_racers_on_one_token_all_are_answered_and_one_family_lives_on,
    refreshing_against_revoking_leaves_no_live_session,
    refreshing_against_signing_in_again_leaves_one_family,
    refreshing_against_everything_else_is_always_answered,
];

async fn within_the_grace_a_used_token_gets_another_successor(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (session, token) = sign_in_to_stay(&*store, &alice).await;
    let (_, lost) = rotate(&*store, token).await.unwrap();
    db.pass_time(29 * SECOND).await;
    let (_, found) = rotate(&*store, token).await.unwrap();
    // Both are of the newest generation; the grace counts from when it was made.
    for token in [lost, found] {
        assert!(store.refresh_status(&token).await.unwrap().unwrap().is_newest);
    }
    let (_, next) = rotate(&*store, found).await.unwrap();
    rotate(&*store, lost).await.unwrap();
    assert_eq!(state(&*store, &session).await, Some(SessionState::Live));
    // That of two generations before has no grace.
    assert!(matches!(refusal(rotate(&*store, token).await), RefreshRefusal::Reused { .. }));
    assert_eq!(refusal(rotate(&*store, next).await), RefreshRefusal::SessionEnded);
}

async fn after_the_grace_a_used_token_revokes_the_session_with_what_it_provisioned(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let other = sign_in(&*store, &alice).await;
    let (session, token) = sign_in_to_stay(&*store, &alice).await;
    let secret = provision(&*store, &alice, &session).await.unwrap();
    let hook = open_hook(&*store, &alice, secret).await.unwrap();
    let rotated = SystemTime::now();
    let (_, next) = rotate(&*store, token).await.unwrap();
    db.pass_time(31 * SECOND).await;
    let RefreshRefusal::Reused { user, session: ended, rotated_at } = refusal(rotate(&*store, token).await)
    else {
        panic!("not reused")
    };
    assert_eq!((&user, &ended), (&alice, &session));
    assert!(rotated_at >= rotated - 32 * SECOND && rotated_at <= rotated - 31 * SECOND + MINUTE);
    for dead in [&session, &hook.id] {
        assert_eq!(state(&*store, dead).await, Some(SessionState::Revoked));
    }
    assert!(!is_good(&*store, &alice, &secret).await);
    assert_eq!(refusal(rotate(&*store, next).await), RefreshRefusal::SessionEnded);
    assert_eq!(state(&*store, &other).await, Some(SessionState::Live));
}

async fn without_grace_a_second_use_is_one_too_many(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (session, token) = sign_in_to_stay(&*store, &alice).await;
    rotate(&*store, token).await.unwrap();
    let again = RefreshSession { grace: Duration::ZERO, ..refresh(token) };
    assert!(matches!(refusal(store.refresh_session(again).await), RefreshRefusal::Reused { .. }));
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
    let greedy = RefreshSession { scopes: Some(scopes("admin")), ..refresh(stolen) };
    assert!(matches!(refusal(store.refresh_session(greedy).await), RefreshRefusal::Reused { .. }));
    assert_eq!(state(&*store, &session).await, Some(SessionState::Revoked));
    assert_eq!(refusal(rotate(&*store, token).await), RefreshRefusal::SessionEnded);
}

async fn of_64_racers_on_one_token_all_are_answered_and_one_family_lives_on(db: impl Backend) {
    let nodes = [db.open().await, db.open().await];
    let alice = user(&*nodes[0], "alice").await;
    let (session, token) = sign_in_to_stay(&*nodes[0], &alice).await;
    let racers = (0..64).map(|n| {
        let node = Arc::clone(&nodes[n % 2]);
        tokio::spawn(async move { rotate(&*node, token).await.unwrap() })
    });
    let answers: Vec<_> = join_all(racers).await.into_iter().map(Result::unwrap).collect();
    assert!(answers.iter().all(|(refreshed, _)| refreshed.id == session));
    assert_eq!(db.count("sessions").await, 1);
    assert_eq!(db.count("refresh_tokens").await, 65);
    // One generation, of which any goes on and none outlives the next but one.
    for (_, token) in &answers {
        assert!(nodes[0].refresh_status(token).await.unwrap().unwrap().is_newest);
    }
    let (_, next) = rotate(&*nodes[1], answers[63].1).await.unwrap();
    rotate(&*nodes[1], next).await.unwrap();
    assert!(matches!(refusal(rotate(&*nodes[0], answers[0].1).await), RefreshRefusal::Reused { .. }));
    assert_eq!(state(&*nodes[1], &session).await, Some(SessionState::Revoked));
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
                let limit = SessionLimit { max: 3, when_full: WhenFull::EndOldest };
                let (session, token) = refreshable(NewSession { limit, ..new_session() });
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
                let reused = RefreshSession { grace: Duration::ZERO, ..refresh(token) };
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
