//! Every operation of the trait, so that each statement of each function runs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bridge_auth::id::{AssertionHash, ClientId, ExchangeCode, KeyThumbprint, RefreshHash, RefreshToken};
use bridge_auth::issue::Access;
use bridge_auth::store::{
    ClientCredential, ClientKey, ClientProof, DeviceQuery, EventAction, EventOutcome, KeyQuery, KnownUser,
    NewSession, OpenSession, Origin, RedeemCode, RefreshRefusal, RefreshSessionError, RequestedId,
    RevocationCursor, Revoke, SecurityEvent, SessionKey, SessionLimit, SpentAssertion, Store, UserQuery,
    WhenFull,
};
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use bridge_auth::{Freshness, SessionId, UserId};
use futures_util::future::join_all;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use tokio_postgres::Client;

use crate::store::delegated::agent;
use crate::store::device_grants::{new_grant, no, poll, yes};
use crate::store::given::{
    HOUR, MINUTE, SECOND, changed, client_id, new_code, new_secret, new_session, redeem, refresh,
    refreshable, scopes, secret_of, session_id,
};
use crate::support::bridge::{access, builder_over};

/// Asks the store for an operation, and notes its name.
macro_rules! ask {
    ($person:ident . $operation:ident ( $($argument:expr),* )) => {{
        $person.performed.insert(stringify!($operation));
        $person.store.$operation($($argument),*).await
    }};
}

struct Person<'a> {
    store: &'a dyn Store,
    admin: &'a Client,
    id: UserId,
    performed: BTreeSet<&'static str>,
}

/// Does all there is to do as the person `name`, whom nobody disabled; the names of what was done.
///
/// What no call leads to any more, such as rows from before a migration, `admin` makes.
pub async fn perform(store: &dyn Store, admin: &Client, name: &str) -> BTreeSet<&'static str> {
    let id = UserId::parse(name).unwrap();
    let mut person = Person { store, admin, id, performed: BTreeSet::new() };
    person.is_known().await;
    person.links().await;
    person.allows_devices().await;
    person.opens().await;
    person.refreshes().await;
    person.has_hooks().await;
    person.delegates().await;
    person.is_told_of().await;
    person.is_looked_up().await;
    person.ends().await;
    person.performed
}

/// What a gateway asks for by itself: its guard, strict and watched, and the watcher's readings of the log.
pub async fn guard(store: &Arc<dyn Store>, name: &str) {
    let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
    for freshness in [Freshness::Strict, Freshness::watched()] {
        let bridge = builder_over(store.clone(), keys.clone()).freshness(freshness).build().unwrap();
        let authenticator = bridge.authenticator("bridge").unwrap();
        let all = join_all((0..20).map(|_| access(&bridge, name, "read"))).await;
        let enter = async |access: &Access| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, access.token.to_header_value())]);
            authenticator.authenticate(&headers).await.unwrap();
        };
        enter(&all[0]).await;
        while freshness != Freshness::Strict && !bridge.watch_status().proven {
            tokio::time::sleep(SECOND / 100).await;
        }
        join_all(all.iter().map(enter)).await;
        bridge.admin().revoke_session(&all[0].session).await.unwrap();
    }
}

/// One that was issued later than all that was revoked before.
fn assertion() -> SpentAssertion {
    let hash = AssertionHash::of(&client_id("idp"), SessionId::random().as_str());
    SpentAssertion::new(hash, MINUTE, SystemTime::now() + SECOND)
}

