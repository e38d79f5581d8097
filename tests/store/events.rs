//! An event of an external issuer, and an assertion that opens a session, are worth something once.

use std::sync::Arc;
use std::time::SystemTime;

use bridge_auth::id::AssertionHash;
use bridge_auth::store::{
    EventAction, EventOutcome, NewSession, OpenSessionError, OpenedSession, Origin, Revocation,
    RevocationCursor, Revoke, SecurityEvent, SessionLimit, SessionState, SpentAssertion, WhenFull,
};
use bridge_auth::{SessionId, UserId};
use futures_util::future::join_all;

use super::delegated::{agent, exchange, hang};
use super::given::{
    HOUR, MINUTE, SECOND, changed, client_id, code, declared, new_session, redeem, scopes, sign_in, state,
    user, vouch,
};
use crate::support::{Backend, Listed as _, known};

super::promises![
    an_event_ends_everything_once_and_nothing_later,
    an_event_does_what_the_call_of_its_action_does,
    of_many_calls_with_one_event_one_does_it_and_the_others_answer_after_it,
    an_event_about_nobody_is_remembered_too,
    whoever_is_disabled_before_they_are_known_stays_out,
    what_was_issued_before_somebody_unknown_was_revoked_opens_nothing,
    a_person_who_is_known_is_not_added_again,
    a_reusable_assertion_is_good_until_all_of_its_user_is_revoked,
    an_event_is_forgotten_after_its_life_and_swept,
    an_event_is_in_the_log_as_any_revocation,
    two_events_of_one_person_at_once_are_both_done,
    an_assertion_opens_one_session_whoever_presents_it,
    a_call_that_is_refused_spends_no_assertion,
    an_assertion_from_before_everything_was_revoked_opens_nothing,
    a_delegated_session_spends_an_assertion_too,
    the_issuer_and_the_resource_of_an_assertion_stay_with_its_session,
];

fn event(action: EventAction) -> SecurityEvent {
    SecurityEvent::new(hash(), HOUR, action)
}

fn hash() -> AssertionHash {
    AssertionHash::of(&client_id("issuer"), SessionId::random().as_str())
}

/// An assertion that was issued a second from now: so it is younger than what happened until now, in any database's clock.
fn assertion() -> SpentAssertion {
    issued_at(SystemTime::now() + SECOND)
}

fn issued_at(time: SystemTime) -> SpentAssertion {
    SpentAssertion::new(hash(), 5 * MINUTE, time)
}

fn asserted(assertion: SpentAssertion) -> NewSession {
    new_session().assertion(assertion)
}

fn is_used(answer: &Result<OpenedSession, OpenSessionError>) -> bool {
    matches!(answer, Err(OpenSessionError::AssertionUsed))
}

async fn an_event_ends_everything_once_and_nothing_later(db: impl Backend) {
    let nodes = [db.open().await, db.open().await];
    let alice = user(&*nodes[0], "alice").await;
    let device = sign_in(&*nodes[0], &alice).await;
    let child = hang(&*nodes[0], &alice, &device, "planner").await;
    let open = code(&*nodes[0], &alice).await;
    let event = event(EventAction::Revoke(Revoke::User(alice.clone())));
    assert_eq!(nodes[0].apply_event(&event).await.unwrap(), EventOutcome::Done(Some(2)));
    for session in [&device, &child] {
        assert_eq!(state(&*nodes[1], session).await, Some(SessionState::Revoked));
    }
    nodes[1].redeem_code(redeem(open)).await.unwrap_err();
    let later = sign_in(&*nodes[1], &alice).await;
    for node in &nodes {
        assert_eq!(node.apply_event(&event).await.unwrap(), EventOutcome::DoneBefore);
    }
    assert_eq!(state(&*nodes[0], &later).await, Some(SessionState::Live));
}

async fn an_event_does_what_the_call_of_its_action_does(db: impl Backend) {
    let store = db.open().await;
    let (alice, bob) = (user(&*store, "alice").await, user(&*store, "bob").await);
    let apply = async |action| store.apply_event(&event(action)).await.unwrap();
    let revoke = async |target| apply(EventAction::Revoke(target)).await;
    let (one, two) = (sign_in(&*store, &alice).await, sign_in(&*store, &alice).await);
    let child = hang(&*store, &alice, &one, "planner").await;
    let foreign = Revoke::SessionOf { user: bob.clone(), session: one.clone() };
    assert_eq!(revoke(foreign).await, EventOutcome::Done(None));
    assert_eq!(revoke(Revoke::Session(child)).await, EventOutcome::Done(Some(1)));
    let own = Revoke::SessionOf { user: alice.clone(), session: one.clone() };
    assert_eq!(revoke(own).await, EventOutcome::Done(Some(1)));
    assert_eq!(state(&*store, &two).await, Some(SessionState::Live));
    let three = sign_in(&*store, &alice).await;
    let others = Revoke::Others { user: alice.clone(), keep: three.clone() };
    assert_eq!(revoke(others).await, EventOutcome::Done(Some(1)));
    let his = sign_in(&*store, &bob).await;
    assert_eq!(revoke(Revoke::Client(client_id("sp_bridge"))).await, EventOutcome::Done(Some(2)));
    assert_eq!(state(&*store, &his).await, Some(SessionState::Revoked));
    sign_in(&*store, &alice).await;
    assert_eq!(apply(EventAction::Disable(alice.clone())).await, EventOutcome::Done(Some(1)));
    assert!(matches!(vouch(&*store, &alice, new_session()).await, Err(OpenSessionError::UserDisabled)));
    sign_in(&*store, &bob).await;
}

