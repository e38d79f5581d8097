//! Device grants are started and decided. `device_polls` has what a client gets.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::SystemTime;

use bridge_auth::UserId;
use bridge_auth::id::{Audience, ClientId, DeviceCode, UserCode};
use bridge_auth::store::{
    DecideDeviceGrant, DecideDeviceGrantError, Decision, NewDeviceGrant, Origin, PollDeviceGrant,
    PollDeviceGrantError, Revoke, StartDeviceGrantError, Store,
};
use futures_util::future::join_all;

use super::given::{MINUTE, SECOND, changed, client_id, cut_off, new_session, scopes, user};
use crate::support::Backend;

super::promises![
    a_grant_that_waits_is_found_by_its_user_code,
    a_grant_expires_by_the_clock_of_the_database,
    row_l4_two_grants_that_wait_never_have_one_user_code,
    a_user_code_is_free_once_its_grant_has_expired,
    looking_at_a_grant_changes_nothing,
    a_decision_needs_a_known_and_enabled_person,
    what_waits_for_no_decision_is_not_decided,
    of_64_decisions_one_is_stored,
    beyond_the_cap_what_was_allowed_first_becomes_unknown,
    the_cap_of_allowed_grants_is_one_persons,
    what_is_denied_collected_or_expired_takes_no_place,
    a_dropped_future_leaves_a_grant_decided_or_waiting,
];

/// A grant of the bridge that asks for `read write`.
pub fn new_grant() -> NewDeviceGrant {
    NewDeviceGrant::new(DeviceCode::random().hash(), UserCode::random(), client_id("sp_bridge"))
        .scopes(scopes("read write"))
}

/// A grant that waits.
pub async fn started(store: &dyn Store) -> NewDeviceGrant {
    let grant = new_grant();
    store.start_device_grant(grant.clone()).await.unwrap();
    grant
}

/// `person` says yes to all that is asked.
pub fn yes(grant: &NewDeviceGrant, person: &UserId) -> DecideDeviceGrant {
    let allow = Decision::Allow(scopes("read write"));
    DecideDeviceGrant::new(grant.user_code, grant.client.clone(), person.clone(), allow)
}

pub fn no(grant: &NewDeviceGrant, person: &UserId) -> DecideDeviceGrant {
    changed(yes(grant, person), |decision| decision.decision = Decision::Deny)
}

/// A grant that `person` allowed.
pub async fn allowed(store: &dyn Store, person: &UserId) -> NewDeviceGrant {
    let grant = started(store).await;
    store.decide_device_grant(yes(&grant, person)).await.unwrap();
    grant
}

/// The client of `grant` polls.
pub fn poll(grant: &NewDeviceGrant) -> PollDeviceGrant {
    PollDeviceGrant::new(grant.device_code, new_session())
}

async fn a_grant_that_waits_is_found_by_its_user_code(db: impl Backend) {
    let store = db.open().await;
    let origin = Origin::unknown()
        .user_agent("agent/1")
        .address(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)))
        .device_name("laptop");
    let resource = Audience::parse("https://api.example/mcp").unwrap();
    let full = new_grant().origin(origin.clone()).resource(resource.clone());
    let bare = NewDeviceGrant::new(DeviceCode::random().hash(), UserCode::random(), client_id("cli"));
    let none = new_grant().scopes(scopes(""));
    for grant in [&full, &bare, &none] {
        let expires_at = store.start_device_grant(grant.clone()).await.unwrap();
        let found = store.device_grant(&grant.user_code).await.unwrap().unwrap();
        assert_eq!((&found.client, &found.scopes), (&grant.client, &grant.scopes));
        assert_eq!((&found.resource, &found.origin), (&grant.resource, &grant.origin));
        assert_eq!(found.expires_at, expires_at);
    }
    assert_eq!(store.device_grant(&UserCode::random()).await.unwrap(), None);
}

async fn a_grant_expires_by_the_clock_of_the_database(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let before = SystemTime::now();
    let (early, late) = (started(&*store).await, new_grant().life(10 * MINUTE));
    let expires_at = store.start_device_grant(late.clone()).await.unwrap();
    assert!(expires_at >= before + 10 * MINUTE - SECOND);
    assert!(expires_at <= SystemTime::now() + 10 * MINUTE + SECOND);
    db.pass_time(10 * MINUTE - 30 * SECOND).await;
    store.decide_device_grant(yes(&early, &alice)).await.unwrap();
    assert!(store.device_grant(&late.user_code).await.unwrap().is_some());
    db.pass_time(30 * SECOND).await;
    assert_eq!(store.device_grant(&late.user_code).await.unwrap(), None);
    assert_not_waiting(&*store, yes(&late, &alice)).await;
}

