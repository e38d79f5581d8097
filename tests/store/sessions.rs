//! Sessions are opened, renewed, judged and listed.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use bridge_auth::id::CallSource;
use bridge_auth::store::{
    DeviceQuery, OpenSession, OpenSessionError, OpenedSession, Origin, RequestedId, Revoke, SessionKey,
    SessionLimit, SessionState, WhenFull,
};
use bridge_auth::{SessionId, UserId};
use futures_util::future::join_all;

use super::given::{
    DAY, HOUR, MINUTE, SECOND, changed, client_id, declared, is_good, new_session, open_hook, provision,
    rotate, row, scopes, session_id, sign_in, sign_in_to_stay, state, user, vouch,
};
use crate::support::{Backend, Listed as _};

super::promises![
    a_vouched_session_needs_a_known_enabled_user,
    a_vouched_session_has_the_asked_scopes_that_the_user_holds,
    a_new_declared_id_is_taken,
    an_own_live_declared_id_is_renewed,
    a_renewal_never_moves_the_expiry_nearer,
    a_revoked_declared_id_is_refused,
    an_expired_declared_id_is_refused,
    another_users_declared_id_is_refused,
    another_clients_declared_id_is_refused,
    a_fresh_id_renews_nothing,
    beyond_the_limit_those_end_that_were_renewed_least_recently,
    beyond_the_limit_what_assertions_opened_ends_first,
    beyond_the_limit_a_session_is_refused,
    racing_sessions_stay_within_the_limit,
    hook_sessions_take_no_place,
    a_renewal_takes_no_place,
    many_sessions_are_judged_at_once,
    a_row_keeps_its_mark_until_it_is_swept,
    a_session_expires_by_the_clock_of_the_database,
    live_sessions_are_listed_newest_first_with_their_origin,
    every_live_device_is_on_one_page,
    ids_of_odd_characters_survive,
];

async fn a_vouched_session_needs_a_known_enabled_user(db: impl Backend) {
    let store = db.open().await;
    let nobody = UserId::parse("nobody").unwrap();
    let refused = vouch(&*store, &nobody, new_session()).await;
    assert!(matches!(refused, Err(OpenSessionError::UnknownUser)), "{refused:?}");
    let alice = user(&*store, "alice").await;
    store.disable_user(&alice).await.unwrap();
    let refused = vouch(&*store, &alice, new_session()).await;
    assert!(matches!(refused, Err(OpenSessionError::UserDisabled)), "{refused:?}");
    store.enable_user(&alice).await.unwrap();
    vouch(&*store, &alice, new_session()).await.unwrap();
    assert_eq!(db.count("sessions").await, 1);
}

async fn a_vouched_session_has_the_asked_scopes_that_the_user_holds(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let before = SystemTime::now();
    let asked = scopes("read unheld");
    let open = OpenSession::Vouched { user: alice.clone(), scopes: asked, session: new_session() };
    let opened = store.open_session(open).await.unwrap();
    assert_eq!(opened.scopes, scopes("read"));
    assert_eq!(store.sessions_of(&alice).await.unwrap()[0].scopes, scopes("read"));
    assert_eq!((opened.user, opened.renewed), (alice, false));
    assert!(opened.authenticated_at >= before - SECOND && opened.authenticated_at <= before + MINUTE);
}

async fn a_new_declared_id_is_taken(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let opened = vouch(&*store, &alice, declared("laptop")).await.unwrap();
    assert_eq!(opened.id, session_id("laptop"));
    assert!(!opened.renewed);
    // An id is compared byte for byte.
    assert!(!vouch(&*store, &alice, declared("Laptop")).await.unwrap().renewed);
}

async fn an_own_live_declared_id_is_renewed(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    vouch(&*store, &alice, declared("laptop")).await.unwrap();
    db.pass_time(30 * MINUTE).await;
    let again = declared("laptop").origin(Origin::unknown().device_name("new name"));
    let open = OpenSession::Vouched { user: alice.clone(), scopes: scopes("read"), session: again };
    let renewed = store.open_session(open).await.unwrap();
    assert!(renewed.renewed);
    assert_eq!(renewed.expires_in.as_secs(), 3600);
    let listed = store.sessions_of(&alice).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].scopes, scopes("read"));
    assert_eq!(listed[0].origin.device_name.as_deref(), Some("new name"));
    assert!(listed[0].renewed_at >= listed[0].created_at + 29 * MINUTE);
}

