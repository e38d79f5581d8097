//! Security events that are pushed (RFC 8935).

use bridge_auth::external_issuer::{ExternalIssuer, ExternalSessions, HttpJwks, SecurityEvents};
use bridge_auth::{Bridge, BuildError, SessionId};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};

use super::super::Ahead;
use super::super::server::{Answering, AuthorizationServer, Key};
use super::{
    CAEP, EVENT_TYPE, RISC, SSF, World, id, is_event_error, is_taken, push, push_with, serve, trusted,
};
use crate::support::bridge::{ISSUER, builder, user};
use crate::support::gateway::{PREFIX, send};
use crate::support::record::Record;
use crate::support::{Backend, SqliteBackend};

crate::store::promises![
    m9_each_event_does_what_its_name_says,
    m9_an_event_that_comes_again_is_done_once,
    m9_a_disabled_person_links_no_more,
];

async fn m9_each_event_does_what_its_name_says(db: impl Backend) {
    let world = World::start(db).await;
    for event in ["session-revoked", "credential-change", "token-claims-change"] {
        let tokens = [world.gateway.link("alice").await, world.gateway.link("alice").await];
        let other = world.gateway.link("bob").await;
        let answer = world.tell(&format!("{CAEP}{event}"), "alice").await;
        assert!(is_taken(&answer), "{event}: {answer:?}");
        for token in tokens {
            assert!(!world.gateway.admits(&token).await, "{event}");
        }
        assert!(world.gateway.admits(&other).await, "{event}");
    }
}

async fn m9_a_disabled_person_links_no_more(db: impl Backend) {
    let world = World::start(db).await;
    for (event, person) in [("account-disabled", "alice"), ("account-purged", "bob")] {
        let (token, code) = (world.gateway.link(person).await, world.gateway.code(person).await);
        assert!(is_taken(&world.tell(&format!("{RISC}{event}"), person).await));
        assert!(!world.gateway.admits(&token).await, "{event}");
        assert_eq!(world.gateway.exchange(&code).await.status, 400, "{event}");
        let person = world.gateway.bridge.admin().user(&user(person)).await.unwrap().unwrap();
        assert!(person.disabled, "{event}");
        // Nothing that an issuer says lets somebody in again.
        assert!(is_taken(&world.tell(&format!("{RISC}account-enabled"), person.id.as_str()).await));
        let person = world.gateway.bridge.admin().user(&person.id).await.unwrap().unwrap();
        assert!(person.disabled, "{event}");
    }
}

async fn m9_an_event_that_comes_again_is_done_once(db: impl Backend) {
    let world = World::start(db).await;
    let token = world.gateway.link("alice").await;
    let event = world.event(&format!("{CAEP}session-revoked"), &world.iss_sub("alice"));
    assert!(is_taken(&world.push(&event).await) && !world.gateway.admits(&token).await);
    let token = world.gateway.link("alice").await;
    for _ in 0..3 {
        assert!(is_taken(&world.push(&event).await));
    }
    assert!(world.gateway.admits(&token).await, "the event was done before");
    let mut another = event;
    another["jti"] = id().into();
    assert!(is_taken(&world.push(&another).await) && !world.gateway.admits(&token).await);
}

#[tokio::test]
async fn no_event_about_a_person_names_the_account_of_a_workload() {
    let world = World::start(SqliteBackend::start().await).await;
    let (admin, account) = (world.gateway.bridge.admin(), user("client:runner"));
    let known = bridge_auth::SignedIn::new(account.clone(), bridge_auth::Scopes::default());
    world.gateway.bridge.issuer().register_user(&known).await.unwrap();
    for event in ["account-disabled", "account-purged"] {
        let answer = world.tell(&format!("{RISC}{event}"), account.as_str()).await;
        assert!(is_taken(&answer), "{event}: {answer:?}");
        assert!(!admin.user(&account).await.unwrap().unwrap().disabled, "{event}");
    }
}