async fn row_l4_two_grants_that_wait_never_have_one_user_code(db: impl Backend) {
    let nodes = [db.open().await, db.open().await];
    let code = UserCode::random();
    let racers = (0..32).map(|n| {
        let node = Arc::clone(&nodes[n % 2]);
        let grant = changed(new_grant(), |new| new.user_code = code);
        tokio::spawn(async move { node.start_device_grant(grant).await })
    });
    let answers: Vec<_> = join_all(racers).await.into_iter().map(Result::unwrap).collect();
    let taken = |answer: &Result<_, _>| matches!(answer, Err(StartDeviceGrantError::UserCodeTaken));
    assert_eq!(answers.iter().filter(|answer| taken(answer)).count(), 31, "{answers:?}");
    assert_eq!(db.count("device_grants").await, 1);
    // Also once it is decided: until it expires.
    let alice = user(&*nodes[0], "alice").await;
    let same = changed(new_grant(), |new| new.user_code = code);
    nodes[0].decide_device_grant(yes(&same, &alice)).await.unwrap();
    assert!(taken(&nodes[1].start_device_grant(same).await));
}

async fn a_user_code_is_free_once_its_grant_has_expired(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let old = started(&*store).await;
    store.decide_device_grant(yes(&old, &alice)).await.unwrap();
    db.pass_time(10 * MINUTE).await;
    let new = changed(new_grant(), |new| new.user_code = old.user_code).life(20 * MINUTE);
    store.start_device_grant(new.clone()).await.unwrap();
    let of_old = store.poll_device_grant(poll(&old)).await;
    assert!(matches!(of_old, Err(PollDeviceGrantError::Expired)), "{of_old:?}");
    store.decide_device_grant(yes(&new, &alice)).await.unwrap();
    let of_old = store.poll_device_grant(poll(&old)).await;
    assert!(matches!(of_old, Err(PollDeviceGrantError::Expired)), "{of_old:?}");
    store.poll_device_grant(poll(&new)).await.unwrap();
}

async fn looking_at_a_grant_changes_nothing(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let grant = started(&*store).await;
    let first = store.device_grant(&grant.user_code).await.unwrap();
    assert_eq!(store.device_grant(&grant.user_code).await.unwrap(), first);
    store.decide_device_grant(yes(&grant, &alice)).await.unwrap();
    assert_eq!(store.device_grant(&grant.user_code).await.unwrap(), None, "it waits no longer");
    store.poll_device_grant(poll(&grant)).await.unwrap();
}

async fn a_decision_needs_a_known_and_enabled_person(db: impl Backend) {
    let store = db.open().await;
    let (nobody, alice) = (UserId::parse("nobody").unwrap(), user(&*store, "alice").await);
    let grant = started(&*store).await;
    for decide in [yes, no] {
        let refused = store.decide_device_grant(decide(&grant, &nobody)).await;
        assert!(matches!(refused, Err(DecideDeviceGrantError::UnknownUser)), "{refused:?}");
        store.disable_user(&alice).await.unwrap();
        let refused = store.decide_device_grant(decide(&grant, &alice)).await;
        assert!(matches!(refused, Err(DecideDeviceGrantError::UserDisabled)), "{refused:?}");
    }
    store.enable_user(&alice).await.unwrap();
    store.decide_device_grant(yes(&grant, &alice)).await.unwrap();
}

async fn what_waits_for_no_decision_is_not_decided(db: impl Backend) {
    let store = db.open().await;
    let (alice, bob) = (user(&*store, "alice").await, user(&*store, "bob").await);
    let unknown = new_grant();
    let nobody = UserId::parse("nobody").unwrap();
    for person in [&alice, &nobody] {
        assert_not_waiting(&*store, yes(&unknown, person)).await;
    }
    let (agreed, refused) = (allowed(&*store, &alice).await, started(&*store).await);
    store.decide_device_grant(no(&refused, &alice)).await.unwrap();
    for grant in [&agreed, &refused] {
        for person in [&alice, &bob] {
            assert_not_waiting(&*store, yes(grant, person)).await;
            assert_not_waiting(&*store, no(grant, person)).await;
        }
    }
    // The person saw another client.
    let waits = started(&*store).await;
    let other: ClientId = client_id("another");
    assert_not_waiting(&*store, changed(yes(&waits, &alice), |decision| decision.client = other)).await;
    assert_eq!(store.poll_device_grant(poll(&agreed)).await.unwrap().user, alice);
    let denied = store.poll_device_grant(poll(&refused)).await;
    assert!(matches!(denied, Err(PollDeviceGrantError::Denied)), "{denied:?}");
}

