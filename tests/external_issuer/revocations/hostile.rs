//! Messages that are forged, stale, meant for others, or in the place of another kind.

use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use serde_json::{Value, json};

use super::super::server::{AuthorizationServer, Key};
use super::{
    CAEP, CLIENT, EVENT_TYPE, GLOBAL_TYPE, LOGOUT, LOGOUT_TYPE, World, id, is_taken, log_out, push, revoke,
    serve, trusted,
};
use crate::support::bridge::{ISSUER, access, builder_with};
use crate::support::{Backend, SqliteBackend};

/// The header of a message, with a change.
fn header(change: &Value) -> Value {
    let mut header = json!({ "alg": "EdDSA", "kid": "first", "typ": EVENT_TYPE });
    header.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    header
}

/// Sets that nobody but the issuer could have made good, each with its name.
fn forged(world: &World<SqliteBackend>) -> Vec<(&'static str, String)> {
    let key = &world.idp.key;
    let claims = world.event(&format!("{CAEP}session-revoked"), &world.iss_sub("alice"));
    let good = key.sign_under(&header(&json!({})), &claims);
    let signed = |change: Value| key.sign_under(&header(&change), &claims);
    let parts: Vec<_> = good.split('.').collect();
    let mut flipped = good.clone().into_bytes();
    let last = flipped.len() - 8;
    flipped[last] = if flipped[last] == b'A' { b'B' } else { b'A' };
    let text = claims.to_string();
    let repeated = text.replacen("{\"aud\"", "{\"iss\":\"https://other.example\",\"aud\"", 1);
    assert_ne!(text, repeated);
    let other_claims = key.sign_under(&header(&json!({})), &world.event("urn:other", &world.iss_sub("bob")));
    let foreign_payload = format!("{}.{}.{}", parts[0], other_claims.split('.').nth(1).unwrap(), parts[2]);
    vec![
        ("alg none", signed(json!({ "alg": "none" }))),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("two parts", format!("{}.{}", parts[0], parts[1])),
        ("a changed signature", String::from_utf8(flipped).unwrap()),
        ("a changed payload", foreign_payload),
        ("another algorithm", signed(json!({ "alg": "HS256" }))),
        ("an embedded key", signed(json!({ "jwk": Key::new("first").jwk() }))),
        ("a key from elsewhere", signed(json!({ "jku": "https://evil.example/jwks" }))),
        ("crit", signed(json!({ "crit": ["exp"] }))),
        ("no type", {
            let mut header = header(&json!({}));
            header.as_object_mut().unwrap().remove("typ");
            key.sign_under(&header, &claims)
        }),
        ("no kid", {
            let mut header = header(&json!({}));
            header.as_object_mut().unwrap().remove("kid");
            key.sign_under(&header, &claims)
        }),
        ("a repeated claim", key.sign_under(&header(&json!({})), &repeated)),
        ("text behind it", format!("{good}\n")),
        ("too long", format!("{}.{}.{}", parts[0], parts[1].repeat(20), parts[2])),
    ]
}

/// Sets of the issuer that are not for here and now.
fn stale_and_mismatched(world: &World<SqliteBackend>) -> Vec<(&'static str, String)> {
    let now = world.now();
    let week = 7 * 24 * 3600;
    let good = || world.event(&format!("{CAEP}session-revoked"), &world.iss_sub("alice"));
    let with = |name: &str, value: Value| {
        let mut claims = good();
        claims[name] = value;
        world.sign(EVENT_TYPE, &claims)
    };
    vec![
        ("older than a week", with("iat", json!(now - week - 1))),
        ("from the future", with("iat", json!(now + 60))),
        ("expired", with("exp", json!(now - 1))),
        ("not yet valid", with("nbf", json!(now + 60))),
        ("for another receiver", with("aud", json!("https://other.example"))),
        ("for a receiver whose name begins alike", with("aud", json!(format!("{ISSUER}.evil.example")))),
        ("for nobody", with("aud", json!([]))),
        ("of another issuer", with("iss", json!("https://other.example"))),
        ("of an issuer with a slash more", with("iss", json!(format!("{}/", world.idp.issuer())))),
        ("with a subject in two places", with("sub", json!("idp|alice"))),
        ("with a nonce", with("nonce", json!("n"))),
        ("with the hash of an access token", with("at_hash", json!("x"))),
        ("with an empty id", with("jti", json!(""))),
        ("with an id that is too long", with("jti", json!("x".repeat(256)))),
        ("with a date that is text", with("iat", json!(now.to_string()))),
    ]
}