async fn a_renewal_never_moves_the_expiry_nearer(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    vouch(&*store, &alice, declared("laptop")).await.unwrap();
    let renewed = vouch(&*store, &alice, changed(declared("laptop"), |new| new.life = MINUTE)).await.unwrap();
    assert!(renewed.renewed);
    assert!(renewed.expires_in > 59 * MINUTE, "{:?}", renewed.expires_in);
    let expires_at = store.sessions_of(&alice).await.unwrap()[0].expires_at;
    assert!(expires_at > SystemTime::now() + 58 * MINUTE);
}

async fn a_revoked_declared_id_is_refused(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let opened = vouch(&*store, &alice, declared("laptop")).await.unwrap();
    store.revoke(&Revoke::Session(opened.id.clone())).await.unwrap();
    assert_taken(&vouch(&*store, &alice, declared("laptop")).await);
    assert_eq!(state(&*store, &opened.id).await, Some(SessionState::Revoked));
}

async fn an_expired_declared_id_is_refused(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let opened = vouch(&*store, &alice, declared("laptop")).await.unwrap();
    db.pass_time(HOUR).await;
    assert_taken(&vouch(&*store, &alice, declared("laptop")).await);
    assert_eq!(state(&*store, &opened.id).await, Some(SessionState::Expired));
}

async fn another_users_declared_id_is_refused(db: impl Backend) {
    let store = db.open().await;
    let (alice, bob) = (user(&*store, "alice").await, user(&*store, "bob").await);
    vouch(&*store, &alice, declared("laptop")).await.unwrap();
    assert_taken(&vouch(&*store, &bob, declared("laptop")).await);
    assert_eq!(store.sessions_of(&alice).await.unwrap().len(), 1);
}

async fn another_clients_declared_id_is_refused(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    vouch(&*store, &alice, declared("laptop")).await.unwrap();
    let other = changed(declared("laptop"), |new| new.client = client_id("another"));
    assert_taken(&vouch(&*store, &alice, other).await);
}

async fn a_fresh_id_renews_nothing(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    vouch(&*store, &alice, declared("laptop")).await.unwrap();
    let same = changed(new_session(), |new| new.id = RequestedId::Fresh(session_id("laptop")));
    assert_taken(&vouch(&*store, &alice, same).await);
}

async fn beyond_the_limit_those_end_that_were_renewed_least_recently(db: impl Backend) {
    let store = db.open().await;
    let (alice, bob) = (user(&*store, "alice").await, user(&*store, "bob").await);
    let his = sign_in(&*store, &bob).await;
    let (laptop, token) = sign_in_to_stay(&*store, &alice).await;
    db.pass_time(SECOND).await;
    let declared_first = vouch(&*store, &alice, declared("desktop")).await.unwrap().id;
    let mut opened = Vec::new();
    for _ in 0..4 {
        db.pass_time(SECOND).await;
        opened.push(sign_in(&*store, &alice).await);
    }
    let secret = provision(&*store, &alice, &opened[0]).await.unwrap();
    let hook = open_hook(&*store, &alice, secret).await.unwrap().id;
    db.pass_time(SECOND).await;
    // The oldest two are those that were renewed last.
    rotate(&*store, token).await.unwrap();
    vouch(&*store, &alice, declared("desktop")).await.unwrap();
    let limit = SessionLimit::new(5, WhenFull::Evict);
    let newest = vouch(&*store, &alice, new_session().limit(limit)).await.unwrap();
    assert_eq!(newest.evicted, opened[..2]);
    for ended in [&opened[0], &opened[1], &hook] {
        assert_eq!(state(&*store, ended).await, Some(SessionState::Revoked));
    }
    for kept in [&laptop, &declared_first, &opened[2], &opened[3], &newest.id, &his] {
        assert_eq!(state(&*store, kept).await, Some(SessionState::Live));
    }
    assert!(!is_good(&*store, &alice, &secret).await);
}

