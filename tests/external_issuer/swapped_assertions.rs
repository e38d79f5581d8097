//! Assertions that are forged, stale, mismatched or doubled, and other tokens in their place: all are refused, in one way.

use std::time::Duration;

use bridge_auth::external_issuer::IdentityAssertions;
use serde_json::{Value, json};

use super::provider::{AGENT, MCP, TYPE, World, is_refused, present, provider, with};
use super::server::{AuthorizationServer, Key};
use super::{Ahead, gateway};
use crate::support::bridge::{ISSUER, access};
use crate::support::gateway::Gateway;
use crate::support::{Backend, SqliteBackend};

/// Presents each, and then a good one: so no refusal comes from something else.
async fn all_are_refused(world: &World, assertions: Vec<(String, String)>) {
    let mut answers = Vec::new();
    for (what, assertion) in assertions {
        let answer = world.present(&assertion).await;
        assert!(is_refused(&answer), "{what}: {answer:?}");
        answers.push(answer);
    }
    assert!(answers.windows(2).all(|two| two[0] == two[1]), "nobody can tell the refusals apart");
    assert_eq!(world.present(&world.sign(&world.claims())).await.status, 200);
}

#[tokio::test]
async fn m1_an_assertion_with_one_wrong_claim_is_refused() {
    let world = World::start().await;
    let iat = world.claims()["iat"].as_u64().unwrap();
    let issuer = world.server.issuer();
    let broken = [
        ("iss", json!(format!("{issuer}/"))),
        ("iss", json!(issuer.to_uppercase())),
        ("iss", json!("https://nobody.example")),
        ("iss", json!(ISSUER)),
        ("iss", json!([issuer])),
        ("iss", Value::Null),
        ("sub", Value::Null),
        ("sub", json!("")),
        ("sub", json!(7)),
        ("sub", json!("idp|nobody")),
        ("aud", Value::Null),
        ("aud", json!(format!("{ISSUER}/"))),
        ("aud", json!(format!("{ISSUER}/token"))),
        ("aud", json!("https://other.example")),
        ("aud", json!([ISSUER, "https://other.example"])),
        ("aud", json!(MCP)),
        ("aud", json!("bridge")),
        ("exp", Value::Null),
        ("exp", json!(iat)),
        ("exp", json!(iat + 330)),
        ("exp", json!(iat + 86_400)),
        ("exp", json!(u64::MAX)),
        ("exp", json!("soon")),
        ("iat", Value::Null),
        ("iat", json!(iat + 60)),
        ("iat", json!(iat - 301)),
        ("nbf", json!(iat + 60)),
        ("jti", Value::Null),
        ("jti", json!("")),
        ("jti", json!(7)),
        ("jti", json!("a".repeat(256))),
        ("client_id", Value::Null),
        ("client_id", json!("other")),
        ("client_id", json!("AGENT")),
        ("client_id", json!([AGENT])),
        ("scope", json!(["chat"])),
        ("act", json!({ "sub": "somebody" })),
        ("authorization_details", json!([{ "type": "payment" }])),
        ("cnf", json!({ "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" })),
    ];
    let broken = broken.map(|(name, value)| (format!("{name}: {value}"), world.assertion_with(name, value)));
    all_are_refused(&world, broken.into()).await;
}

#[tokio::test]
async fn m1_an_assertion_is_good_once() {
    let world = World::start().await;
    let assertion = world.sign(&world.claims());
    assert_eq!(world.present(&assertion).await.status, 200);
    assert!(is_refused(&world.present(&assertion).await));
    let jti = world.claims()["jti"].clone();
    let again = with(world.claims(), "jti", jti.clone());
    assert_eq!(world.present(&world.sign(&again)).await.status, 200);
    let other_person = with(with(world.claims(), "jti", jti), "sub", json!("idp|alice"));
    assert!(is_refused(&world.present(&world.sign(&with(other_person, "scope", json!("tools")))).await));
}

#[tokio::test]
async fn m1_an_assertion_is_dead_when_its_time_is_over() {
    let world = World::start().await;
    let assertion = world.sign(&world.claims());
    world.clock.pass(Duration::from_secs(300));
    assert!(is_refused(&world.present(&assertion).await));
}