#[tokio::test]
async fn forged_stale_and_mismatched_events_are_refused() {
    let world = World::start(SqliteBackend::start().await).await;
    let token = world.gateway.link("alice").await;
    let all = [forged(&world), stale_and_mismatched(&world)].concat();
    assert!(all.len() > 25);
    for (what, set) in all {
        let answer = push(&world.gateway, &set).await;
        assert_eq!(answer.status, 400, "{what}: {answer:?}");
        assert!(!answer.text("err").is_empty(), "{what}");
    }
    assert!(world.gateway.admits(&token).await);
}

#[tokio::test]
async fn a_message_of_one_kind_is_none_of_another() {
    let world = World::start(SqliteBackend::start().await).await;
    let token = world.gateway.link("alice").await;
    let own = access(&world.gateway.bridge, "alice", "chat").await.token.expose().to_owned();
    let mut every = world.event(&format!("{CAEP}session-revoked"), &world.iss_sub("alice"));
    every["aud"] = json!([ISSUER, CLIENT]);
    every["exp"] = json!(world.now() + 120);
    every["events"][LOGOUT] = json!({});
    let mut as_logout = every.clone();
    as_logout["sub"] = json!("idp|alice");
    let tokens = [
        ("event", world.sign(EVENT_TYPE, &every)),
        ("logout", world.sign(LOGOUT_TYPE, &as_logout)),
        ("global", world.sign(GLOBAL_TYPE, &world.caller())),
        ("access token of the provider", world.idp.token()),
        ("access token of ours", own),
        ("identity assertion", world.sign("oauth-id-jag+jwt", &every)),
        ("ID token", world.sign("JWT", &every)),
        ("client assertion", world.sign("client-authentication+jwt", &every)),
    ];
    let body = json!({ "sub_id": world.iss_sub("alice") });
    for (kind, jwt) in &tokens {
        if *kind != "event" {
            assert_eq!(push(&world.gateway, jwt).await.status, 400, "{kind} as an event");
        }
        if *kind != "logout" {
            assert_eq!(log_out(&world.gateway, jwt).await.status, 400, "{kind} as a logout token");
        }
        if *kind != "global" {
            assert_eq!(revoke(&world.gateway, jwt, &body).await.status, 401, "{kind} as a caller");
        }
        if *kind != "access token of ours" {
            assert!(!world.gateway.admits(jwt).await, "{kind} at the guard");
        }
    }
    assert!(world.gateway.admits(&token).await);
    // Each was good for its own purpose.
    assert!(is_taken(&push(&world.gateway, &tokens[0].1).await));
    assert_eq!(log_out(&world.gateway, &tokens[1].1).await.status, 200);
    assert_eq!(revoke(&world.gateway, &tokens[2].1, &body).await.status, 204);
}

#[tokio::test]
async fn an_issuer_speaks_for_its_own_people_alone() {
    let (clock, db, people) =
        (super::super::Ahead::default(), SqliteBackend::start().await, super::People::default());
    let [idp, other] =
        [AuthorizationServer::start(clock.clone()).await, AuthorizationServer::start(clock.clone()).await];
    let ours = Key::new("ours");
    let ring = KeyRing::new(SigningKey::from_pem(Algorithm::EdDsa, &ours.pem()).unwrap()).unwrap();
    let our_id = ring.signing_key_id();
    let builder = builder_with(&db, ring).await.clock(clock.clone());
    let gateway =
        serve(builder.trust(trusted(&idp, &people)).trust(trusted(&other, &people)).build().unwrap()).await;
    let token = gateway.link("alice").await;
    let claims = |issuer: &str| {
        json!({
            "iss": issuer, "aud": ISSUER, "jti": id(), "iat": idp.claims()["iat"],
            "sub_id": { "format": "iss_sub", "iss": idp.issuer(), "sub": "idp|alice" },
            "events": { format!("{CAEP}session-revoked"): {} },
        })
    };
    let named = |kid: &str| json!({ "alg": "EdDSA", "kid": kid, "typ": EVENT_TYPE });
    for (what, set) in [
        ("another's key", other.key.sign_under(&named("first"), &claims(&idp.issuer()))),
        ("our key", ours.sign_under(&named(&our_id), &claims(&idp.issuer()))),
        ("our issuer", idp.key.sign_under(&named("first"), &claims(ISSUER))),
        ("our issuer and key", ours.sign_under(&named(&our_id), &claims(ISSUER))),
    ] {
        assert_eq!(push(&gateway, &set).await.status, 400, "{what}");
    }
    // It may name them, and they are nobody to it.
    let set = other.key.sign_under(&named("first"), &claims(&other.issuer()));
    assert!(is_taken(&push(&gateway, &set).await));
    assert!(gateway.admits(&token).await);
    assert!(is_taken(&push(&gateway, &idp.key.sign_under(&named("first"), &claims(&idp.issuer()))).await));
    assert!(!gateway.admits(&token).await);
}
