//! A delegated session hangs on another session of the same person: it is never wider, never longer, and there are not many.

use std::time::Duration;

use bridge_auth::id::{Audience, ClientId};
use bridge_auth::store::{
    KnownUser, NewSession, OpenSession, OpenSessionError, OpenedSession, Origin, ProvisionClientError,
    RequestedId, Revoke, SessionLimit, SessionState, Store, WhenFull,
};
use bridge_auth::token::Actor;
use bridge_auth::{SessionId, UserId};

use super::given::{
    HOUR, MINUTE, changed, client_id, declared, new_session, open_hook, provision, scopes, session_id,
    sign_in, state, user, vouch,
};
use crate::support::{Backend, Listed as _};

super::promises![
    a_delegated_session_is_live_beside_its_parent_and_expires_no_later,
    a_delegated_session_is_no_wider_than_the_person_and_its_parent,
    a_chain_has_four_delegated_sessions_at_most,
    a_device_has_as_many_delegated_sessions_as_the_limit_says_at_any_depth,
    only_a_live_session_of_the_same_enabled_person_is_a_parent,
    a_session_of_hooks_is_no_parent,
    a_delegated_session_is_nobodys_to_renew_or_to_declare,
    a_delegated_session_has_no_hook_credential,
    a_delegated_session_is_no_session_of_hooks,
    a_delegated_session_is_no_device_and_takes_no_place_of_one,
    of_many_calls_as_many_open_one_as_there_are_places,
];

/// The session of an agent that acts for a person.
pub fn agent(client: &str) -> NewSession {
    NewSession::new(RequestedId::Fresh(SessionId::random()), client_id(client), HOUR)
        .limit(SessionLimit::new(32, WhenFull::Refuse))
}

/// Exchanges a token of `parent` for `session`.
pub async fn exchange(
    store: &dyn Store,
    user: &UserId,
    parent: &SessionId,
    session: NewSession,
) -> Result<OpenedSession, OpenSessionError> {
    let actor = Actor::new(session.client.as_str(), None).ok().map(Box::new);
    let (user, parent) = (user.clone(), parent.clone());
    store
        .open_session(OpenSession::Delegated { user, parent, actor, scopes: scopes("read write"), session })
        .await
}

/// A delegated session of `client` that hangs on `parent`.
pub async fn hang(store: &dyn Store, user: &UserId, parent: &SessionId, client: &str) -> SessionId {
    exchange(store, user, parent, agent(client)).await.unwrap().id
}

async fn delegated(store: &dyn Store, user: &UserId) -> Vec<u64> {
    let devices = store.all_devices_of(user).await.unwrap();
    devices.into_iter().map(|device| device.delegated).collect()
}

async fn a_delegated_session_is_live_beside_its_parent_and_expires_no_later(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let parent = vouch(&*store, &alice, new_session()).await.unwrap();
    db.pass_time(MINUTE).await;
    let origin = Origin::unknown().user_agent("agent/1");
    let long = changed(agent("planner"), |new| new.life = 2 * HOUR).max_life(9 * HOUR).origin(origin);
    let child = exchange(&*store, &alice, &parent.id, long).await.unwrap();
    assert!(!child.renewed && child.evicted.is_empty());
    assert_eq!((&child.user, &child.scopes), (&alice, &scopes("read write")));
    let left = HOUR - MINUTE;
    assert!(child.expires_in <= left && child.expires_in > left - MINUTE / 2, "{:?}", child.expires_in);
    let signed_in = parent.authenticated_at - MINUTE;
    assert!(child.authenticated_at <= signed_in + Duration::from_millis(1), "{child:?}");
    assert!(child.authenticated_at + Duration::from_millis(1) >= signed_in, "{child:?}");
    let short = changed(agent("planner"), |new| new.life = MINUTE);
    let brief = exchange(&*store, &alice, &child.id, short).await.unwrap();
    assert!(brief.expires_in <= MINUTE);
    for session in [&parent.id, &child.id, &brief.id] {
        assert_eq!(state(&*store, session).await, Some(SessionState::Live));
    }
    let status = store.session_statuses(std::slice::from_ref(&child.id)).await.unwrap().found.remove(0);
    assert_eq!((status.user, status.client), (alice.clone(), client_id("planner")));
    db.pass_time(MINUTE).await;
    assert_eq!(state(&*store, &brief.id).await, Some(SessionState::Expired));
    db.pass_time(HOUR - 2 * MINUTE).await;
    assert_eq!(state(&*store, &child.id).await, Some(SessionState::Expired));
}

