//! What a client gets that polls with a device code.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bridge_auth::SessionId;
use bridge_auth::id::Audience;
use bridge_auth::store::{
    NewDeviceGrant, OpenedSession, PollDeviceGrantError, Revoke, SessionLimit, SessionState, Store, WhenFull,
};
use futures_util::future::join_all;

use super::device_grants::{allowed, new_grant, no, poll, started, yes};
use super::given::{
    HOUR, MINUTE, SECOND, changed, client_id, cut_off, declared, new_session, scopes, sign_in, state, user,
    vouch,
};
use crate::support::{Backend, Listed as _, known};

super::promises![
    an_allowed_grant_opens_a_session_of_who_allowed_it,
    an_unknown_device_code_is_refused_and_leaves_no_trace,
    row_l3_of_64_pollers_one_collects,
    the_checks_of_a_poll_come_in_their_order,
    another_clients_poll_changes_nothing,
    what_nobody_collects_in_time_is_expired,
    a_poll_that_comes_too_early_is_told_to_slow_down,
    who_polls_all_the_time_gets_an_answer_in_each_interval,
    the_interval_grows_up_to_a_minute,
    a_patient_client_is_never_slowed_down,
    of_64_polls_at_once_one_is_answered_and_one_slows_the_client_down,
    what_is_decided_is_answered_however_fast_the_client_polls,
    a_revoke_all_or_a_lockout_before_the_collection_makes_it_fail,
    collecting_against_disabling_leaves_no_live_session,
    a_failed_collection_leaves_the_grant_to_be_collected,
    a_grant_passes_on_its_resource,
    a_dropped_poll_leaves_the_grant_spent_with_its_session_or_neither,
];

/// A grant that waits for an hour, to be polled with this interval.
async fn started_with(store: &dyn Store, interval: Duration) -> NewDeviceGrant {
    let grant = new_grant().interval(interval).life(HOUR);
    store.start_device_grant(grant.clone()).await.unwrap();
    grant
}

/// What a poll of `grant` gets, in a word.
async fn told(store: &dyn Store, grant: &NewDeviceGrant) -> String {
    word(store.poll_device_grant(poll(grant)).await)
}

fn word(answer: Result<OpenedSession, PollDeviceGrantError>) -> String {
    match answer {
        Ok(_) => "opened".to_owned(),
        Err(PollDeviceGrantError::SlowDown { interval }) => format!("slow down to {}", interval.as_secs()),
        Err(PollDeviceGrantError::Store(fault)) => panic!("{fault:?}"),
        Err(other) => format!("{other:?}").to_lowercase(),
    }
}

async fn an_allowed_grant_opens_a_session_of_who_allowed_it(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let grant = new_grant().scopes(scopes("read"));
    store.start_device_grant(grant.clone()).await.unwrap();
    assert_eq!(store.sessions_of(&alice).await.unwrap(), []);
    let decided = SystemTime::now();
    let mut decision = yes(&grant, &alice);
    decision.decision = bridge_auth::store::Decision::Allow(scopes("read write unheld"));
    store.decide_device_grant(decision).await.unwrap();
    assert_eq!(store.sessions_of(&alice).await.unwrap(), [], "nothing before it is collected");
    db.pass_time(MINUTE).await;
    store.put_user(&known(&alice, &scopes("read admin"))).await.unwrap();
    let opened = store.poll_device_grant(poll(&grant)).await.unwrap();
    assert_eq!((&opened.user, &opened.scopes), (&alice, &scopes("read")));
    assert_eq!((opened.expires_in.as_secs(), opened.renewed), (3600, false));
    assert!(opened.authenticated_at <= decided - MINUTE + 10 * SECOND, "when the person decided");
    assert!(opened.authenticated_at >= decided - MINUTE - SECOND);
    assert_eq!(state(&*store, &opened.id).await, Some(SessionState::Live));
    assert_eq!(told(&*store, &grant).await, "unknown");
    assert_eq!(state(&*store, &opened.id).await, Some(SessionState::Live));
}