async fn of_64_decisions_one_is_stored(db: impl Backend) {
    let nodes = [db.open().await, db.open().await];
    let people = [user(&*nodes[0], "alice").await, user(&*nodes[0], "bob").await];
    for round in 0..3 {
        let grant = started(&*nodes[0]).await;
        let racers = (0..64).map(|n| {
            let node = Arc::clone(&nodes[n % 2]);
            let decide = if (n + round) % 3 == 0 { yes } else { no };
            let decision = decide(&grant, &people[n / 2 % 2]);
            tokio::spawn(async move { node.decide_device_grant(decision.clone()).await.map(|()| decision) })
        });
        let (won, lost): (Vec<_>, Vec<_>) =
            join_all(racers).await.into_iter().map(Result::unwrap).partition(Result::is_ok);
        assert_eq!((won.len(), lost.len()), (1, 63));
        for loser in lost {
            assert!(matches!(loser, Err(DecideDeviceGrantError::NotWaiting)), "{loser:?}");
        }
        let winner = won.into_iter().next().unwrap().unwrap();
        match nodes[1].poll_device_grant(poll(&grant)).await {
            Ok(opened) => {
                assert_eq!(opened.user, winner.user);
                assert_ne!(winner.decision, Decision::Deny);
            }
            Err(PollDeviceGrantError::Denied) => assert_eq!(winner.decision, Decision::Deny),
            Err(other) => panic!("{other:?}"),
        }
    }
}

async fn beyond_the_cap_what_was_allowed_first_becomes_unknown(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let mut grants = Vec::new();
    for _ in 0..10 {
        grants.push(started(&*store).await);
    }
    // Not in the order in which they were started.
    grants.reverse();
    for grant in &grants {
        store.decide_device_grant(yes(grant, &alice)).await.unwrap();
        db.pass_time(SECOND).await;
    }
    for (place, grant) in grants.iter().enumerate() {
        let answer = store.poll_device_grant(poll(grant)).await;
        match place {
            0 | 1 => assert!(matches!(answer, Err(PollDeviceGrantError::Unknown)), "{place}: {answer:?}"),
            _ => assert!(answer.is_ok(), "{place}: {answer:?}"),
        }
    }
}

async fn the_cap_of_allowed_grants_is_one_persons(db: impl Backend) {
    let store = db.open().await;
    let (alice, bob) = (user(&*store, "alice").await, user(&*store, "bob").await);
    let hers = allowed(&*store, &alice).await;
    for _ in 0..9 {
        allowed(&*store, &bob).await;
    }
    store.poll_device_grant(poll(&hers)).await.unwrap();
}

async fn what_is_denied_collected_or_expired_takes_no_place(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    for _ in 0..9 {
        allowed(&*store, &alice).await;
    }
    db.pass_time(10 * MINUTE).await;
    let first = allowed(&*store, &alice).await;
    for _ in 0..8 {
        let denied = started(&*store).await;
        store.decide_device_grant(no(&denied, &alice)).await.unwrap();
        let collected = allowed(&*store, &alice).await;
        store.poll_device_grant(poll(&collected)).await.unwrap();
    }
    store.poll_device_grant(poll(&first)).await.unwrap();
    assert_eq!(store.revoke(&Revoke::User(alice)).await.unwrap(), Some(9));
}

async fn a_dropped_future_leaves_a_grant_decided_or_waiting(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let mut finished = 0;
    for round in 0..60_u32 {
        let grant = started(&*store).await;
        let deciding = store.decide_device_grant(yes(&grant, &alice));
        finished += u32::from(cut_off(round, deciding).await.is_some());
        // The second call waits for whatever the first has begun.
        let again = store.decide_device_grant(yes(&grant, &alice)).await;
        assert!(matches!(again, Ok(()) | Err(DecideDeviceGrantError::NotWaiting)), "{again:?}");
        store.poll_device_grant(poll(&grant)).await.unwrap();
    }
    assert!((1..60).contains(&finished), "{finished} were not dropped");
}

async fn assert_not_waiting(store: &dyn Store, decision: DecideDeviceGrant) {
    let refused = store.decide_device_grant(decision).await;
    assert!(matches!(refused, Err(DecideDeviceGrantError::NotWaiting)), "{refused:?}");
}