async fn a_delegated_session_is_no_wider_than_the_person_and_its_parent(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let open = async |open: OpenSession| store.open_session(open).await.unwrap();
    let of = |parent: &SessionId, asked: &str, session: NewSession| OpenSession::Delegated {
        user: alice.clone(),
        parent: parent.clone(),
        actor: None,
        scopes: scopes(asked),
        session,
    };
    let session = new_session();
    let read = open(OpenSession::Vouched { user: alice.clone(), scopes: scopes("read"), session }).await;
    let child = open(of(&read.id, "admin read write", agent("planner"))).await;
    assert_eq!(child.scopes, scopes("read"));
    let wide = vouch(&*store, &alice, new_session()).await.unwrap().id;
    store.put_user(&KnownUser::new(alice.clone(), scopes("write"))).await.unwrap();
    let child = open(of(&wide, "read write", agent("planner"))).await;
    assert_eq!(child.scopes, scopes("write"), "the person lost the other one");

    let [mail, files] =
        ["https://mail.example", "https://files.example"].map(|uri| Audience::parse(uri).unwrap());
    let child = open(of(&wide, "write", agent("planner").resource(mail.clone()))).await;
    assert_eq!(child.resource, Some(mail.clone()));
    for asked in [agent("reader"), agent("reader").resource(files)] {
        let below = open(of(&child.id, "write", asked)).await;
        assert_eq!(below.resource, Some(mail.clone()), "its parent is bound to this one");
    }
}

async fn a_chain_has_four_delegated_sessions_at_most(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let mut last = sign_in(&*store, &alice).await;
    for n in 0..Actor::MAX_DEPTH {
        last = hang(&*store, &alice, &last, &format!("agent-{n}")).await;
    }
    let deeper = exchange(&*store, &alice, &last, agent("agent-4")).await;
    assert!(matches!(deeper, Err(OpenSessionError::TooDeep)), "{deeper:?}");
    assert_eq!(delegated(&*store, &alice).await, [4]);
}

async fn a_device_has_as_many_delegated_sessions_as_the_limit_says_at_any_depth(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (device, other) = (sign_in(&*store, &alice).await, sign_in(&*store, &alice).await);
    let secret = provision(&*store, &alice, &device).await.unwrap();
    open_hook(&*store, &alice, secret).await.unwrap();
    // Whatever is said of a full house: the eldest of these is not ended for a new one.
    let session = || agent("planner").limit(SessionLimit::new(6, WhenFull::Evict));
    let open = async |parent: &SessionId| exchange(&*store, &alice, parent, session()).await;
    let first = open(&device).await.unwrap().id;
    let second = open(&first).await.unwrap().id;
    let third = open(&second).await.unwrap().id;
    for parent in [&device, &second] {
        open(parent).await.unwrap();
    }
    let short = exchange(&*store, &alice, &first, changed(session(), |new| new.life = MINUTE)).await.unwrap();
    for parent in [&device, &first, &third] {
        let refused = open(parent).await;
        assert!(matches!(refused, Err(OpenSessionError::TooManySessions)), "{refused:?}");
    }
    open(&other).await.unwrap();
    db.pass_time(MINUTE).await;
    assert_eq!(state(&*store, &short.id).await, Some(SessionState::Expired));
    open(&third).await.expect("one place is free");
    open(&device).await.unwrap_err();
    assert_eq!(store.revoke(&Revoke::Session(second)).await.unwrap(), Some(4));
    for _ in 0..4 {
        open(&first).await.expect("four places are free");
    }
    open(&device).await.unwrap_err();
    let mut shown = delegated(&*store, &alice).await;
    shown.sort_unstable();
    assert_eq!(shown, [1, 6]);
}

async fn only_a_live_session_of_the_same_enabled_person_is_a_parent(db: impl Backend) {
    let store = db.open().await;
    let (alice, bob) = (user(&*store, "alice").await, user(&*store, "bob").await);
    let (hers, his) = (sign_in(&*store, &alice).await, sign_in(&*store, &bob).await);
    let revoked = sign_in(&*store, &alice).await;
    store.revoke(&Revoke::Session(revoked.clone())).await.unwrap();
    let ended = hang(&*store, &alice, &hers, "planner").await;
    store.revoke(&Revoke::Session(ended.clone())).await.unwrap();
    let short = changed(new_session(), |new| new.life = MINUTE);
    let expired = vouch(&*store, &alice, short).await.unwrap().id;
    db.pass_time(MINUTE).await;
    for parent in [&his, &revoked, &ended, &expired, &SessionId::random()] {
        let refused = exchange(&*store, &alice, parent, agent("planner")).await;
        assert!(matches!(refused, Err(OpenSessionError::ParentEnded)), "{parent}: {refused:?}");
    }
    let nobody = UserId::parse("nobody").unwrap();
    let refused = exchange(&*store, &nobody, &hers, agent("planner")).await;
    assert!(matches!(refused, Err(OpenSessionError::UnknownUser)), "{refused:?}");
    hang(&*store, &alice, &hers, "planner").await;
    store.disable_user(&alice).await.unwrap();
    let refused = exchange(&*store, &alice, &hers, agent("planner")).await;
    assert!(matches!(refused, Err(OpenSessionError::UserDisabled)), "{refused:?}");
    store.enable_user(&alice).await.unwrap();
    let refused = exchange(&*store, &alice, &hers, agent("planner")).await;
    assert!(matches!(refused, Err(OpenSessionError::ParentEnded)), "{refused:?}");
}