#[tokio::test]
async fn m2_other_tokens_in_place_of_an_assertion_are_refused() {
    let world = World::start().await;
    let (server, claims) = (&world.server, world.claims());
    let typed =
        |typ: Value, claims: &Value| server.key.sign_under(&with(server.key.header(), "typ", typ), claims);
    let id_token = with(with(claims.clone(), "nonce", json!("n")), "aud", json!(AGENT));
    let logout =
        with(claims.clone(), "events", json!({ "http://schemas.openid.net/event/backchannel-logout": {} }));
    let own = access(&world.gateway.bridge, "alice", "chat").await.token.expose().to_owned();
    let asserted = world.present(&world.sign(&claims)).await.text("access_token");
    let claims = with(claims, "jti", json!("another"));
    all_are_refused(
        &world,
        [
            ("an access token of the issuer", server.token()),
            ("an access token with the claims of an assertion", typed(json!("at+jwt"), &claims)),
            ("an id token", typed(json!("JWT"), &id_token)),
            ("an id token of the right type", typed(json!(TYPE), &id_token)),
            ("a token without a type", typed(Value::Null, &claims)),
            ("a logout token", typed(json!("logout+jwt"), &logout)),
            ("a logout token of the right type", typed(json!(TYPE), &logout)),
            ("a security event", typed(json!("secevent+jwt"), &logout)),
            ("a client assertion", typed(json!("client-authentication+jwt"), &claims)),
            ("a DPoP proof", typed(json!("dpop+jwt"), &claims)),
            ("our own access token", own),
            ("the token that an assertion gave", asserted),
            ("a type in a list", typed(json!([TYPE]), &claims)),
            ("nothing of a JWT", "not.a.jwt".to_owned()),
        ]
        .map(|(what, token)| (what.to_owned(), token))
        .into(),
    )
    .await;
}

#[tokio::test]
async fn m2_an_assertion_is_no_access_token_anywhere() {
    let world = World::start().await;
    let assertion = world.sign(&world.claims());
    let answer = world.gateway.call(http::Method::GET, "/v1/echo", &assertion).await;
    assert!(answer.is_problem(401, "invalid_token"), "{answer:?}");
}

#[tokio::test]
async fn m1_a_forged_assertion_is_refused() {
    let world = World::start().await;
    let (server, claims) = (&world.server, world.claims());
    let (header, stranger) = (with(server.key.header(), "typ", json!(TYPE)), Key::new("first"));
    let signed = world.sign(&claims);
    let (body, signature) = signed.rsplit_once('.').unwrap();
    let evil = world.sign(&with(claims.clone(), "sub", json!("idp|root")));
    let evil_body = evil.rsplit_once('.').unwrap().0;
    let header_with =
        |name: &str, value: Value| server.key.sign_under(&with(header.clone(), name, value), &claims);
    all_are_refused(
        &world,
        [
            ("another key of the same kid", stranger.sign_under(&header, &claims)),
            ("no signature", format!("{body}.")),
            ("another's signature", format!("{evil_body}.{signature}")),
            ("alg none", header_with("alg", json!("none"))),
            ("alg HS256", header_with("alg", json!("HS256"))),
            ("an unknown kid", header_with("kid", json!("second"))),
            ("no kid", header_with("kid", Value::Null)),
            ("its own key", header_with("jwk", stranger.jwk())),
            ("a URL of keys", header_with("jku", json!("https://evil.example/jwks"))),
            ("crit", header_with("crit", json!(["exp"]))),
            ("padding", format!("{signed}=")),
            ("a fourth part", format!("{signed}.e30")),
        ]
        .map(|(what, token)| (what.to_owned(), token))
        .into(),
    )
    .await;
}

/// An issuer is trusted for what the host says, and for nothing else.
#[tokio::test]
async fn m1_only_an_issuer_that_is_trusted_for_assertions_may_issue_them() {
    let (clock, backend) = (Ahead::default(), SqliteBackend::start().await);
    let [trusted, other] =
        [AuthorizationServer::start(clock.clone()).await, AuthorizationServer::start(clock.clone()).await];
    let bridge = super::provider::clients(gateway(&backend, &clock).await)
        .trust(provider(&trusted).identity_assertions(IdentityAssertions::new()))
        .trust(provider(&other).audience(super::HERE, "bridge"))
        .build()
        .unwrap();
    let gateway = Gateway::over(bridge).await;
    super::provider::know(&gateway.bridge, "alice").await;
    let claims = super::provider::assertion_claims(&other, "idp|alice");
    assert!(is_refused(&present(&gateway, &super::provider::sign(&other, &claims), &[]).await));
    let claims = with(claims, "iss", json!(trusted.issuer()));
    let forged = super::provider::sign(&other, &claims);
    assert!(is_refused(&present(&gateway, &forged, &[]).await), "nor in another's name");
    assert_eq!(present(&gateway, &super::provider::sign(&trusted, &claims), &[]).await.status, 200);
}
