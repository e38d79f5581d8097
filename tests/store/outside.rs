//! A store outside this crate: what it is asked it can read, and what it answers it can make.

use std::time::{Duration, SystemTime};

use bridge_auth::id::{
    AssertionHash, Audience, CallSource, ClientSecret, CodeVerifier, ExchangeCode, KeyThumbprint,
    RefreshToken,
};
use bridge_auth::store::{
    Client, ClientCredential, ClientKey, DecideDeviceGrant, Decision, Device, DeviceCursor, DeviceGrant,
    DevicePage, DeviceQuery, EventAction, HookSession, KeyQuery, KnownUser, NewCode, NewDeviceGrant,
    NewSession, OpenedSession, Origin, PollDeviceGrant, ProvisionClient, ProvisionedClient, RedeemCode,
    RefreshSession, RefreshStatus, RequestedId, RevocationCursor, RevocationPage, RowMark, RowState,
    RowStates, SecurityEvent, Session, SessionKey, SessionLimit, SessionState, SessionStatus,
    SessionStatuses, SpentAssertion, Tick, UserPage, UserQuery, UserRecord, WhenFull,
};
use bridge_auth::{SessionId, UserId};

use super::given::{HOUR, MINUTE, client_id, scopes, session_id};

fn alice() -> UserId {
    UserId::parse("alice").unwrap()
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[test]
fn what_is_asked_has_defaults_for_all_that_is_not_required() {
    let user = KnownUser::new(alice(), scopes("read"));
    assert_eq!(user.hook_scopes, None);
    assert_eq!(user.hook_scopes(scopes("hook:track")).hook_scopes, Some(scopes("hook:track")));

    let hash = ExchangeCode::random().hash();
    let code = NewCode::new(hash, alice(), client_id("sp_bridge"), scopes("read"), MINUTE);
    assert_eq!((&code.challenge, &code.resource, code.life, code.max_open), (&None, &None, MINUTE, 8));
    assert_eq!((&code.redirect_uri, code.ticket), (&None, None));
    let (challenge, resource) = (CodeVerifier::random().challenge(), Audience::parse("mcp").unwrap());
    let code = code.challenge(challenge.clone()).resource(resource.clone()).max_open(2);
    assert_eq!((code.challenge, code.resource, code.max_open), (Some(challenge), Some(resource), 2));

    let session = NewSession::new(RequestedId::Fresh(SessionId::random()), client_id("sp_bridge"), HOUR);
    assert_eq!((session.life, session.max_life), (HOUR, HOUR));
    assert_eq!(session.limit, SessionLimit::new(64, WhenFull::Evict));
    assert_eq!((&session.origin, session.refresh.is_some()), (&Origin::unknown(), false));
    assert_eq!((&session.resource, &session.assertion), (&None, &None));
    let spent = SpentAssertion::new(AssertionHash::of(&client_id("idp"), "1"), MINUTE, at(7));
    let asserted = session.clone().assertion(spent).resource(Audience::parse("mcp").unwrap());
    assert_eq!((asserted.assertion, asserted.resource), (Some(spent), Audience::parse("mcp").ok()));
    let event = SecurityEvent::new(spent.hash.unwrap(), HOUR, EventAction::Disable(alice()));
    assert_eq!(
        (event.event, event.life, event.action),
        (spent.hash.unwrap(), HOUR, EventAction::Disable(alice()))
    );
    let redeem = RedeemCode::new(code.hash, session);
    assert_eq!((&redeem.challenge, &redeem.redirect_uri, &redeem.resource), (&None, &None, &None));
    assert_eq!(
        redeem.redirect_uri("https://a.example/cb").redirect_uri.as_deref(),
        Some("https://a.example/cb")
    );

    let [presented, successor] = [(); 2].map(|()| RefreshToken::random().hash());
    let refresh = RefreshSession::new(presented, successor, client_id("sp_bridge"), HOUR);
    assert_eq!((refresh.scopes, refresh.resource, refresh.grace), (None, None, MINUTE / 2));

    let secret = ClientCredential::Secret(ClientSecret::random().hash(None));
    let provision = ProvisionClient::new(client_id("bridge:alice"), alice(), SessionId::random(), secret);
    assert_eq!((provision.overlap, provision.max_devices), (MINUTE, 16));
    assert_eq!(provision.scopes, scopes(""));

    let asked = super::device_grants::new_grant();
    let grant = NewDeviceGrant::new(asked.device_code, asked.user_code, client_id("cli"));
    assert_eq!((grant.life, grant.interval), (10 * MINUTE, Duration::from_secs(5)));
    assert_eq!((&grant.scopes, &grant.resource, &grant.origin), (&None, &None, &Origin::unknown()));
    let grant = grant.scopes(scopes("read")).life(MINUTE).interval(MINUTE);
    assert_eq!((grant.scopes, grant.life, grant.interval), (Some(scopes("read")), MINUTE, MINUTE));
    let session = NewSession::new(RequestedId::Fresh(SessionId::random()), client_id("cli"), HOUR);
    assert_eq!(PollDeviceGrant::new(asked.device_code, session).resource, None);
    let denied = DecideDeviceGrant::new(asked.user_code, client_id("cli"), alice(), Decision::Deny);
    assert_eq!((denied.user, denied.decision), (alice(), Decision::Deny));

    let people = UserQuery::new("al");
    assert_eq!((&*people.text, &people.after, people.limit), ("al", &None, 100));
    assert_eq!(people.after(alice()).limit(1).after, Some(alice()));
    assert_eq!(KeyQuery::new("EdDSA").key_id, None);
    assert_eq!(KeyQuery::new("EdDSA").key_id("laptop").key_id.as_deref(), Some("laptop"));
    let query = DeviceQuery::default();
    assert_eq!((&query.after, query.limit), (&None, 100));
    let place = DeviceCursor::new(at(7), session_id("laptop"));
    assert_eq!(query.after(place.clone()).limit(1).after, Some(place));
}

#[test]
fn what_is_answered_can_be_made_and_what_is_not_set_lets_nobody_in() {
    let id = session_id("laptop");
    let opened = OpenedSession::new(id.clone(), alice(), scopes("read"), HOUR);
    assert_eq!((opened.authenticated_at, opened.renewed), (SystemTime::UNIX_EPOCH, false));
    assert_eq!((&opened.resource, &opened.evicted), (&None, &vec![]));
    let opened = opened.authenticated_at(at(5)).renewed(true).evicted([session_id("old")]);
    assert_eq!((opened.authenticated_at, opened.renewed), (at(5), true));
    assert_eq!(opened.evicted, [session_id("old")]);

    let row = RowMark::made_at(1);
    let status = SessionStatus::new(id.clone(), row, alice(), client_id("sp_bridge"));
    assert_eq!((status.state, status.expires_in), (SessionState::Expired, Duration::ZERO));
    let live = status.clone().state(SessionState::Live).expires_in(HOUR);
    assert_eq!((live.state, live.expires_in), (SessionState::Live, HOUR));
    let tick = Tick::new(3, 4);
    assert_eq!((tick.lease(), tick.number()), (3, 4));
    let statuses = SessionStatuses::new(vec![live], tick);
    let key = SessionKey::of(id.clone());
    let rows = RowStates::new(vec![RowState::new(key.digest(), row, HOUR, SessionState::Live)], tick);
    assert_eq!((statuses.tick, rows.tick, rows.found[0].row), (tick, tick, statuses.found[0].row));
    let refresh = RefreshStatus::new(status, scopes("read"), at(1), true);
    assert!(refresh.is_unused && refresh.issued_at == at(1));

    let hooks = HookSession::new(session_id("hooks"), at(2), at(3), at(4));
    assert_eq!((hooks.created_at, hooks.renewed_at, hooks.expires_at), (at(2), at(3), at(4)));
    let session = Session::new(id, alice(), client_id("sp_bridge"), scopes("read"))
        .call_source(CallSource::default())
        .origin(Origin::unknown().device_name("laptop"))
        .created_at(at(1))
        .renewed_at(at(2))
        .expires_at(at(3))
        .ends_at(at(4));
    assert_eq!((session.created_at, session.renewed_at), (at(1), at(2)));
    assert_eq!((session.expires_at, session.ends_at), (at(3), at(4)));
    let device = Device::new(session);
    assert!(!device.has_credential());
    let device = device.secret_since(at(2)).key_since(at(3)).hook_session(hooks).delegated(2);
    assert_eq!(device.delegated, 2);
    assert!(device.has_credential());
    let page = DevicePage::of(vec![device.clone(), device], &DeviceQuery::default().limit(1));
    assert_eq!(page.next, Some(DeviceCursor::new(at(1), session_id("laptop"))));

    let client = Client::new(client_id("bridge:alice"), alice(), scopes("hook:track"));
    assert_eq!(client.owner, alice());
    assert_eq!(ProvisionedClient::new(client.scopes, at(9)).ends_at, at(9));
    let key = ClientKey::new(KeyThumbprint::from_bytes(&[7; 32]).unwrap(), "{}");
    assert_eq!(key.jwk, "{}");

    let grant = DeviceGrant::new(client_id("cli"), at(3)).scopes(scopes("read"));
    assert_eq!((grant.scopes, grant.resource, grant.expires_at), (Some(scopes("read")), None, at(3)));
    let person = UserRecord::new(alice());
    assert_eq!((&person.label, person.disabled), (&None, false));
    let person = person.label("Alice").disabled(true);
    assert_eq!((person.label.as_deref(), person.disabled), (Some("Alice"), true));
    assert_eq!(UserPage::new(vec![UserRecord::new(alice())], Some(alice())).next, Some(alice()));

    let cursor = RevocationCursor::new(1, 2, tick);
    assert_eq!((cursor.place(), cursor.era(), cursor.tick()), (1, 2, tick));
    let page = RevocationPage::new(None, cursor, tick);
    assert_eq!((page.entries, page.next), (None, cursor));
}