/// An agent that sends an assertion for each call must not sign a person's bridges out.
async fn beyond_the_limit_what_assertions_opened_ends_first(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let limit = SessionLimit::new(4, WhenFull::Evict);
    let limited = || new_session().limit(limit);
    let asserted = || limited().origin(Origin::unknown().issuer("https://idp.example"));
    let mut bridges = Vec::new();
    for _ in 0..2 {
        bridges.push(vouch(&*store, &alice, limited()).await.unwrap().id);
        db.pass_time(SECOND).await;
    }
    let mut agents = Vec::new();
    for _ in 0..5 {
        agents.push(vouch(&*store, &alice, asserted()).await.unwrap());
        db.pass_time(SECOND).await;
    }
    for (number, agent) in agents.iter().enumerate() {
        let pushed_out: &[SessionId] =
            if number < 2 { &[] } else { std::slice::from_ref(&agents[number - 2].id) };
        assert_eq!(agent.evicted, pushed_out, "{number}");
    }
    // Whoever opens the new one, and also when a bridge was renewed least recently.
    assert_eq!(vouch(&*store, &alice, limited()).await.unwrap().evicted, [agents[3].id.clone()]);
    // Of several that end, those of assertions come first, each the least recently renewed first.
    let smaller = limited().limit(SessionLimit::new(2, WhenFull::Evict));
    let ended = vouch(&*store, &alice, smaller).await.unwrap().evicted;
    assert_eq!(ended, [&agents[4].id, &bridges[0], &bridges[1]].map(Clone::clone));
    // Where there is nothing else, an assertion ends a bridge.
    let bob = user(&*store, "bob").await;
    let mut his = Vec::new();
    for _ in 0..4 {
        his.push(vouch(&*store, &bob, limited()).await.unwrap().id);
        db.pass_time(SECOND).await;
    }
    assert_eq!(vouch(&*store, &bob, asserted()).await.unwrap().evicted, his[..1]);
}

async fn beyond_the_limit_a_session_is_refused(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let limit = SessionLimit::new(2, WhenFull::Refuse);
    let limited = || new_session().limit(limit);
    let first = vouch(&*store, &alice, limited()).await.unwrap();
    vouch(&*store, &alice, changed(limited(), |new| new.life = MINUTE)).await.unwrap();
    let refused = vouch(&*store, &alice, limited()).await;
    assert!(matches!(refused, Err(OpenSessionError::TooManySessions)), "{refused:?}");
    db.pass_time(MINUTE).await;
    vouch(&*store, &alice, limited()).await.expect("an expired session takes no place");
    store.revoke(&Revoke::Session(first.id)).await.unwrap();
    vouch(&*store, &alice, limited()).await.expect("a revoked session takes no place");
}

async fn racing_sessions_stay_within_the_limit(db: impl Backend) {
    let nodes = [db.open().await, db.open().await];
    let alice = user(&*nodes[0], "alice").await;
    for when_full in [WhenFull::Refuse, WhenFull::Evict] {
        let limit = SessionLimit::new(3, when_full);
        let racers = (0..20).map(|n| vouch(&*nodes[n % 2], &alice, new_session().limit(limit)));
        let opened = join_all(racers).await.into_iter().filter(Result::is_ok).count();
        assert_eq!(opened, if when_full == WhenFull::Refuse { 3 } else { 20 });
        assert_eq!(nodes[0].sessions_of(&alice).await.unwrap().len(), 3);
    }
}

async fn hook_sessions_take_no_place(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let limit = SessionLimit::new(2, WhenFull::Refuse);
    let device = vouch(&*store, &alice, new_session().limit(limit)).await.unwrap().id;
    let secret = provision(&*store, &alice, &device).await.unwrap();
    for _ in 0..3 {
        open_hook(&*store, &alice, secret).await.unwrap();
    }
    vouch(&*store, &alice, new_session().limit(limit)).await.unwrap();
    assert_eq!(store.sessions_of(&alice).await.unwrap().len(), 2);
    assert_eq!(db.count("sessions").await, 3);
}

async fn a_renewal_takes_no_place(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let other = sign_in(&*store, &alice).await;
    for when_full in [WhenFull::Refuse, WhenFull::Evict] {
        let limit = SessionLimit::new(2, when_full);
        for _ in 0..3 {
            vouch(&*store, &alice, declared("laptop").limit(limit)).await.unwrap();
        }
        assert_eq!(state(&*store, &other).await, Some(SessionState::Live));
    }
}

