//! Requests for a global token revocation (draft-parecki-oauth-global-token-revocation; Okta's Universal Logout).

use bridge_auth::external_issuer::GlobalTokenRevocation;
use http::Method;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::{Value, json};

use super::{EVENT_TYPE, GLOBAL, GLOBAL_TYPE, LOGOUT_TYPE, World, id, revoke};
use crate::support::gateway::{Answer, send};
use crate::support::{Backend, SqliteBackend};

crate::store::promises![a_request_revokes_all_that_a_person_has];

/// Whether it says that the JWT is no good.
fn is_unauthorized(answer: &Answer) -> bool {
    answer.is_problem(401, "invalid_token")
        && answer.header("www-authenticate").contains("error=\"invalid_token\"")
}

async fn a_request_revokes_all_that_a_person_has(db: impl Backend) {
    let world = World::start(db).await;
    for who in [world.iss_sub("alice"), json!({ "format": "email", "email": "alice@example.com" })] {
        let (token, code) = (world.gateway.link("alice").await, world.gateway.code("alice").await);
        let other = world.gateway.link("bob").await;
        let answer = world.revoke(&world.caller(), &who).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0), "{answer:?}");
        assert!(!world.gateway.admits(&token).await && world.gateway.admits(&other).await);
        assert_eq!(world.gateway.exchange(&code).await.status, 400, "the person must sign in again");
        // Asked again, it is as well done.
        assert_eq!(world.revoke(&world.caller(), &who).await.status, 204);
    }
    // Requests of Okta from before draft 03.
    let token = world.gateway.link("alice").await;
    let body = json!({ "subject": { "format": "email", "email": "alice@example.com" } });
    assert_eq!(revoke(&world.gateway, &world.sign(GLOBAL_TYPE, &world.caller()), &body).await.status, 204);
    assert!(!world.gateway.admits(&token).await);
    for nobody in [world.iss_sub("mallory"), json!({ "format": "opaque", "id": "x" })] {
        let answer = world.revoke(&world.caller(), &nobody).await;
        assert!(answer.is_problem(404, "unknown_user"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_jwt_is_good_once_whoever_is_named() {
    let world = World::start(SqliteBackend::start().await).await;
    let (alice, bob) = (world.gateway.link("alice").await, world.gateway.link("bob").await);
    let caller = world.caller();
    assert_eq!(world.revoke(&caller, &world.iss_sub("alice")).await.status, 204);
    assert!(!world.gateway.admits(&alice).await);
    for person in ["alice", "bob", "mallory"] {
        let answer = world.revoke(&caller, &world.iss_sub(person)).await;
        assert!(is_unauthorized(&answer), "{person}: {answer:?}");
    }
    // Also when nobody was found.
    let caller = world.caller();
    assert_eq!(world.revoke(&caller, &world.iss_sub("mallory")).await.status, 404);
    let unheard_of = world.caller();
    assert_eq!(world.revoke(&unheard_of, &json!({ "format": "opaque", "id": "x" })).await.status, 404);
    for caller in [caller, unheard_of] {
        assert!(is_unauthorized(&world.revoke(&caller, &world.iss_sub("bob")).await));
    }
    assert!(world.gateway.admits(&bob).await);
}

#[tokio::test]
async fn a_caller_that_has_not_proved_itself_is_refused_with_401() {
    let only = GlobalTokenRevocation::new(GLOBAL).caller("the-integration");
    let db = SqliteBackend::start().await;
    let world = World::with(db, |issuer| issuer.global_token_revocation(only), |builder| builder).await;
    let token = world.gateway.link("alice").await;
    let with = |name: &str, value: Value| {
        let mut claims = world.caller();
        claims[name] = value;
        world.sign(GLOBAL_TYPE, &claims)
    };
    let without = |name: &str| {
        let mut claims = world.caller();
        claims.as_object_mut().unwrap().remove(name);
        world.sign(GLOBAL_TYPE, &claims)
    };
    let now = world.now();
    let body = json!({ "sub_id": world.iss_sub("alice") });
    for (what, jwt) in [
        ("no JWT", "x".to_owned()),
        ("another type", world.sign("JWT", &world.caller())),
        ("an event", world.sign(EVENT_TYPE, &world.caller())),
        ("a logout token", world.sign(LOGOUT_TYPE, &world.logout("alice"))),
        ("an access token", world.idp.token()),
        ("another endpoint", with("aud", json!("https://gateway.example/v1/auth/bridge/token"))),
        ("two endpoints", with("aud", json!([GLOBAL, "https://other.example/revoke"]))),
        ("another caller", with("sub", json!("another-integration"))),
        ("no caller", without("sub")),
        ("no jti", without("jti")),
        ("no exp", without("exp")),
        ("no iat", without("iat")),
        ("expired", with("exp", json!(now - 1))),
        ("a life that is too long", with("exp", json!(now + 3600))),
        ("an old iat", with("iat", json!(now - 601))),
        ("not yet valid", with("nbf", json!(now + 60))),
        ("events", with("events", json!({ "urn:a": {} }))),
        ("another issuer", with("iss", json!("https://other.example"))),
    ] {
        let answer = revoke(&world.gateway, &jwt, &body).await;
        assert!(is_unauthorized(&answer), "{what}: {answer:?}");
    }
    let request = || world.gateway.request(Method::POST, "/idp/global-token-revocation");
    let json = |request: reqwest::RequestBuilder| {
        request.header(CONTENT_TYPE, "application/json").body(body.to_string())
    };
    assert!(is_unauthorized(&send(json(request())).await));
    let jwt = world.sign(GLOBAL_TYPE, &world.caller());
    let basic = request().header(AUTHORIZATION, format!("Basic {jwt}"));
    assert!(is_unauthorized(&send(json(basic)).await));
    let two = request().bearer_auth(&jwt).bearer_auth(&jwt);
    assert!(is_unauthorized(&send(json(two)).await));
    assert!(world.gateway.admits(&token).await);
    let wanted = revoke(&world.gateway, &jwt, &body).await;
    assert_eq!(wanted.status, 204, "{wanted:?}");
}

#[tokio::test]
async fn a_body_without_one_subject_is_refused_with_400() {
    let world = World::start(SqliteBackend::start().await).await;
    let token = world.gateway.link("alice").await;
    let alice = world.iss_sub("alice");
    for body in [
        json!({}),
        json!({ "sub_id": null }),
        json!({ "sub_id": "alice" }),
        json!({ "sub_id": { "format": "email" } }),
        json!({ "sub_id": { "iss": world.idp.issuer(), "sub": "idp|alice" } }),
        json!({ "sub_id": alice, "subject": alice }),
        json!([alice]),
    ] {
        let mut caller = world.caller();
        caller["jti"] = id().into();
        let answer = revoke(&world.gateway, &world.sign(GLOBAL_TYPE, &caller), &body).await;
        assert!(answer.is_problem(400, "invalid_request"), "{body}: {answer:?}");
    }
    assert!(world.gateway.admits(&token).await);
}

#[tokio::test]
async fn the_metadata_names_the_endpoint() {
    let world = World::start(SqliteBackend::start().await).await;
    let path = "/.well-known/oauth-authorization-server";
    let metadata = send(world.gateway.request(Method::GET, path)).await.json();
    assert_eq!(metadata["global_token_revocation_endpoint"], GLOBAL);
    let methods = &metadata["global_token_revocation_endpoint_auth_methods_supported"];
    assert_eq!(*methods, json!(["private_key_jwt"]));
}
