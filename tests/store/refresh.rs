//! Refresh tokens rotate, and one that was copied ends its session.

use std::time::SystemTime;

use bridge_auth::id::{CallSource, RefreshToken};
use bridge_auth::store::{
    NewSession, Origin, RedeemCode, RefreshRefusal, RefreshSessionError, Revoke, SessionState,
};

use super::given::{
    DAY, HOUR, MINUTE, SECOND, changed, client_id, code, declared, new_session, refresh, refreshable, rotate,
    scopes, sign_in, sign_in_to_stay, state, user, vouch,
};
use crate::support::{Backend, Listed as _, known};

super::promises![
    a_refresh_token_extends_its_session_and_makes_the_next,
    the_first_refresh_token_comes_with_a_code_too,
    an_unknown_refresh_token_revokes_nothing,
    a_refresh_narrows_the_answer_and_not_the_session,
    scopes_that_the_session_does_not_have_change_nothing,
    a_session_keeps_the_scopes_that_its_user_still_holds,
    another_clients_refresh_token_changes_nothing,
    a_disabled_users_refresh_token_extends_nothing,
    the_absolute_end_holds_however_often_it_is_refreshed,
    a_refresh_never_moves_the_expiry_nearer,
    a_session_that_is_not_refreshed_ends,
    a_refresh_keeps_when_the_person_signed_in_and_a_new_code_does_not,
    of_two_codes_the_later_sign_in_counts,
    a_renewed_session_keeps_its_call_source,
    a_renewal_forgets_the_refresh_tokens_from_before,
    a_session_id_that_comes_back_fits_no_old_token,
    a_revoked_sessions_token_is_of_an_ended_session,
    a_refreshed_session_shows_where_it_was_refreshed,
    what_is_said_of_a_refresh_token_changes_nothing,
];

async fn a_refresh_token_extends_its_session_and_makes_the_next(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (session, mut token) = sign_in_to_stay(&*store, &alice).await;
    for _ in 0..5 {
        db.pass_time(HOUR / 2).await;
        let (refreshed, next) = rotate(&*store, token).await.unwrap();
        assert_eq!((&refreshed.id, &refreshed.user, refreshed.renewed), (&session, &alice, true));
        assert_eq!(refreshed.scopes, scopes("read write"));
        assert_eq!(refreshed.expires_in, HOUR);
        token = next;
    }
    assert_eq!(state(&*store, &session).await, Some(SessionState::Live));
    assert_eq!(db.count("sessions").await, 1);
}

async fn the_first_refresh_token_comes_with_a_code_too(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (session, token) = refreshable(new_session());
    let hash = code(&*store, &alice).await;
    let opened = store.redeem_code(RedeemCode::new(hash, session)).await.unwrap();
    assert_eq!(rotate(&*store, token).await.unwrap().0.id, opened.id);
}

async fn an_unknown_refresh_token_revokes_nothing(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (session, token) = sign_in_to_stay(&*store, &alice).await;
    let unknown = RefreshToken::random().hash();
    assert_eq!(refusal(rotate(&*store, unknown).await), RefreshRefusal::Unknown);
    assert!(store.refresh_status(&unknown).await.unwrap().is_none());
    // A session that was given none has none.
    sign_in(&*store, &alice).await;
    assert_eq!(db.count("refresh_tokens").await, 1);
    assert_eq!(state(&*store, &session).await, Some(SessionState::Live));
    rotate(&*store, token).await.unwrap();
}

async fn a_refresh_narrows_the_answer_and_not_the_session(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (_, token) = sign_in_to_stay(&*store, &alice).await;
    for asked in ["read", ""] {
        let new = refresh(token).scopes(scopes(asked));
        let refreshed = store.refresh_session(new).await.unwrap();
        assert_eq!(refreshed.scopes, scopes(asked));
    }
    assert_eq!(store.sessions_of(&alice).await.unwrap()[0].scopes, scopes("read write"));
    assert_eq!(rotate(&*store, token).await.unwrap().0.scopes, scopes("read write"));
}

async fn scopes_that_the_session_does_not_have_change_nothing(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (session, token) = sign_in_to_stay(&*store, &alice).await;
    db.pass_time(MINUTE).await;
    let before = store.sessions_of(&alice).await.unwrap();
    // The user holds `admin`, but did not hand it to this session.
    for asked in ["admin", "read admin", "rea", "READ"] {
        let new = refresh(token).scopes(scopes(asked));
        let refused = store.refresh_session(new).await;
        assert!(matches!(refused, Err(RefreshSessionError::Scopes)), "{asked}: {refused:?}");
    }
    assert_eq!(store.sessions_of(&alice).await.unwrap(), before);
    assert!(store.refresh_status(&token).await.unwrap().unwrap().is_unused);
    assert_eq!(rotate(&*store, token).await.unwrap().0.id, session);
}