async fn whoever_is_disabled_before_they_are_known_stays_out(db: impl Backend) {
    let store = db.open().await;
    let late = UserId::parse("late").unwrap();
    let disable = event(EventAction::Disable(late.clone()));
    assert_eq!(store.apply_event(&disable).await.unwrap(), EventOutcome::Done(None));
    user(&*store, "late").await;
    assert!(matches!(vouch(&*store, &late, new_session()).await, Err(OpenSessionError::UserDisabled)));
    assert!(store.enable_user(&late).await.unwrap());
    assert_eq!(store.apply_event(&disable).await.unwrap(), EventOutcome::DoneBefore);
    sign_in(&*store, &late).await;
}

async fn what_was_issued_before_somebody_unknown_was_revoked_opens_nothing(db: impl Backend) {
    let store = db.open().await;
    let late = UserId::parse("late").unwrap();
    let (before, revoke) =
        (issued_at(SystemTime::now() - SECOND), EventAction::Revoke(Revoke::User(late.clone())));
    assert_eq!(store.apply_event(&event(revoke)).await.unwrap(), EventOutcome::Done(None));
    store.add_user(&known(&late, &scopes("read"))).await.unwrap();
    assert!(is_used(&vouch(&*store, &late, asserted(before)).await));
    vouch(&*store, &late, asserted(assertion())).await.unwrap();
    // Somebody else is known from the beginning.
    let other = UserId::parse("other").unwrap();
    store.add_user(&known(&other, &scopes("read"))).await.unwrap();
    vouch(&*store, &other, asserted(issued_at(SystemTime::now() - SECOND))).await.unwrap();
}

async fn a_person_who_is_known_is_not_added_again(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    store.add_user(&known(&alice, &scopes("nothing"))).await.unwrap();
    let opened = vouch(&*store, &alice, new_session()).await.unwrap();
    assert!(!opened.scopes.is_empty() && opened.scopes != scopes("nothing"), "{:?}", opened.scopes);
    assert!(store.disable_user(&alice).await.unwrap());
    store.add_user(&known(&alice, &scopes("read"))).await.unwrap();
    assert!(matches!(vouch(&*store, &alice, new_session()).await, Err(OpenSessionError::UserDisabled)));
}

async fn a_reusable_assertion_is_good_until_all_of_its_user_is_revoked(db: impl Backend) {
    let store = db.open().await;
    let robot = user(&*store, "robot").await;
    let reusable = SpentAssertion::reusable(SystemTime::now() - SECOND);
    for _ in 0..2 {
        vouch(&*store, &robot, asserted(reusable)).await.unwrap();
    }
    assert!(store.disable_user(&robot).await.unwrap() && store.enable_user(&robot).await.unwrap());
    assert!(is_used(&vouch(&*store, &robot, asserted(reusable)).await));
    let newer = SpentAssertion::reusable(SystemTime::now() + SECOND);
    vouch(&*store, &robot, asserted(newer)).await.unwrap();
}

/// Whoever is answered may rely on it: each of the calls looks at once.
async fn of_many_calls_with_one_event_one_does_it_and_the_others_answer_after_it(db: impl Backend) {
    let nodes = [db.open().await, db.open().await];
    let alice = user(&*nodes[0], "alice").await;
    for round in 0..4 {
        let device = sign_in(&*nodes[0], &alice).await;
        let action = match round % 2 {
            0 => Revoke::User(alice.clone()),
            _ => Revoke::Session(device.clone()),
        };
        let event = event(EventAction::Revoke(action));
        let calls = (0..64).map(|n| {
            let (node, event, device) = (Arc::clone(&nodes[n % 2]), event.clone(), device.clone());
            tokio::spawn(async move {
                let outcome = node.apply_event(&event).await.unwrap();
                assert_eq!(state(&*node, &device).await, Some(SessionState::Revoked), "{outcome:?}");
                outcome
            })
        });
        let outcomes: Vec<_> = join_all(calls.collect::<Vec<_>>()).await;
        let outcomes: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
        let done = outcomes.iter().filter(|outcome| **outcome == EventOutcome::Done(Some(1))).count();
        let before = outcomes.iter().filter(|outcome| **outcome == EventOutcome::DoneBefore).count();
        assert_eq!((done, before), (1, 63));
    }
}