async fn many_sessions_are_judged_at_once(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let source = CallSource::parse("editor").unwrap();
    let (live, revoked) = (sign_in(&*store, &alice).await, sign_in(&*store, &alice).await);
    let short = changed(new_session().call_source(source.clone()), |new| new.life = MINUTE);
    let expired = vouch(&*store, &alice, short).await.unwrap().id;
    store.revoke(&Revoke::Session(revoked.clone())).await.unwrap();
    db.pass_time(MINUTE).await;
    let mut asked = vec![live.clone(), revoked.clone(), expired.clone()];
    asked.extend((0..1000).map(|_| SessionId::random()));
    let mut statuses = store.session_statuses(&asked).await.unwrap().found;
    statuses.sort_by_key(|status| asked.iter().position(|id| *id == status.id));
    let states: Vec<_> = statuses.iter().map(|status| (status.id.clone(), status.state)).collect();
    let expected =
        [(live, SessionState::Live), (revoked, SessionState::Revoked), (expired, SessionState::Expired)];
    assert_eq!(states, expected);
    assert!(statuses.iter().all(|status| status.user == alice && status.client == client_id("sp_bridge")));
    assert_eq!(statuses[2].call_source, source);
    assert!(statuses[2].expires_in.is_zero() && !statuses[0].expires_in.is_zero());
    assert!(store.session_statuses(&[]).await.unwrap().found.is_empty());

    let keys: Vec<_> = asked.into_iter().map(SessionKey::of).collect();
    let mut rows = store.row_states(&keys).await.unwrap().found;
    rows.sort_by_key(|row| keys.iter().position(|key| key.digest() == row.digest));
    assert_eq!(rows.len(), statuses.len());
    for (row, status) in rows.iter().zip(&statuses) {
        assert_eq!((row.row, row.state), (status.row, status.state));
        assert!(status.expires_in - row.expires_in < MINUTE, "{row:?}, {status:?}");
    }
    assert!(store.row_states(&[]).await.unwrap().found.is_empty());
}

async fn a_row_keeps_its_mark_until_it_is_swept(db: impl Backend) {
    let store = db.open().await;
    let (alice, bob) = (user(&*store, "alice").await, user(&*store, "bob").await);
    let (session, token) = sign_in_to_stay(&*store, &alice).await;
    let secret = provision(&*store, &alice, &session).await.unwrap();
    let hook = open_hook(&*store, &alice, secret).await.unwrap().id;
    let marks = async || (row(&*store, &session).await.unwrap().row, row(&*store, &hook).await.unwrap().row);
    let first = marks().await;
    rotate(&*store, token).await.unwrap();
    assert_eq!(marks().await, first);
    let renewal = changed(new_session(), |new| new.id = RequestedId::Declared(session.clone()));
    assert!(vouch(&*store, &alice, renewal.clone()).await.unwrap().renewed);
    assert_eq!(open_hook(&*store, &alice, secret).await.unwrap().id, hook);
    assert_eq!(marks().await, first);
    store.revoke(&Revoke::Session(session.clone())).await.unwrap();
    assert_eq!(marks().await, first);
    db.pass_time(40 * DAY).await;
    store.sweep(100).await.unwrap();
    assert_eq!(row(&*store, &session).await, None);
    vouch(&*store, &bob, renewal).await.unwrap();
    assert_ne!(row(&*store, &session).await.unwrap().row, first.0);
}

async fn a_session_expires_by_the_clock_of_the_database(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let session = sign_in(&*store, &alice).await;
    db.pass_time(HOUR - MINUTE).await;
    assert_eq!(state(&*store, &session).await, Some(SessionState::Live));
    db.pass_time(MINUTE).await;
    assert_eq!(state(&*store, &session).await, Some(SessionState::Expired));
    let at_once =
        vouch(&*store, &alice, changed(new_session(), |new| new.life = Duration::ZERO)).await.unwrap();
    assert_eq!(state(&*store, &at_once.id).await, Some(SessionState::Expired));
}