impl Person<'_> {
    async fn is_known(&mut self) {
        for (scope, hook_scopes) in
            [("read", None), ("read write", None), ("read write", Some(scopes("hook:track")))]
        {
            let user = hook_scopes
                .into_iter()
                .fold(KnownUser::new(self.id.clone(), scopes(scope)), KnownUser::hook_scopes)
                .label("Alice@Example.com");
            ask!(self.put_user(&user)).unwrap();
            ask!(self.put_user(&user)).unwrap();
        }
        assert!(ask!(self.enable_user(&self.id)).unwrap());
        for text in ["", "a", "alice@", "%"] {
            let query = UserQuery::new(text).limit(100);
            ask!(self.users(&query)).unwrap();
            ask!(self.users(&query.after(self.id.clone()))).unwrap();
        }
    }

    /// Codes: at the cap, spent, replayed, unknown.
    async fn links(&mut self) {
        let mut last = None;
        for _ in 0..3 {
            let ticket = AssertionHash::of(&client_id("ticket"), SessionId::random().as_str());
            let code = new_code(&self.id).max_open(2).ticket(ticket, MINUTE);
            ask!(self.issue_code(code.clone())).unwrap();
            last = Some(code.hash);
        }
        let (session, _) = refreshable(new_session());
        let code = RedeemCode::new(last.unwrap(), session);
        ask!(self.redeem_code(code.clone())).unwrap();
        ask!(self.redeem_code(code)).unwrap_err();
        ask!(self.redeem_code(redeem(ExchangeCode::random().hash()))).unwrap_err();
    }

    /// Device grants: polled at once and too early, allowed at the cap, denied, unknown, with a code that is used again.
    async fn allows_devices(&mut self) {
        for place in 0..10 {
            let grant = new_grant();
            ask!(self.start_device_grant(grant.clone())).unwrap();
            ask!(self.start_device_grant(changed(new_grant(), |new| new.user_code = grant.user_code)))
                .unwrap_err();
            assert!(ask!(self.device_grant(&grant.user_code)).unwrap().is_some());
            for _ in 0..3 {
                ask!(self.poll_device_grant(poll(&grant))).unwrap_err();
            }
            let decide = if place == 0 { no } else { yes };
            ask!(self.decide_device_grant(decide(&grant, &self.id))).unwrap();
            ask!(self.decide_device_grant(decide(&grant, &self.id))).unwrap_err();
            if place == 9 {
                ask!(self.poll_device_grant(poll(&grant))).unwrap();
            }
        }
        ask!(self.poll_device_grant(poll(&new_grant()))).unwrap_err();
    }

    /// Sessions: new, declared, renewed, and one too many.
    async fn opens(&mut self) {
        let declared = format!("laptop-of-{}", SessionId::random());
        for _ in 0..2 {
            self.open(changed(new_session(), |new| new.id = RequestedId::Declared(session_id(&declared))))
                .await;
        }
        let limit = SessionLimit::new(1, WhenFull::Evict);
        self.open(new_session().limit(limit)).await;
        let page = DeviceQuery::default().limit(1);
        self.open(new_session()).await;
        let devices = ask!(self.devices_of(&self.id, &page)).unwrap();
        let page = page.after(devices.next.unwrap());
        ask!(self.devices_of(&self.id, &page)).unwrap();
    }

    /// Refresh tokens: used, used again, copied, and one from before V10.
    async fn refreshes(&mut self) {
        let (session, first) = refreshable(new_session());
        self.open(session).await;
        let use_of = |presented: RefreshHash| refresh(presented).grace(Duration::ZERO);
        let second = use_of(first);
        ask!(self.refresh_session(second.clone())).unwrap();
        let third = use_of(second.successor);
        ask!(self.refresh_session(third.clone())).unwrap();
        assert!(ask!(self.refresh_status(&third.successor)).unwrap().is_some());
        let copied = ask!(self.refresh_session(use_of(first)));
        assert!(
            matches!(copied, Err(RefreshSessionError::Refused(RefreshRefusal::Reused { .. }))),
            "{copied:?}"
        );

        let (session, old) = refreshable(new_session());
        self.open(session).await;
        let sql = "UPDATE bridge_auth.refresh_tokens SET rounds = NULL, is_followed = NULL WHERE hash = $1";
        assert_eq!(self.admin.execute(sql, &[&old.as_bytes().as_slice()]).await.unwrap(), 1);
        assert!(ask!(self.refresh_status(&old)).unwrap().is_some());
        ask!(self.refresh_session(use_of(old))).unwrap();
    }

    /// Hooks: a secret, its successors, a key, and the sessions they open.
    async fn has_hooks(&mut self) {
        let device = self.open(new_session()).await;
        let mut secret = new_secret(&self.id, &device);
        for _ in 0..3 {
            secret = new_secret(&self.id, &device);
            ask!(self.provision_client(secret.clone())).unwrap();
        }
        let client = ClientId::for_hooks_of(&self.id);
        let proof = ClientProof::Secret(secret_of(&secret));
        assert!(ask!(self.verify_client(&client, &proof)).unwrap().is_some());
        for origin in [Origin::unknown(), Origin::unknown(), Origin::unknown().device_name("moved")] {
            let session = changed(new_session().origin(origin), |new| new.client = client.clone());
            let open =
                OpenSession::Client { owner: self.id.clone(), proof, scopes: scopes("hook:track"), session };
            ask!(self.open_session(open)).unwrap();
        }

        let thumbprint = KeyThumbprint::from_bytes(RefreshToken::random().hash().as_bytes()).unwrap();
        let jwk = serde_json::json!({ "alg": "EdDSA", "kid": "laptop" }).to_string();
        let credential = ClientCredential::Key(ClientKey::new(thumbprint, jwk));
        let key = changed(new_secret(&self.id, &device), |new| new.credential = credential);
        ask!(self.provision_client(key)).unwrap();
        assert!(ask!(self.verify_client(&client, &ClientProof::Key(thumbprint))).unwrap().is_some());
        let encoded = URL_SAFE_NO_PAD.encode(thumbprint.as_bytes());
        for key_id in [None, Some("laptop".to_owned()), Some(encoded)] {
            let query = key_id.into_iter().fold(KeyQuery::new("EdDSA"), KeyQuery::key_id);
            assert_eq!(ask!(self.client_keys(&client, &query)).unwrap().len(), 1);
        }
        let assertion = AssertionHash::of(&client, SessionId::random().as_str());
        assert!(ask!(self.spend_assertion(&assertion, MINUTE)).unwrap());
        assert!(!ask!(self.spend_assertion(&assertion, MINUTE)).unwrap());
    }

    /// Delegated sessions: a chain, an assertion that is spent with one, one too many, and a client whose sessions end with what
    /// hangs on them.
    async fn delegates(&mut self) {
        for _ in 0..2 {
            let device = self.open(new_session().assertion(assertion())).await;
            let mut last = device.clone();
            for client in ["planner", "reader", "planner", "reader"] {
                let session = agent(client).assertion(assertion());
                last = ask!(self.open_session(self.exchange(&last, session))).unwrap().id;
            }
            ask!(self.open_session(self.exchange(&last, agent("planner")))).unwrap_err();
            let taken = changed(agent("planner").assertion(assertion()), |new| {
                new.id = RequestedId::Fresh(last.clone());
            });
            ask!(self.open_session(self.exchange(&device, taken))).unwrap_err();
            let full = agent("planner").limit(SessionLimit::new(4, WhenFull::Refuse));
            ask!(self.open_session(self.exchange(&device, full))).unwrap_err();
            let taken = changed(new_session().assertion(assertion()), |new| {
                new.id = RequestedId::Declared(last);
            });
            let open = OpenSession::Vouched { user: self.id.clone(), scopes: scopes("read"), session: taken };
            ask!(self.open_session(open)).unwrap_err();
        }
        let devices = ask!(self.devices_of(&self.id, &DeviceQuery::default())).unwrap().devices;
        assert_eq!(devices.iter().filter(|device| device.delegated == 4).count(), 2);
        let keep = devices.into_iter().find(|device| device.delegated == 4).unwrap().session.id;
        ask!(self.revoke(&Revoke::Others { user: self.id.clone(), keep })).unwrap();
        assert_eq!(ask!(self.revoke(&Revoke::Client(client_id("reader")))).unwrap(), Some(3));
    }

    /// Events of an external issuer, each of them twice.
    async fn is_told_of(&mut self) {
        let (one, two) = (self.open(new_session()).await, self.open(new_session()).await);
        let user = self.id.clone();
        for action in [
            EventAction::Revoke(Revoke::Session(one)),
            EventAction::Revoke(Revoke::Others { user: user.clone(), keep: two }),
            EventAction::Revoke(Revoke::Client(client_id("planner"))),
            EventAction::Revoke(Revoke::User(user.clone())),
            EventAction::Disable(user.clone()),
        ] {
            let event = SecurityEvent::new(assertion().hash.unwrap(), MINUTE, action);
            assert!(matches!(ask!(self.apply_event(&event)).unwrap(), EventOutcome::Done(Some(_))));
            assert_eq!(ask!(self.apply_event(&event)).unwrap(), EventOutcome::DoneBefore);
        }
        assert!(ask!(self.enable_user(&user)).unwrap());
        let nobody = UserId::parse(SessionId::random().as_str()).unwrap();
        let revoke = EventAction::Revoke(Revoke::User(nobody.clone()));
        let event = SecurityEvent::new(assertion().hash.unwrap(), MINUTE, revoke);
        assert_eq!(ask!(self.apply_event(&event)).unwrap(), EventOutcome::Done(None));
        ask!(self.add_user(&KnownUser::new(nobody, scopes("read")))).unwrap();
        let stranger = EventAction::Disable(UserId::parse(SessionId::random().as_str()).unwrap());
        let event = SecurityEvent::new(assertion().hash.unwrap(), MINUTE, stranger);
        assert_eq!(ask!(self.apply_event(&event)).unwrap(), EventOutcome::Done(None));
    }

    fn exchange(&self, parent: &SessionId, session: NewSession) -> OpenSession {
        let (user, parent, scopes) = (self.id.clone(), parent.clone(), scopes("read"));
        OpenSession::Delegated { user, parent, actor: None, scopes, session }
    }

    /// What every request asks, and what a watcher reads.
    async fn is_looked_up(&mut self) {
        ask!(self.ping()).unwrap();
        let _hints = self.store.revocation_hints();
        self.performed.insert("revocation_hints");
        let known = self.open(new_session()).await;
        for count in [1, 64] {
            let mut ids: Vec<_> = (1..count).map(|n| session_id(&format!("s{n}"))).collect();
            ids.push(known.clone());
            assert!(!ask!(self.session_statuses(&ids)).unwrap().found.is_empty());
            let keys: Vec<_> = ids.into_iter().map(SessionKey::of).collect();
            assert!(!ask!(self.row_states(&keys)).unwrap().found.is_empty());
        }
        let begun = ask!(self.revocations_since(&RevocationCursor::default(), 1000)).unwrap().next;
        ask!(self.revoke(&Revoke::Session(known))).unwrap();
        let page = ask!(self.revocations_since(&begun, 1000)).unwrap();
        assert!(page.entries.is_some_and(|entries| !entries.is_empty()));
        ask!(self.revocations_since(&page.next, 10)).unwrap();
    }

    /// Everything that ends something, and the broom.
    async fn ends(&mut self) {
        let (mine, device) = (self.open(new_session()).await, self.open(new_session()).await);
        let secret = new_secret(&self.id, &device);
        ask!(self.provision_client(secret.clone())).unwrap();
        let (user, client) = (self.id.clone(), ClientId::for_hooks_of(&self.id));
        let one = Revoke::SessionOf { user: user.clone(), session: mine };
        let others = Revoke::Others { user: user.clone(), keep: device.clone() };
        let all = Revoke::User(user.clone());
        for target in [one, others, Revoke::Session(device), Revoke::Client(client), all] {
            ask!(self.revoke(&target)).unwrap().unwrap();
        }
        assert!(ask!(self.disable_user(&user)).unwrap());
        assert!(ask!(self.enable_user(&user)).unwrap());
        ask!(self.sweep(100)).unwrap();
    }

    async fn open(&mut self, session: NewSession) -> SessionId {
        let session = changed(session, |new| new.life = HOUR);
        let open = OpenSession::Vouched { user: self.id.clone(), scopes: scopes("read"), session };
        ask!(self.open_session(open)).unwrap().id
    }
}