#[tokio::test]
async fn m9_an_event_that_nobody_knows_is_accepted_and_changes_nothing() {
    let record = Record::default();
    let _listening = record.listen();
    let world = World::start(SqliteBackend::start().await).await;
    let token = world.gateway.link("alice").await;
    for event in [
        format!("{CAEP}device-compliance-change"),
        format!("{RISC}account-enabled"),
        "https://schemas.example.com/event/hat-changed".to_owned(),
        format!("{CAEP}session-revoked/"),
    ] {
        let answer = world.tell(&event, "alice").await;
        assert!(is_taken(&answer), "{event}: {answer:?}");
    }
    // A transmitter shows that its stream works.
    let stream = json!({ "format": "opaque", "id": "stream-1" });
    let mut verification = world.event(&format!("{SSF}verification"), &stream);
    verification["events"] = json!({ format!("{SSF}verification"): { "state": "a random text" } });
    assert!(is_taken(&world.push(&verification).await));
    assert!(world.gateway.admits(&token).await);
    let events: Vec<_> =
        record.audit().into_iter().filter(|event| event["event"] == "security_event_ignored").collect();
    assert_eq!(events.len(), 4, "{events:?}");
    assert_eq!(events[0]["issuer"], world.idp.issuer());
}

#[tokio::test]
async fn m8_each_error_has_its_code() {
    let world = World::start(SqliteBackend::start().await).await;
    let token = world.gateway.link("alice").await;
    let good = || world.event(&format!("{CAEP}session-revoked"), &world.iss_sub("alice"));
    let with = |name: &str, value: Value| {
        let mut claims = good();
        claims[name] = value;
        world.sign(EVENT_TYPE, &claims)
    };
    let without = |name: &str| {
        let mut claims = good();
        claims.as_object_mut().unwrap().remove(name);
        world.sign(EVENT_TYPE, &claims)
    };
    let stranger =
        Key::new("first").sign_under(&json!({ "alg": "EdDSA", "kid": "first", "typ": EVENT_TYPE }), &good());
    let unknown =
        Key::new("new").sign_under(&json!({ "alg": "EdDSA", "kid": "new", "typ": EVENT_TYPE }), &good());
    for (what, set, code) in [
        ("no JWT", "x".to_owned(), "invalid_request"),
        ("another type", world.sign("at+jwt", &good()), "invalid_request"),
        ("no iss", without("iss"), "invalid_request"),
        ("no jti", without("jti"), "invalid_request"),
        ("no iat", without("iat"), "invalid_request"),
        ("no aud", without("aud"), "invalid_request"),
        ("no events", without("events"), "invalid_request"),
        ("no subject", without("sub_id"), "invalid_request"),
        ("empty events", with("events", json!({})), "invalid_request"),
        (
            "an event that is no object",
            with("events", json!({ format!("{CAEP}session-revoked"): 7 })),
            "invalid_request",
        ),
        ("a malformed subject", with("sub_id", json!({ "format": "email" })), "invalid_request"),
        ("a wrong signature", stranger, "invalid_key"),
        ("an unknown key", unknown, "invalid_key"),
        ("another issuer", with("iss", json!("https://other.example")), "invalid_issuer"),
        ("another audience", with("aud", json!("https://other.example")), "invalid_audience"),
    ] {
        let answer = push(&world.gateway, &set).await;
        assert!(is_event_error(&answer, code), "{what}: {answer:?}");
    }
    let json = world.gateway.request(Method::POST, "/idp/events").header(CONTENT_TYPE, "application/jwt");
    let answer = send(json.body(world.sign(EVENT_TYPE, &good()))).await;
    assert_eq!((answer.status.as_u16(), answer.text("err").as_str()), (415, "invalid_request"));
    let answer = send(world.gateway.request(Method::GET, "/idp/events")).await;
    assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "POST"));
    assert!(world.gateway.admits(&token).await);
    assert!(is_taken(&push(&world.gateway, &world.sign(EVENT_TYPE, &good())).await));
}

#[tokio::test]
async fn m8_a_transmitter_shows_the_header_that_was_agreed() {
    let settings = SecurityEvents::new(ISSUER).authorization_header("Bearer agreed");
    let db = SqliteBackend::start().await;
    let world = World::with(db, |issuer| issuer.security_events(settings), |builder| builder).await;
    let token = world.gateway.link("alice").await;
    let set =
        world.sign(EVENT_TYPE, &world.event(&format!("{CAEP}session-revoked"), &world.iss_sub("alice")));
    let shown = |values: &[&'static str]| {
        let values = values.iter().map(|value| (AUTHORIZATION, HeaderValue::from_static(value)));
        let mut headers = HeaderMap::new();
        values.for_each(|(name, value)| {
            headers.append(name, value);
        });
        headers
    };
    for wrong in [&[][..], &["Bearer other"], &["bearer agreed"], &["Bearer agreed", "Bearer agreed"]] {
        let answer = push_with(&world.gateway, &set, shown(wrong)).await;
        assert!(is_event_error(&answer, "authentication_failed"), "{wrong:?}: {answer:?}");
    }
    assert!(world.gateway.admits(&token).await);
    assert!(is_taken(&push_with(&world.gateway, &set, shown(&["Bearer agreed"])).await));
    assert!(!world.gateway.admits(&token).await);
}