async fn an_unknown_device_code_is_refused_and_leaves_no_trace(db: impl Backend) {
    let store = db.open().await;
    for _ in 0..3 {
        assert_eq!(told(&*store, &new_grant()).await, "unknown");
    }
    assert_eq!(db.count("device_grants").await, 0);
}

async fn row_l3_of_64_pollers_one_collects(db: impl Backend) {
    let nodes = [db.open().await, db.open().await];
    let alice = user(&*nodes[0], "alice").await;
    let grant = allowed(&*nodes[0], &alice).await;
    let racers = (0..64).map(|n| {
        let (node, poll) = (Arc::clone(&nodes[n % 2]), poll(&grant));
        tokio::spawn(async move { word(node.poll_device_grant(poll).await) })
    });
    let mut words: Vec<_> = join_all(racers).await.into_iter().map(Result::unwrap).collect();
    words.sort_unstable();
    let unknown = vec!["unknown".to_owned(); 63];
    assert_eq!((&*words[0], &words[1..]), ("opened", &*unknown));
    assert_eq!(db.count("sessions").await, 1);
    assert_eq!(nodes[1].sessions_of(&alice).await.unwrap().len(), 1);
}

async fn the_checks_of_a_poll_come_in_their_order(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let mcp = Audience::parse("mcp").unwrap();
    let new = || new_grant().resource(mcp.clone());
    let (waits, denied, void, good) = (new(), new(), new(), new());
    for grant in [&waits, &denied, &void, &good] {
        store.start_device_grant(grant.clone()).await.unwrap();
    }
    store.decide_device_grant(no(&denied, &alice)).await.unwrap();
    store.decide_device_grant(yes(&void, &alice)).await.unwrap();
    store.revoke(&Revoke::User(alice.clone())).await.unwrap();
    store.decide_device_grant(yes(&good, &alice)).await.unwrap();
    let all = [&waits, &denied, &void, &good];
    let ask = async |grant: &NewDeviceGrant, client: &str| {
        let mut poll = poll(grant).resource(Audience::parse("other").unwrap());
        poll.session.client = client_id(client);
        word(store.poll_device_grant(poll).await)
    };
    for grant in all {
        assert_eq!(ask(grant, "another").await, "wrongclient");
    }
    for (grant, word) in all.into_iter().zip(["pending", "denied", "userdisabled", "wrongresource"]) {
        assert_eq!(ask(grant, "sp_bridge").await, word);
    }
    db.pass_time(10 * MINUTE).await;
    for grant in all {
        assert_eq!(ask(grant, "another").await, "wrongclient");
        assert_eq!(ask(grant, "sp_bridge").await, "expired");
    }
}

async fn another_clients_poll_changes_nothing(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let grant = started(&*store).await;
    let other = || changed(poll(&grant), |poll| poll.session.client = client_id("another"));
    assert_eq!(word(store.poll_device_grant(other()).await), "wrongclient");
    assert_eq!(told(&*store, &grant).await, "pending", "the first poll of its own client");
    store.decide_device_grant(yes(&grant, &alice)).await.unwrap();
    assert_eq!(word(store.poll_device_grant(other()).await), "wrongclient");
    assert_eq!(told(&*store, &grant).await, "opened");
}

async fn what_nobody_collects_in_time_is_expired(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (waits, agreed, denied) =
        (started(&*store).await, allowed(&*store, &alice).await, started(&*store).await);
    store.decide_device_grant(no(&denied, &alice)).await.unwrap();
    db.pass_time(10 * MINUTE).await;
    for grant in [&waits, &agreed, &denied] {
        assert_eq!(told(&*store, grant).await, "expired");
    }
    assert_eq!(db.count("sessions").await, 0);
}

