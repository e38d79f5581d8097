//! Codes are spent, once.

use std::sync::Arc;
use std::time::SystemTime;

use bridge_auth::SessionId;
use bridge_auth::id::{Audience, CodeVerifier};
use bridge_auth::store::{
    GrantRefusal, OpenedSession, RedeemCode, RedeemError, Revoke, SessionLimit, SessionState, WhenFull,
};
use futures_util::future::join_all;

use super::given::{
    HOUR, MINUTE, SECOND, changed, client_id, code, declared, is_good, new_code, new_session, open_hook,
    provision, redeem, scopes, sign_in, state, user, vouch,
};
use crate::support::{Backend, Listed as _};

super::promises![
    a_code_opens_a_session_of_its_user,
    an_unknown_code_is_refused,
    of_64_racers_one_wins_and_the_replays_revoke_its_session,
    a_replay_revokes_the_session_with_what_it_provisioned,
    a_replay_is_one_whatever_else_is_presented,
    a_replay_spares_who_took_the_session_id_later,
    a_code_from_before_a_revoke_all_is_expired,
    a_disabled_users_code_is_refused,
    the_verifier_answers_the_challenge_or_there_is_none,
    row_35_a_code_is_for_its_client_alone,
    a_code_is_for_the_redirect_uri_that_it_was_sent_to,
    the_checks_of_a_code_come_in_their_order,
    a_failure_leaves_the_code_unspent,
    redeeming_against_disabling_leaves_no_live_session,
    a_code_races_with_itself_under_one_declared_id,
];

async fn a_code_opens_a_session_of_its_user(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let issued = SystemTime::now();
    let code = changed(new_code(&alice), |new| new.scopes = scopes("read unheld"));
    store.issue_code(code.clone()).await.unwrap();
    db.pass_time(MINUTE).await;
    let opened = store.redeem_code(redeem(code.hash)).await.unwrap();
    assert_eq!(opened.user, alice);
    assert_eq!(opened.scopes, scopes("read"));
    assert_eq!(opened.expires_in.as_secs(), 3600);
    assert!(!opened.renewed);
    assert!(opened.authenticated_at <= issued - MINUTE + 10 * SECOND, "when the code was issued");
    assert!(opened.authenticated_at >= issued - MINUTE - SECOND);
    assert_eq!(state(&*store, &opened.id).await, Some(SessionState::Live));
}

async fn an_unknown_code_is_refused(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    assert_eq!(refusal(store.redeem_code(redeem(new_code(&alice).hash)).await), GrantRefusal::Unknown);
}

async fn of_64_racers_one_wins_and_the_replays_revoke_its_session(db: impl Backend) {
    let nodes = [db.open().await, db.open().await];
    let alice = user(&*nodes[0], "alice").await;
    let hash = code(&*nodes[0], &alice).await;
    let racers = (0..64).map(|n| {
        let node = Arc::clone(&nodes[n % 2]);
        tokio::spawn(async move { node.redeem_code(redeem(hash)).await })
    });
    let (won, lost): (Vec<_>, Vec<_>) =
        join_all(racers).await.into_iter().map(Result::unwrap).partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 63));
    let winner = won.into_iter().next().unwrap().unwrap().id;
    for loser in lost {
        let GrantRefusal::Replayed { user, session, .. } = refusal(loser) else { panic!("no replay") };
        assert_eq!((user, session), (alice.clone(), winner.clone()));
    }
    assert_eq!(db.count("sessions").await, 1);
    assert_eq!(state(&*nodes[1], &winner).await, Some(SessionState::Revoked));
}

async fn a_replay_revokes_the_session_with_what_it_provisioned(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let other = sign_in(&*store, &alice).await;
    let hash = code(&*store, &alice).await;
    let opened = store.redeem_code(redeem(hash)).await.unwrap();
    let secret = provision(&*store, &alice, &opened.id).await.unwrap();
    let hook = open_hook(&*store, &alice, secret).await.unwrap();
    let first_use = SystemTime::now();
    let GrantRefusal::Replayed { first_used_at, .. } = refusal(store.redeem_code(redeem(hash)).await) else {
        panic!("no replay")
    };
    assert!(first_used_at <= first_use + SECOND && first_used_at >= first_use - MINUTE);
    assert_eq!(state(&*store, &opened.id).await, Some(SessionState::Revoked));
    assert_eq!(state(&*store, &hook.id).await, Some(SessionState::Revoked));
    assert!(!is_good(&*store, &alice, &secret).await);
    assert_eq!(state(&*store, &other).await, Some(SessionState::Live));
}

async fn a_replay_is_one_whatever_else_is_presented(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let verifier = CodeVerifier::random();
    let code = new_code(&alice).challenge(verifier.challenge());
    store.issue_code(code.clone()).await.unwrap();
    let answered = changed(redeem(code.hash), |new| new.challenge = code.challenge.clone());
    let opened = store.redeem_code(answered).await.unwrap();
    db.pass_time(10 * MINUTE).await;
    let wrong = redeem(code.hash).challenge(CodeVerifier::random().challenge());
    assert!(matches!(refusal(store.redeem_code(wrong).await), GrantRefusal::Replayed { .. }));
    assert_eq!(state(&*store, &opened.id).await, Some(SessionState::Revoked));
    store.disable_user(&alice).await.unwrap();
    assert!(matches!(
        refusal(store.redeem_code(redeem(code.hash)).await),
        GrantRefusal::Replayed { session, .. } if session == opened.id
    ));
}