#[tokio::test]
async fn m8_an_issuer_whose_events_are_not_taken_has_no_access() {
    let (clock, db) = (Ahead::default(), SqliteBackend::start().await);
    let [taken, other] =
        [AuthorizationServer::start(clock.clone()).await, AuthorizationServer::start(clock.clone()).await];
    let people = super::People::default();
    let source = HttpJwks::new(other.jwks_url()).unwrap();
    let silent = ExternalIssuer::new(other.issuer(), source, ExternalSessions::None)
        .people(people.clone())
        .backchannel_logout("client");
    let bridge = builder(&db).await.clock(clock.clone()).trust(trusted(&taken, &people)).trust(silent);
    let gateway = serve(bridge.build().unwrap()).await;
    let claims = json!({
        "iss": other.issuer(), "aud": ISSUER, "jti": "1", "iat": other.claims()["iat"], "events": {},
    });
    let header = json!({ "alg": "EdDSA", "kid": "first", "typ": EVENT_TYPE });
    let answer = push(&gateway, &other.key.sign_under(&header, &claims)).await;
    assert!(is_event_error(&answer, "access_denied"), "{answer:?}");
}

#[tokio::test]
async fn m11_each_way_to_name_a_person_ends_their_sessions() {
    let world = World::start(SqliteBackend::start().await).await;
    let email = json!({ "format": "email", "email": "alice@example.com" });
    let opaque = json!({ "format": "opaque", "id": "opaque-alice" });
    let strange = json!({ "format": "phone_number", "phone_number": "+12065550100" });
    for who in [
        world.iss_sub("alice"),
        email.clone(),
        opaque.clone(),
        json!({ "format": "aliases", "identifiers": [strange, { "format": "email", "email": "old@other.example" }, email] }),
        json!({ "format": "complex", "user": opaque, "device": { "format": "opaque", "id": "laptop" } }),
    ] {
        let token = world.gateway.link("alice").await;
        let answer = world.push(&world.event(&format!("{CAEP}session-revoked"), &who)).await;
        assert!(is_taken(&answer), "{who}: {answer:?}");
        assert!(!world.gateway.admits(&token).await, "{who}");
    }
}

#[tokio::test]
async fn somebody_who_is_not_known_is_told_apart_from_what_is_refused() {
    let record = Record::default();
    let _listening = record.listen();
    let world = World::start(SqliteBackend::start().await).await;
    let token = world.gateway.link("alice").await;
    for who in [
        json!({ "format": "iss_sub", "iss": world.idp.issuer(), "sub": "unheard-of" }),
        // The issuer speaks for its own people alone.
        json!({ "format": "iss_sub", "iss": "https://other.example", "sub": "idp|alice" }),
        json!({ "format": "did", "url": "did:example:alice" }),
        // The host knows the name, and the store has no such person.
        world.iss_sub("mallory"),
    ] {
        let answer = world.push(&world.event(&format!("{RISC}account-disabled"), &who)).await;
        assert!(is_taken(&answer), "{who}: {answer:?}");
    }
    assert!(world.gateway.admits(&token).await);
    let events = record.audit();
    let count = |name: &str| events.iter().filter(|event| event["event"] == name).count();
    assert_eq!((count("revocation_unmapped"), count("revocation_received")), (3, 1), "{events:?}");
    let stranger = events.iter().find(|event| event["event"] == "revocation_received").unwrap();
    assert_eq!((&stranger["found"], &stranger["user_id"]), (&json!(false), &json!("mallory")));
    assert!(!record.text().contains("request refused"), "{}", record.text());
}

#[tokio::test]
async fn the_auditor_learns_who_said_what_about_whom() {
    let record = Record::default();
    let _listening = record.listen();
    let world = World::start(SqliteBackend::start().await).await;
    world.gateway.link("alice").await;
    let event = world.event(&format!("{CAEP}credential-change"), &world.iss_sub("alice"));
    assert!(is_taken(&world.push(&event).await) && is_taken(&world.push(&event).await));
    let told: Vec<_> = record.audit();
    let find =
        |name: &str| told.iter().find(|event| event["event"] == name).unwrap_or_else(|| panic!("{told:?}"));
    for name in ["revocation_received", "revocation_repeated"] {
        let event = find(name);
        assert_eq!(event["issuer"], world.idp.issuer(), "{event}");
        assert_eq!(event["protocol"], "security_event");
        assert_eq!(event["caused_by"], "credential-change");
        assert_eq!(event["user_id"], "alice");
    }
    assert_eq!(find("revocation_received")["sessions"], 1);
}