async fn a_session_keeps_the_scopes_that_its_user_still_holds(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (_, token) = sign_in_to_stay(&*store, &alice).await;
    store.put_user(&known(&alice, &scopes("admin read"))).await.unwrap();
    let lost = refresh(token).scopes(scopes("write"));
    assert!(matches!(store.refresh_session(lost).await, Err(RefreshSessionError::Scopes)));
    let (refreshed, token) = rotate(&*store, token).await.unwrap();
    assert_eq!(refreshed.scopes, scopes("read"));
    // What was lost does not come back by itself.
    store.put_user(&known(&alice, &scopes("read write"))).await.unwrap();
    assert_eq!(rotate(&*store, token).await.unwrap().0.scopes, scopes("read"));
}

async fn another_clients_refresh_token_changes_nothing(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (session, old) = sign_in_to_stay(&*store, &alice).await;
    let (_, token) = rotate(&*store, old).await.unwrap();
    db.pass_time(HOUR / 2).await;
    for presented in [token, old] {
        let new = changed(refresh(presented), |new| new.client = client_id("other"));
        assert_eq!(refusal(store.refresh_session(new).await), RefreshRefusal::WrongClient);
    }
    assert_eq!(state(&*store, &session).await, Some(SessionState::Live));
    rotate(&*store, token).await.unwrap();
}

async fn a_disabled_users_refresh_token_extends_nothing(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (session, token) = sign_in_to_stay(&*store, &alice).await;
    store.disable_user(&alice).await.unwrap();
    // Disabling revokes all, so the token is dead twice over.
    let refused = refusal(rotate(&*store, token).await);
    assert!(matches!(refused, RefreshRefusal::SessionEnded | RefreshRefusal::UserDisabled), "{refused:?}");
    store.enable_user(&alice).await.unwrap();
    assert_eq!(refusal(rotate(&*store, token).await), RefreshRefusal::SessionEnded);
    assert_eq!(state(&*store, &session).await, Some(SessionState::Revoked));
}

async fn the_absolute_end_holds_however_often_it_is_refreshed(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (session, mut token) = refreshable(new_session().max_life(3 * HOUR));
    let session = vouch(&*store, &alice, session).await.unwrap().id;
    for left in [HOUR, HOUR, 36 * MINUTE] {
        db.pass_time(48 * MINUTE).await;
        let (refreshed, next) = rotate(&*store, token).await.unwrap();
        assert!(refreshed.expires_in <= left && refreshed.expires_in > left - MINUTE, "{refreshed:?}");
        token = next;
    }
    db.pass_time(36 * MINUTE).await;
    assert_eq!(refusal(rotate(&*store, token).await), RefreshRefusal::SessionEnded);
    assert_eq!(state(&*store, &session).await, Some(SessionState::Expired));
    // A session never lives longer than that in the first place.
    let short = new_session().max_life(MINUTE);
    assert_eq!(vouch(&*store, &alice, short).await.unwrap().expires_in, MINUTE);
}

async fn a_refresh_never_moves_the_expiry_nearer(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (_, token) = sign_in_to_stay(&*store, &alice).await;
    let short = changed(refresh(token), |new| new.life = SECOND);
    assert!(store.refresh_session(short).await.unwrap().expires_in > 59 * MINUTE);
}

async fn a_session_that_is_not_refreshed_ends(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (session, token) = sign_in_to_stay(&*store, &alice).await;
    db.pass_time(HOUR).await;
    assert_eq!(refusal(rotate(&*store, token).await), RefreshRefusal::SessionEnded);
    assert_eq!(state(&*store, &session).await, Some(SessionState::Expired));
}

async fn a_refresh_keeps_when_the_person_signed_in_and_a_new_code_does_not(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let day = |session: NewSession| changed(session.max_life(2 * DAY), |new| new.life = DAY);
    let (session, token) = refreshable(day(declared("laptop")));
    let hash = code(&*store, &alice).await;
    let opened = store.redeem_code(RedeemCode::new(hash, session)).await.unwrap();
    db.pass_time(23 * HOUR).await;
    let (refreshed, _) = rotate(&*store, token).await.unwrap();
    let signed_in = opened.authenticated_at - 23 * HOUR;
    assert_eq!(refreshed.authenticated_at, signed_in);

    let (session, token) = refreshable(day(declared("laptop")));
    let late = code(&*store, &alice).await;
    let again = store.redeem_code(RedeemCode::new(late, session)).await.unwrap();
    assert!(again.renewed && again.authenticated_at > signed_in + 22 * HOUR);
    // The absolute end was 25 hours away and is 48 again.
    db.pass_time(23 * HOUR).await;
    let new = changed(refresh(token), |new| new.life = 2 * DAY);
    let refreshed = store.refresh_session(new).await.unwrap();
    assert_eq!(refreshed.authenticated_at, again.authenticated_at - 23 * HOUR);
    assert!(refreshed.expires_in > 24 * HOUR && refreshed.expires_in <= 25 * HOUR, "{refreshed:?}");
}

async fn of_two_codes_the_later_sign_in_counts(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let early = code(&*store, &alice).await;
    db.pass_time(MINUTE).await;
    let late = code(&*store, &alice).await;
    let with = |hash| RedeemCode::new(hash, declared("laptop"));
    let signed_in = store.redeem_code(with(late)).await.unwrap().authenticated_at;
    let again = store.redeem_code(with(early)).await.unwrap();
    assert_eq!((again.renewed, again.authenticated_at), (true, signed_in));
}