async fn a_poll_that_comes_too_early_is_told_to_slow_down(db: impl Backend) {
    let store = db.open().await;
    let grant = started_with(&*store, 40 * SECOND).await;
    assert_eq!(told(&*store, &grant).await, "pending", "at once");
    for _ in 0..3 {
        assert_eq!(told(&*store, &grant).await, "slow down to 45", "once in this interval");
    }
    db.pass_time(40 * SECOND).await;
    assert_eq!(told(&*store, &grant).await, "slow down to 45", "this interval has grown too");
    db.pass_time(5 * SECOND).await;
    assert_eq!(told(&*store, &grant).await, "pending");
    db.pass_time(20 * SECOND).await;
    assert_eq!(told(&*store, &grant).await, "slow down to 50");
    db.pass_time(30 * SECOND).await;
    for _ in 0..3 {
        assert_eq!(
            told(&*store, &grant).await,
            "pending",
            "who waits long enough is not slowed down further"
        );
        db.pass_time(50 * SECOND).await;
    }
}

async fn who_polls_all_the_time_gets_an_answer_in_each_interval(db: impl Backend) {
    let store = db.open().await;
    let grant = started_with(&*store, 10 * MINUTE).await;
    for _ in 0..5 {
        assert_eq!(told(&*store, &grant).await, "pending");
        assert_eq!(told(&*store, &grant).await, "slow down to 600");
        db.pass_time(5 * MINUTE).await;
        for _ in 0..5 {
            assert_eq!(told(&*store, &grant).await, "slow down to 600");
        }
        db.pass_time(5 * MINUTE).await;
    }
}

async fn the_interval_grows_up_to_a_minute(db: impl Backend) {
    let store = db.open().await;
    for (interval, steps) in [(48, &[53, 58, 60, 60][..]), (90, &[90, 90])] {
        let grant = started_with(&*store, interval * SECOND).await;
        for step in steps {
            assert_eq!(told(&*store, &grant).await, "pending");
            assert_eq!(told(&*store, &grant).await, format!("slow down to {step}"));
            db.pass_time(90 * SECOND).await;
        }
    }
}

async fn a_patient_client_is_never_slowed_down(db: impl Backend) {
    let store = db.open().await;
    let grant = started(&*store).await;
    for _ in 0..20 {
        assert_eq!(told(&*store, &grant).await, "pending");
        db.pass_time(5 * SECOND).await;
    }
}

async fn of_64_polls_at_once_one_is_answered_and_one_slows_the_client_down(db: impl Backend) {
    let nodes = [db.open().await, db.open().await];
    let grant = started_with(&*nodes[0], 40 * SECOND).await;
    let racers = (0..64).map(|n| {
        let (node, poll) = (Arc::clone(&nodes[n % 2]), poll(&grant));
        tokio::spawn(async move { word(node.poll_device_grant(poll).await) })
    });
    let mut words: Vec<_> = join_all(racers).await.into_iter().map(Result::unwrap).collect();
    words.sort_unstable();
    let slowed = vec!["slow down to 45".to_owned(); 63];
    assert_eq!((&*words[0], &words[1..]), ("pending", &*slowed));
}

async fn what_is_decided_is_answered_however_fast_the_client_polls(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let agreed = started_with(&*store, MINUTE).await;
    let denied = started_with(&*store, MINUTE).await;
    for grant in [&agreed, &denied] {
        assert_eq!(told(&*store, grant).await, "pending");
        assert_eq!(told(&*store, grant).await, "slow down to 60");
    }
    store.decide_device_grant(yes(&agreed, &alice)).await.unwrap();
    store.decide_device_grant(no(&denied, &alice)).await.unwrap();
    assert_eq!(told(&*store, &agreed).await, "opened");
    for _ in 0..2 {
        assert_eq!(told(&*store, &denied).await, "denied");
    }
}

async fn a_revoke_all_or_a_lockout_before_the_collection_makes_it_fail(db: impl Backend) {
    let store = db.open().await;
    let (alice, bob) = (user(&*store, "alice").await, user(&*store, "bob").await);
    let his = allowed(&*store, &bob).await;
    for end in ["revoke", "disable"] {
        let grant = allowed(&*store, &alice).await;
        match end {
            "revoke" => drop(store.revoke(&Revoke::User(alice.clone())).await.unwrap()),
            _ => {
                assert!(store.disable_user(&alice).await.unwrap());
                assert_eq!(told(&*store, &grant).await, "userdisabled");
                assert!(store.enable_user(&alice).await.unwrap());
            }
        }
        assert_eq!(told(&*store, &grant).await, "userdisabled", "{end}");
        let after = allowed(&*store, &alice).await;
        assert_eq!(told(&*store, &after).await, "opened");
    }
    assert_eq!(told(&*store, &his).await, "opened");
}