#[tokio::test]
async fn what_cannot_be_found_out_is_answered_with_503_and_can_be_sent_again() {
    let world = World::start(SqliteBackend::start().await).await;
    let token = world.gateway.link("alice").await;
    let set =
        world.sign(EVENT_TYPE, &world.event(&format!("{CAEP}session-revoked"), &world.iss_sub("alice")));
    world.idp.answer(Answering::Status(http::StatusCode::INTERNAL_SERVER_ERROR));
    let answer = push(&world.gateway, &set).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"), "{answer:?}");
    world.idp.publish(&[&world.idp.key]);
    world.clock.pass(super::super::WINDOW);
    *world.people.is_down.lock().unwrap() = true;
    let answer = push(&world.gateway, &set).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"), "{answer:?}");
    assert!(world.gateway.admits(&token).await);
    *world.people.is_down.lock().unwrap() = false;
    assert!(is_taken(&push(&world.gateway, &set).await) && !world.gateway.admits(&token).await);
}

#[tokio::test]
async fn a_session_of_the_issuer_that_the_host_knows_ends_alone() {
    let world = World::start(SqliteBackend::start().await).await;
    let (ending, staying) = (world.gateway.link("alice").await, world.gateway.link("alice").await);
    let session = world.gateway.call(Method::GET, "/v1/echo", &ending).await.text("session_id");
    let session = SessionId::parse(session).unwrap();
    world.people.sessions.lock().unwrap().insert("sso-1".to_owned(), session);
    let who = |session: &str| json!({ "format": "complex", "user": world.iss_sub("alice"), "session": { "format": "opaque", "id": session } });
    assert!(is_taken(&world.push(&world.event(&format!("{CAEP}session-revoked"), &who("sso-1"))).await));
    assert!(!world.gateway.admits(&ending).await && world.gateway.admits(&staying).await);
    // A session that the host does not know may be any of the person's.
    assert!(is_taken(&world.push(&world.event(&format!("{CAEP}session-revoked"), &who("sso-2"))).await));
    assert!(!world.gateway.admits(&staying).await);
}

#[tokio::test]
async fn nothing_is_there_until_an_issuer_is_configured_for_it() {
    let db = SqliteBackend::start().await;
    let gateway = serve(builder(&db).await.build().unwrap()).await;
    for endpoint in ["events", "global-token-revocation", "backchannel-logout"] {
        let answer = send(gateway.request(Method::POST, &format!("/idp/{endpoint}"))).await;
        assert_eq!(answer.status, 404, "{endpoint}: {answer:?}");
        let answer = send(gateway.request(Method::POST, &format!("{PREFIX}/{endpoint}"))).await;
        assert_eq!(answer.status, 404, "no other service has {endpoint}: {answer:?}");
    }
    let (clock, people) = (Ahead::default(), super::People::default());
    let idp = AuthorizationServer::start(clock).await;
    let nobody =
        ExternalIssuer::new(idp.issuer(), HttpJwks::new(idp.jwks_url()).unwrap(), ExternalSessions::None);
    let built =
        |issuer| async { Bridge::builder_with(ISSUER, keys(), db.open().await).trust(issuer).build() };
    let refused = built(nobody.backchannel_logout("client")).await.unwrap_err();
    assert!(matches!(refused, BuildError::NoPeople(_)), "{refused}");
    assert!(refused.to_string().ends_with("set ExternalIssuer::people"), "{refused}");
    let soon = SecurityEvents::new(ISSUER).max_age(std::time::Duration::from_secs(59));
    let refused = built(trusted(&idp, &people).security_events(soon)).await.unwrap_err();
    assert!(refused.to_string().contains("(SecurityEvents::max_age)"), "{refused}");
    let refused = built(trusted(&idp, &people).revocations_per_minute(0)).await.unwrap_err();
    assert!(refused.to_string().contains("revocations_per_minute"), "{refused}");
}

fn keys() -> bridge_auth::token::KeyRing {
    use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
    KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap()
}