async fn a_replay_spares_who_took_the_session_id_later(db: impl Backend) {
    let store = db.open().await;
    let (alice, bob) = (user(&*store, "alice").await, user(&*store, "bob").await);
    for (id, later) in [("shared", &bob), ("own", &alice)] {
        let hash = code(&*store, &alice).await;
        store.redeem_code(RedeemCode::new(hash, declared(id))).await.unwrap();
        db.pass_time(2 * HOUR + SECOND).await;
        store.sweep(100).await.unwrap();
        let taken = vouch(&*store, later, declared(id)).await.unwrap();
        assert!(!taken.renewed);
        assert!(matches!(refusal(store.redeem_code(redeem(hash)).await), GrantRefusal::Replayed { .. }));
        assert_eq!(state(&*store, &taken.id).await, Some(SessionState::Live), "{id}");
    }
}

async fn a_code_from_before_a_revoke_all_is_expired(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let before = code(&*store, &alice).await;
    store.revoke(&Revoke::User(alice.clone())).await.unwrap();
    assert_eq!(refusal(store.redeem_code(redeem(before)).await), GrantRefusal::Expired);
    let after = code(&*store, &alice).await;
    store.redeem_code(redeem(after)).await.unwrap();
}

async fn a_disabled_users_code_is_refused(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let before = code(&*store, &alice).await;
    store.disable_user(&alice).await.unwrap();
    // Disabling revokes all, so the code is dead twice over.
    let refused = refusal(store.redeem_code(redeem(before)).await);
    assert!(matches!(refused, GrantRefusal::Expired | GrantRefusal::UserDisabled), "{refused:?}");
    store.enable_user(&alice).await.unwrap();
    assert_eq!(refusal(store.redeem_code(redeem(before)).await), GrantRefusal::Expired);
    assert_eq!(db.count("sessions").await, 0);
}

async fn the_verifier_answers_the_challenge_or_there_is_none(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (right, wrong) = (CodeVerifier::random().challenge(), CodeVerifier::random().challenge());
    for (stored, presented, good) in [
        (None, None, true),
        (None, Some(&right), false),
        (Some(&right), None, false),
        (Some(&right), Some(&wrong), false),
        (Some(&right), Some(&right), true),
    ] {
        let code = changed(new_code(&alice), |new| new.challenge = stored.cloned());
        store.issue_code(code.clone()).await.unwrap();
        let answer =
            store.redeem_code(changed(redeem(code.hash), |new| new.challenge = presented.cloned())).await;
        match good {
            true => assert!(answer.is_ok(), "{stored:?} {presented:?}: {answer:?}"),
            false => assert_eq!(refusal(answer), GrantRefusal::WrongVerifier, "{stored:?} {presented:?}"),
        }
    }
}

async fn row_35_a_code_is_for_its_client_alone(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let theirs = changed(new_code(&alice), |new| new.client = client_id("desktop"));
    store.issue_code(theirs.clone()).await.unwrap();
    let by = |client| {
        let session = changed(new_session(), |new| new.client = client_id(client));
        RedeemCode::new(theirs.hash, session)
    };
    assert_eq!(refusal(store.redeem_code(by("sp_bridge")).await), GrantRefusal::WrongClient);
    let opened = store.redeem_code(by("desktop")).await.unwrap();
    let status = store.session_statuses(&[opened.id]).await.unwrap().found.pop().unwrap();
    assert_eq!(status.client, client_id("desktop"));
}

async fn a_code_is_for_the_redirect_uri_that_it_was_sent_to(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let [here, there] = ["http://127.0.0.1:7777/cb", "http://127.0.0.1:7778/cb"];
    for (sent, presented, good) in [
        (None, None, true),
        (None, Some(here), true),
        (Some(here), None, true),
        (Some(here), Some(here), true),
        (Some(here), Some(there), false),
        (Some(here), Some(""), false),
        (Some(here), Some("http://127.0.0.1:7777/cb\0"), false),
        (Some(here), Some("HTTP://127.0.0.1:7777/cb"), false),
    ] {
        let code = changed(new_code(&alice), |new| new.redirect_uri = sent.map(str::to_owned));
        store.issue_code(code.clone()).await.unwrap();
        let redeem = changed(redeem(code.hash), |new| new.redirect_uri = presented.map(str::to_owned));
        let answer = store.redeem_code(redeem).await;
        match good {
            true => assert!(answer.is_ok(), "{sent:?} {presented:?}: {answer:?}"),
            false => assert_eq!(refusal(answer), GrantRefusal::WrongRedirect, "{sent:?} {presented:?}"),
        }
    }
}