async fn live_sessions_are_listed_newest_first_with_their_origin(db: impl Backend) {
    let store = db.open().await;
    let (alice, bob) = (user(&*store, "alice").await, user(&*store, "bob").await);
    sign_in(&*store, &bob).await;
    let origin = Origin::unknown()
        .user_agent("bridge/1.0 'quoted' \"twice\"; DROP TABLE sessions")
        .address("2001:db8::1".parse().unwrap())
        .device_name("Alicé's ノート");
    let device = declared("laptop").origin(origin.clone());
    let device = vouch(&*store, &alice, device).await.unwrap().id;
    db.pass_time(SECOND).await;
    let revoked = sign_in(&*store, &alice).await;
    store.revoke(&Revoke::Session(revoked)).await.unwrap();
    vouch(&*store, &alice, changed(new_session(), |new| new.life = SECOND)).await.unwrap();
    db.pass_time(SECOND).await;
    let secret = provision(&*store, &alice, &device).await.unwrap();
    let hook = open_hook(&*store, &alice, secret).await.unwrap().id;
    let newer = sign_in(&*store, &alice).await;
    let listed = store.all_devices_of(&alice).await.unwrap();
    let ids: Vec<_> = listed.iter().map(|device| device.session.id.clone()).collect();
    assert_eq!(ids, [newer, device]);
    assert!(!listed[0].has_credential() && listed[0].hook_session.is_none());
    assert!(listed[1].secret_since.is_some() && listed[1].key_since.is_none());
    assert_eq!(listed[1].hook_session.as_ref().map(|hooks| &hooks.id), Some(&hook));
    assert_eq!(listed[0].session.origin, Origin::unknown());
    let shown = &listed[1].session;
    assert_eq!(shown.origin, origin);
    assert_eq!((&shown.user, &shown.client), (&alice, &client_id("sp_bridge")));
    assert_eq!(shown.call_source, CallSource::default());
    assert_eq!(shown.scopes, scopes("read write"));
    assert_eq!(shown.created_at, shown.renewed_at);
    assert_eq!(shown.expires_at, shown.created_at + HOUR);
    assert_eq!(shown.ends_at, shown.created_at + 30 * DAY);
}

async fn every_live_device_is_on_one_page(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let endless = SessionLimit::new(u32::MAX, WhenFull::Refuse);
    let mut opened = HashSet::new();
    for _ in 0..13 {
        let some = (0..39).map(|_| vouch(&*store, &alice, new_session().limit(endless)));
        opened.extend(join_all(some).await.into_iter().map(|opened| opened.unwrap().id));
    }
    for limit in [1, 7, 100, 507, 1000] {
        let mut query = DeviceQuery::default().limit(limit);
        let mut listed = Vec::new();
        loop {
            let page = store.devices_of(&alice, &query).await.unwrap();
            assert!(page.devices.len() <= limit as usize);
            listed.extend(page.devices.into_iter().map(|device| device.session));
            let Some(next) = page.next else { break };
            // What is linked meanwhile, or renewed, moves nothing.
            if limit == 100 {
                vouch(&*store, &alice, new_session().limit(endless)).await.unwrap();
            }
            query.after = Some(next.to_string().parse().unwrap());
        }
        assert!(listed.is_sorted_by(|a, b| a.created_at >= b.created_at));
        let ids: HashSet<_> = listed.iter().map(|session| session.id.clone()).collect();
        assert_eq!(ids.len(), listed.len(), "none is listed twice");
        assert!(opened.is_subset(&ids), "none is missing");
    }
}

async fn ids_of_odd_characters_survive(db: impl Backend) {
    let store = db.open().await;
    let odd =
        ["'; DROP TABLE users; --", "\"", "%_\\", "é", "e\u{301}", "日本語", "🦀", "$1", "?1", ":id", "NULL"];
    for (n, name) in odd.iter().map(|name| name.replace(' ', "/")).enumerate() {
        let person = user(&*store, &name).await;
        let source = CallSource::parse(&name).unwrap();
        let client = client_id(&format!("a'\"\\%_{n}"));
        let id = session_id(&format!("-_{n}_-"));
        let session = changed(new_session().call_source(source.clone()), |new| {
            new.id = RequestedId::Declared(id.clone());
            new.client = client.clone();
        });
        vouch(&*store, &person, session).await.unwrap();
        let status = store.session_statuses(&[id]).await.unwrap().found.remove(0);
        assert_eq!((status.user, status.client, status.call_source), (person.clone(), client, source));
        assert_eq!(store.sessions_of(&person).await.unwrap().len(), 1);
        assert_eq!(store.revoke(&Revoke::User(person)).await.unwrap(), Some(1));
    }
    assert_eq!(db.count("users").await, odd.len() as u64);
}

fn assert_taken(answer: &Result<OpenedSession, OpenSessionError>) {
    assert!(matches!(answer, Err(OpenSessionError::SessionTaken)), "{answer:?}");
}