async fn collecting_against_disabling_leaves_no_live_session(db: impl Backend) {
    let nodes = [db.open().await, db.open().await];
    for round in 0..20 {
        let alice = user(&*nodes[0], &format!("alice-{round}")).await;
        let mut polls = Vec::new();
        for _ in 0..4 {
            polls.push(poll(&allowed(&*nodes[0], &alice).await));
        }
        let collecting = polls.into_iter().map(|poll| {
            let node = Arc::clone(&nodes[0]);
            tokio::spawn(async move { node.poll_device_grant(poll).await.map(|opened| opened.id) })
        });
        let collecting: Vec<_> = collecting.collect();
        assert!(nodes[1].disable_user(&alice).await.unwrap());
        let opened = join_all(collecting).await.into_iter().filter_map(|task| task.unwrap().ok());
        let opened: Vec<SessionId> = opened.collect();
        let statuses = nodes[1].session_statuses(&opened).await.unwrap().found;
        assert_eq!(statuses.len(), opened.len());
        assert!(statuses.iter().all(|status| status.state == SessionState::Revoked), "{statuses:?}");
        assert!(nodes[0].sessions_of(&alice).await.unwrap().is_empty());
    }
}

async fn a_failed_collection_leaves_the_grant_to_be_collected(db: impl Backend) {
    let store = db.open().await;
    let (alice, bob) = (user(&*store, "alice").await, user(&*store, "bob").await);
    let grant = allowed(&*store, &alice).await;
    sign_in(&*store, &alice).await;
    let limit = SessionLimit::new(1, WhenFull::Refuse);
    let full = changed(poll(&grant), |poll| poll.session = new_session().limit(limit));
    assert_eq!(word(store.poll_device_grant(full).await), "toomanysessions");
    vouch(&*store, &bob, declared("bobs")).await.unwrap();
    let taken = changed(poll(&grant), |poll| poll.session = declared("bobs"));
    let answer = store.poll_device_grant(taken).await;
    assert!(
        matches!(answer, Err(PollDeviceGrantError::Store(_))),
        "an id that is not new is a fault: {answer:?}"
    );
    assert_eq!(db.count("sessions").await, 2);
    assert_eq!(told(&*store, &grant).await, "opened");
}

async fn a_grant_passes_on_its_resource(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let [mcp, other] = ["mcp", "other"].map(|name| Audience::parse(name).unwrap());
    for (bound, asked, word_of) in [
        (None, None, "opened"),
        (None, Some(&mcp), "opened"),
        (Some(&mcp), None, "opened"),
        (Some(&mcp), Some(&mcp), "opened"),
        (Some(&mcp), Some(&other), "wrongresource"),
    ] {
        let grant = changed(new_grant(), |new| new.resource = bound.cloned());
        store.start_device_grant(grant.clone()).await.unwrap();
        store.decide_device_grant(yes(&grant, &alice)).await.unwrap();
        let answer =
            store.poll_device_grant(changed(poll(&grant), |poll| poll.resource = asked.cloned())).await;
        if let Ok(opened) = &answer {
            assert_eq!(opened.resource.as_ref(), bound);
        }
        assert_eq!(word(answer), word_of, "{bound:?} {asked:?}");
    }
}

async fn a_dropped_poll_leaves_the_grant_spent_with_its_session_or_neither(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (mut finished, mut sessions) = (0, 0);
    for round in 0..60 {
        let grant = allowed(&*store, &alice).await;
        finished += u64::from(cut_off(round, told(&*store, &grant)).await.is_some());
        // The second call waits for whatever the first has begun.
        match &*told(&*store, &grant).await {
            "opened" | "unknown" => sessions += 1,
            other => panic!("neither spent nor unspent: {other}"),
        }
    }
    assert!((1..60).contains(&finished), "{finished} were not dropped");
    assert_eq!(db.count("sessions").await, sessions);
}