async fn an_event_about_nobody_is_remembered_too(db: impl Backend) {
    let store = db.open().await;
    let nobody = UserId::parse("nobody").unwrap();
    let declared = declared("laptop");
    let about = [
        EventAction::Revoke(Revoke::User(nobody.clone())),
        EventAction::Revoke(Revoke::Session(declared.id.id().clone())),
    ];
    let events = about.map(event);
    for event in &events {
        assert_eq!(store.apply_event(event).await.unwrap(), EventOutcome::Done(None));
    }
    let nobody = user(&*store, "nobody").await;
    let session = vouch(&*store, &nobody, declared).await.unwrap().id;
    for event in &events {
        assert_eq!(store.apply_event(event).await.unwrap(), EventOutcome::DoneBefore);
    }
    assert_eq!(state(&*store, &session).await, Some(SessionState::Live));
}

async fn an_event_is_forgotten_after_its_life_and_swept(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let event = event(EventAction::Revoke(Revoke::User(alice.clone())));
    store.apply_event(&event).await.unwrap();
    db.pass_time(HOUR - MINUTE).await;
    assert_eq!(store.sweep(100).await.unwrap().assertions, 0);
    assert_eq!(store.apply_event(&event).await.unwrap(), EventOutcome::DoneBefore);
    db.pass_time(MINUTE).await;
    assert_eq!(store.sweep(100).await.unwrap().assertions, 1);
    assert_eq!(store.apply_event(&event).await.unwrap(), EventOutcome::Done(Some(0)));
}

async fn an_event_is_in_the_log_as_any_revocation(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let device = sign_in(&*store, &alice).await;
    let child = hang(&*store, &alice, &device, "planner").await;
    let mut hints = store.revocation_hints().expect("both stores send them");
    hints.mark_unchanged();
    let here = store.revocations_since(&RevocationCursor::default(), 1000).await.unwrap().next;
    let one = event(EventAction::Revoke(Revoke::Session(device.clone())));
    let all = event(EventAction::Disable(alice.clone()));
    for event in [&one, &all] {
        store.apply_event(event).await.unwrap();
    }
    tokio::time::timeout(10 * SECOND, hints.changed()).await.expect("a hint comes").unwrap();
    let logged = store.revocations_since(&here, 1000).await.unwrap().entries.unwrap();
    assert_eq!(logged.len(), 3, "{logged:?}");
    for expected in [Revocation::Session(device), Revocation::Session(child), Revocation::User(alice)] {
        assert!(logged.contains(&expected), "{expected:?} {logged:?}");
    }
}

async fn two_events_of_one_person_at_once_are_both_done(db: impl Backend) {
    let nodes = [db.open().await, db.open().await];
    let alice = user(&*nodes[0], "alice").await;
    for _ in 0..10 {
        let devices = [sign_in(&*nodes[0], &alice).await, sign_in(&*nodes[0], &alice).await];
        let [one, two] = devices.clone().map(|device| event(EventAction::Revoke(Revoke::Session(device))));
        let all = event(EventAction::Revoke(Revoke::User(alice.clone())));
        let (one, two, all) =
            tokio::join!(nodes[0].apply_event(&one), nodes[1].apply_event(&two), nodes[1].apply_event(&all));
        let sum = [one, two, all].into_iter().map(|outcome| match outcome.unwrap() {
            EventOutcome::Done(Some(revoked)) => revoked,
            other => panic!("{other:?}"),
        });
        assert_eq!(sum.sum::<u64>(), 2);
    }
}

async fn an_assertion_opens_one_session_whoever_presents_it(db: impl Backend) {
    let nodes = [db.open().await, db.open().await];
    let people = [user(&*nodes[0], "alice").await, user(&*nodes[0], "bob").await];
    let assertion = assertion();
    let calls = (0..64).map(|n| {
        let (node, person) = (Arc::clone(&nodes[n % 2]), people[n / 2 % 2].clone());
        tokio::spawn(async move { vouch(&*node, &person, asserted(assertion)).await })
    });
    let answers = join_all(calls.collect::<Vec<_>>()).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert_eq!(answers.iter().filter(|answer| is_used(answer)).count(), 63);
    let live = nodes[0].sessions_of(&people[0]).await.unwrap().len()
        + nodes[0].sessions_of(&people[1]).await.unwrap().len();
    assert_eq!(live, 1);
}