async fn a_renewed_session_keeps_its_call_source(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let editor = CallSource::parse("editor").unwrap();
    let first = declared("laptop").call_source(editor.clone());
    assert_eq!(vouch(&*store, &alice, first).await.unwrap().call_source, editor);
    let (session, token) = refreshable(declared("laptop"));
    let renewed = vouch(&*store, &alice, session).await.unwrap();
    assert_eq!((renewed.renewed, &renewed.call_source), (true, &editor));
    assert_eq!(rotate(&*store, token).await.unwrap().0.call_source, editor);
}

async fn a_renewal_forgets_the_refresh_tokens_from_before(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let (session, old) = refreshable(declared("laptop"));
    vouch(&*store, &alice, session).await.unwrap();
    let (_, newest) = rotate(&*store, old).await.unwrap();
    let (session, token) = refreshable(declared("laptop"));
    vouch(&*store, &alice, session).await.unwrap();
    for forgotten in [old, newest] {
        assert_eq!(refusal(rotate(&*store, forgotten).await), RefreshRefusal::Unknown);
        assert!(store.refresh_status(&forgotten).await.unwrap().is_none());
    }
    // So they are by one that gives no new one.
    let (_, token) = rotate(&*store, token).await.unwrap();
    vouch(&*store, &alice, declared("laptop")).await.unwrap();
    assert_eq!(refusal(rotate(&*store, token).await), RefreshRefusal::Unknown);
    assert_eq!(store.sessions_of(&alice).await.unwrap().len(), 1);
}

async fn a_session_id_that_comes_back_fits_no_old_token(db: impl Backend) {
    let store = db.open().await;
    let (alice, bob) = (user(&*store, "alice").await, user(&*store, "bob").await);
    let (session, old) = refreshable(declared("laptop"));
    vouch(&*store, &alice, session).await.unwrap();
    let (_, newest) = rotate(&*store, old).await.unwrap();
    db.pass_time(2 * HOUR + SECOND).await;
    store.sweep(100).await.unwrap();
    vouch(&*store, &bob, refreshable(declared("laptop")).0).await.unwrap();
    for token in [old, newest] {
        assert_eq!(refusal(rotate(&*store, token).await), RefreshRefusal::Unknown);
    }
    assert_eq!(store.sessions_of(&bob).await.unwrap().len(), 1);
}

async fn a_revoked_sessions_token_is_of_an_ended_session(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    for target in [Revoke::User(alice.clone()), Revoke::Client(client_id("sp_bridge"))] {
        let (session, token) = sign_in_to_stay(&*store, &alice).await;
        store.revoke(&target).await.unwrap();
        assert_eq!(refusal(rotate(&*store, token).await), RefreshRefusal::SessionEnded);
        let status = store.refresh_status(&token).await.unwrap().unwrap();
        assert_eq!((status.session.id, status.session.state), (session, SessionState::Revoked));
    }
}

async fn a_refreshed_session_shows_where_it_was_refreshed(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let home = Origin::unknown().user_agent("bridge/1").device_name("laptop").address([192, 0, 2, 1].into());
    let (session, token) = refreshable(new_session().origin(home));
    vouch(&*store, &alice, session).await.unwrap();
    db.pass_time(MINUTE).await;
    let away = Origin::unknown().user_agent("bridge/2").address([2001, 0xdb8, 0, 0, 0, 0, 0, 1].into());
    store.refresh_session(refresh(token).origin(away.clone())).await.unwrap();
    let shown = store.sessions_of(&alice).await.unwrap().remove(0);
    assert_eq!(shown.origin, away.device_name("laptop"), "who tells no name keeps the one there is");
    assert!(shown.renewed_at >= shown.created_at + MINUTE);
}

async fn what_is_said_of_a_refresh_token_changes_nothing(db: impl Backend) {
    let store = db.open().await;
    let alice = user(&*store, "alice").await;
    let issued = SystemTime::now();
    let (session, token) = sign_in_to_stay(&*store, &alice).await;
    let (_, next) = rotate(&*store, token).await.unwrap();
    db.pass_time(MINUTE).await;
    for (token, is_newest) in [(token, false), (next, true)] {
        let status = store.refresh_status(&token).await.unwrap().unwrap();
        assert_eq!((&status.session.id, &status.session.user), (&session, &alice));
        assert_eq!((status.session.state, status.is_unused), (SessionState::Live, is_newest));
        assert_eq!((status.session.client, status.scopes), (client_id("sp_bridge"), scopes("read write")));
        assert!(status.issued_at >= issued - MINUTE - SECOND && status.issued_at <= issued);
    }
    rotate(&*store, next).await.unwrap();
}

pub fn refusal<T: std::fmt::Debug>(answer: Result<T, RefreshSessionError>) -> RefreshRefusal {
    match answer {
        Err(RefreshSessionError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}