async fn a_session_of_hooks_is_no_parent(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let device = sign_in(&*store, &alice).await;
    let secret = provision(&*store, &alice, &device).await.unwrap();
    let hook = open_hook(&*store, &alice, secret).await.unwrap().id;
    let refused = exchange(&*store, &alice, &hook, agent("planner")).await;
    assert!(matches!(refused, Err(OpenSessionError::ParentEnded)), "{refused:?}");
}

async fn a_delegated_session_is_nobodys_to_renew_or_to_declare(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let parent = sign_in(&*store, &alice).await;
    let child = hang(&*store, &alice, &parent, "sp_bridge").await;
    let taken = |refused: Result<OpenedSession, OpenSessionError>| {
        assert!(matches!(refused, Err(OpenSessionError::SessionTaken)), "{refused:?}");
    };
    taken(vouch(&*store, &alice, declared(child.as_str())).await);
    let again = RequestedId::Fresh(child.clone());
    taken(exchange(&*store, &alice, &parent, changed(agent("planner"), |new| new.id = again)).await);
    let own = RequestedId::Declared(session_id("mine"));
    taken(exchange(&*store, &alice, &parent, changed(agent("planner"), |new| new.id = own)).await);
    assert_eq!(state(&*store, &session_id("mine")).await, None);
    assert_eq!(state(&*store, &child).await, Some(SessionState::Live));
}

async fn a_delegated_session_has_no_hook_credential(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let parent = sign_in(&*store, &alice).await;
    let child = hang(&*store, &alice, &parent, "planner").await;
    let refused = provision(&*store, &alice, &child).await;
    assert!(matches!(refused, Err(ProvisionClientError::SessionNotLive)), "{refused:?}");
    provision(&*store, &alice, &parent).await.unwrap();
}

/// Even of the hook client itself, which no gateway lets exchange anything.
async fn a_delegated_session_is_no_session_of_hooks(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let parent = sign_in(&*store, &alice).await;
    let secret = provision(&*store, &alice, &parent).await.unwrap();
    let child = hang(&*store, &alice, &parent, ClientId::for_hooks_of(&alice).as_str()).await;
    let hook = open_hook(&*store, &alice, secret).await.unwrap();
    assert!(!hook.renewed && hook.id != child);
    let device = store.all_devices_of(&alice).await.unwrap().remove(0);
    assert_eq!(device.hook_session.map(|shown| shown.id), Some(hook.id));
    assert_eq!(device.delegated, 1);
}

async fn a_delegated_session_is_no_device_and_takes_no_place_of_one(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let limit = SessionLimit::new(2, WhenFull::Refuse);
    let one = vouch(&*store, &alice, new_session().limit(limit)).await.unwrap().id;
    let child = hang(&*store, &alice, &one, "planner").await;
    hang(&*store, &alice, &child, "reader").await;
    let two = vouch(&*store, &alice, new_session().limit(limit)).await.unwrap().id;
    vouch(&*store, &alice, new_session().limit(limit)).await.unwrap_err();
    let devices = store.all_devices_of(&alice).await.unwrap();
    let shown: Vec<_> = devices.iter().map(|device| (&device.session.id, device.delegated)).collect();
    assert_eq!(shown, [(&two, 0), (&one, 2)]);
}

async fn of_many_calls_as_many_open_one_as_there_are_places(db: impl Backend) {
    let nodes = [db.open().await, db.open().await];
    let alice = user(&*nodes[0], "alice").await;
    let parent = sign_in(&*nodes[0], &alice).await;
    let calls = (0..24).map(|n| {
        let session = agent("planner").limit(SessionLimit::new(5, WhenFull::Refuse));
        exchange(&*nodes[n % 2], &alice, &parent, session)
    });
    let answers = futures_util::future::join_all(calls).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 5);
    let full = |answer: &Result<_, _>| matches!(answer, Err(OpenSessionError::TooManySessions));
    assert_eq!(answers.iter().filter(|answer| full(answer)).count(), 19);
    assert_eq!(delegated(&*nodes[1], &alice).await, [5]);
}