async fn a_call_that_is_refused_spends_no_assertion(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (assertion, taken) = (assertion(), sign_in(&*store, &alice).await);
    let one_at_most = SessionLimit::new(1, WhenFull::Refuse);
    let another_client = changed(declared(taken.as_str()), |new| new.client = client_id("another"));
    for (session, why) in
        [(asserted(assertion).limit(one_at_most), "full"), (another_client.assertion(assertion), "taken")]
    {
        let refused = vouch(&*store, &alice, session).await;
        assert!(refused.is_err() && !is_used(&refused), "{why}: {refused:?}");
    }
    let nobody = UserId::parse("nobody").unwrap();
    vouch(&*store, &nobody, asserted(assertion)).await.unwrap_err();
    store.disable_user(&alice).await.unwrap();
    let refused = vouch(&*store, &alice, asserted(assertion)).await;
    assert!(matches!(refused, Err(OpenSessionError::UserDisabled)), "{refused:?}");
    assert_eq!(db.count("used_assertions").await, 0);
    let bob = user(&*store, "bob").await;
    vouch(&*store, &bob, asserted(assertion)).await.unwrap();
    assert!(is_used(&vouch(&*store, &bob, asserted(assertion)).await));
}

/// By all that revokes everything of a person.
async fn an_assertion_from_before_everything_was_revoked_opens_nothing(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    for end in ["user", "others", "disabled", "event"] {
        // As a device that was let in says when: by the database's clock.
        let now = vouch(&*store, &alice, new_session()).await.unwrap().authenticated_at;
        let before = issued_at(now);
        let beside = issued_at(now);
        vouch(&*store, &alice, asserted(beside)).await.unwrap();
        match end {
            "user" => drop(store.revoke(&Revoke::User(alice.clone())).await.unwrap()),
            "others" => {
                let keep = SessionId::random();
                store.revoke(&Revoke::Others { user: alice.clone(), keep }).await.unwrap();
            }
            "disabled" => {
                store.disable_user(&alice).await.unwrap();
                store.enable_user(&alice).await.unwrap();
            }
            _ => {
                let event = event(EventAction::Revoke(Revoke::User(alice.clone())));
                store.apply_event(&event).await.unwrap();
            }
        }
        assert!(is_used(&vouch(&*store, &alice, asserted(before)).await), "{end}");
        assert!(store.sessions_of(&alice).await.unwrap().is_empty(), "{end}");
        vouch(&*store, &alice, asserted(assertion())).await.expect("one from later is good");
        tokio::time::sleep(2 * SECOND / 1000).await;
    }
}

async fn a_delegated_session_spends_an_assertion_too(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let parent = sign_in(&*store, &alice).await;
    let assertion = assertion();
    let full = agent("planner").assertion(assertion).limit(SessionLimit::new(1, WhenFull::Refuse));
    let first = exchange(&*store, &alice, &parent, agent("planner")).await.unwrap().id;
    let refused = exchange(&*store, &alice, &parent, full.clone()).await;
    assert!(matches!(refused, Err(OpenSessionError::TooManySessions)), "{refused:?}");
    let taken = changed(agent("planner").assertion(assertion), |new| new.id = declared(first.as_str()).id);
    exchange(&*store, &alice, &parent, taken).await.unwrap_err();
    exchange(&*store, &alice, &parent, agent("planner").assertion(assertion)).await.unwrap();
    let again = exchange(&*store, &alice, &parent, agent("reader").assertion(assertion)).await;
    assert!(is_used(&again), "{again:?}");
    let old = issued_at(SystemTime::UNIX_EPOCH);
    store.revoke(&Revoke::Others { user: alice.clone(), keep: parent.clone() }).await.unwrap();
    let refused = exchange(&*store, &alice, &parent, agent("reader").assertion(old)).await;
    assert!(is_used(&refused), "{refused:?}");
}

async fn the_issuer_and_the_resource_of_an_assertion_stay_with_its_session(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let mail = bridge_auth::id::Audience::parse("https://mail.example").unwrap();
    let origin = || Origin::unknown().issuer("https://idp.example").user_agent("agent/1");
    let session = changed(declared("laptop"), |new| new.life = HOUR).assertion(assertion());
    let opened = vouch(&*store, &alice, session.origin(origin()).resource(mail.clone())).await.unwrap();
    assert_eq!(opened.resource, Some(mail));
    let listed = async || store.sessions_of(&alice).await.unwrap().remove(0).origin;
    assert_eq!(listed().await, origin());
    // Whoever renews it did not open it.
    vouch(&*store, &alice, declared("laptop")).await.unwrap();
    assert_eq!(listed().await, Origin::unknown().issuer("https://idp.example"));
}