/// With each right answer the next wrong one is told.
async fn the_checks_of_a_code_come_in_their_order(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let [mcp, other] = ["mcp", "other"].map(|name| Audience::parse(name).unwrap());
    let right = CodeVerifier::random().challenge();
    let code =
        new_code(&alice).challenge(right.clone()).redirect_uri("https://a.example").resource(mcp.clone());
    store.issue_code(code.clone()).await.unwrap();
    let wrong = || {
        let session = changed(new_session(), |new| new.client = client_id("another"));
        RedeemCode::new(code.hash, session).redirect_uri("https://b.example").resource(other.clone())
    };
    let mut asked = wrong();
    assert_eq!(refusal(store.redeem_code(asked.clone()).await), GrantRefusal::WrongVerifier);
    asked = asked.challenge(right);
    assert_eq!(refusal(store.redeem_code(asked.clone()).await), GrantRefusal::WrongClient);
    asked.session.client = client_id("sp_bridge");
    assert_eq!(refusal(store.redeem_code(asked.clone()).await), GrantRefusal::WrongRedirect);
    asked = asked.redirect_uri("https://a.example");
    let answer = store.redeem_code(asked.clone()).await;
    assert!(matches!(answer, Err(RedeemError::WrongResource)), "{answer:?}");
    store.redeem_code(asked.resource(mcp)).await.unwrap();
    assert!(matches!(refusal(store.redeem_code(wrong()).await), GrantRefusal::Replayed { .. }));

    let late = new_code(&alice).challenge(CodeVerifier::random().challenge());
    store.issue_code(late.clone()).await.unwrap();
    db.pass_time(2 * MINUTE).await;
    let late = changed(wrong(), |new| new.hash = late.hash);
    assert_eq!(refusal(store.redeem_code(late).await), GrantRefusal::Expired);
}

async fn a_failure_leaves_the_code_unspent(db: impl Backend) {
    let store = db.open().await;
    let (alice, bob) = (user(&*store, "alice").await, user(&*store, "bob").await);
    vouch(&*store, &bob, declared("bobs")).await.unwrap();
    let hash = code(&*store, &alice).await;

    let unasked = redeem(hash).challenge(CodeVerifier::random().challenge());
    assert_eq!(refusal(store.redeem_code(unasked).await), GrantRefusal::WrongVerifier);

    let taken = RedeemCode::new(hash, declared("bobs"));
    let answer = store.redeem_code(taken).await;
    assert!(matches!(answer, Err(RedeemError::SessionTaken)), "{answer:?}");

    sign_in(&*store, &alice).await;
    let limit = SessionLimit::new(1, WhenFull::Refuse);
    let full = RedeemCode::new(hash, new_session().limit(limit));
    let answer = store.redeem_code(full).await;
    assert!(matches!(answer, Err(RedeemError::TooManySessions)), "{answer:?}");

    assert_eq!(db.count("sessions").await, 2);
    store.redeem_code(redeem(hash)).await.unwrap();
}

async fn redeeming_against_disabling_leaves_no_live_session(db: impl Backend) {
    let nodes = [db.open().await, db.open().await];
    for round in 0..20 {
        let alice = user(&*nodes[0], &format!("alice-{round}")).await;
        let mut codes = Vec::new();
        for _ in 0..4 {
            codes.push(code(&*nodes[0], &alice).await);
        }
        let redeeming = codes.into_iter().map(|hash| {
            let node = Arc::clone(&nodes[0]);
            tokio::spawn(async move { node.redeem_code(redeem(hash)).await.map(|opened| opened.id) })
        });
        let redeeming: Vec<_> = redeeming.collect();
        assert!(nodes[1].disable_user(&alice).await.unwrap());
        let opened = join_all(redeeming).await.into_iter().filter_map(|task| task.unwrap().ok());
        let opened: Vec<SessionId> = opened.collect();
        let statuses = nodes[1].session_statuses(&opened).await.unwrap().found;
        assert_eq!(statuses.len(), opened.len());
        assert!(statuses.iter().all(|status| status.state == SessionState::Revoked), "{statuses:?}");
        assert!(nodes[0].sessions_of(&alice).await.unwrap().is_empty());
    }
}

async fn a_code_races_with_itself_under_one_declared_id(db: impl Backend) {
    let nodes = [db.open().await, db.open().await];
    let alice = user(&*nodes[0], "alice").await;
    let (one, two) = (code(&*nodes[0], &alice).await, code(&*nodes[0], &alice).await);
    let with = |hash| RedeemCode::new(hash, declared("laptop"));
    let (first, second) = tokio::join!(nodes[0].redeem_code(with(one)), nodes[1].redeem_code(with(two)));
    let renewed = [first.unwrap().renewed, second.unwrap().renewed];
    assert!(renewed.contains(&true) && renewed.contains(&false), "one opens, the other renews");
    db.pass_time(HOUR / 2).await;
    assert_eq!(nodes[0].sessions_of(&alice).await.unwrap().len(), 1);
}

fn refusal(answer: Result<OpenedSession, RedeemError>) -> GrantRefusal {
    match answer {
        Err(RedeemError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}
