//! Logout tokens (OpenID Connect Back-Channel Logout 1.0).

use bridge_auth::SessionId;
use http::Method;
use serde_json::{Value, json};

use super::{LOGOUT, LOGOUT_TYPE, World, log_out};
use crate::support::gateway::{Answer, send};
use crate::support::{Backend, SqliteBackend};

crate::store::promises![m10_a_logout_token_ends_the_sessions_of_its_person];

fn is_done(answer: &Answer) -> bool {
    answer.status == 200 && answer.is_not_stored()
}

async fn m10_a_logout_token_ends_the_sessions_of_its_person(db: impl Backend) {
    let world = World::start(db).await;
    let tokens = [world.gateway.link("alice").await, world.gateway.link("alice").await];
    let other = world.gateway.link("bob").await;
    let logout = world.logout("alice");
    let answer = world.log_out(&logout).await;
    assert!(is_done(&answer), "{answer:?}");
    for token in tokens {
        assert!(!world.gateway.admits(&token).await);
    }
    assert!(world.gateway.admits(&other).await);
    // It is done once.
    let token = world.gateway.link("alice").await;
    assert!(is_done(&world.log_out(&logout).await) && world.gateway.admits(&token).await);
    assert!(is_done(&world.log_out(&world.logout("alice")).await) && !world.gateway.admits(&token).await);
    assert!(is_done(&world.log_out(&world.logout("mallory")).await), "nobody is no error");
}

#[tokio::test]
async fn m10_a_session_of_the_provider_ends_alone_where_the_host_knows_it() {
    let world = World::start(SqliteBackend::start().await).await;
    let (ending, staying) = (world.gateway.link("alice").await, world.gateway.link("alice").await);
    let session = world.gateway.call(Method::GET, "/v1/echo", &ending).await.text("session_id");
    let session = SessionId::parse(session).unwrap();
    world.people.sessions.lock().unwrap().insert("sso-1".to_owned(), session);
    let mut logout = world.logout("alice");
    logout["sid"] = json!("sso-1");
    logout.as_object_mut().unwrap().remove("sub");
    assert!(is_done(&world.log_out(&logout).await));
    assert!(!world.gateway.admits(&ending).await && world.gateway.admits(&staying).await);
    let mut logout = world.logout("alice");
    logout["sid"] = json!("sso-2");
    assert!(is_done(&world.log_out(&logout).await) && !world.gateway.admits(&staying).await);
}

#[tokio::test]
async fn m10_what_is_no_good_logout_token_is_refused_with_400() {
    let world = World::start(SqliteBackend::start().await).await;
    let token = world.gateway.link("alice").await;
    let with = |name: &str, value: Value| {
        let mut claims = world.logout("alice");
        claims[name] = value;
        world.sign(LOGOUT_TYPE, &claims)
    };
    let without = |name: &str| {
        let mut claims = world.logout("alice");
        claims.as_object_mut().unwrap().remove(name);
        world.sign(LOGOUT_TYPE, &claims)
    };
    let now = world.now();
    let mut id_token = world.logout("alice");
    id_token["nonce"] = json!("n");
    id_token.as_object_mut().unwrap().remove("events");
    for (what, logout_token) in [
        ("an ID token", world.sign("JWT", &id_token)),
        ("an ID token that says it is a logout token", world.sign(LOGOUT_TYPE, &id_token)),
        ("a plain JWT", world.sign("JWT", &world.logout("alice"))),
        ("an access token", world.idp.token()),
        ("a nonce", with("nonce", json!("n"))),
        ("an empty nonce", with("nonce", json!(""))),
        ("no events", without("events")),
        ("another event", with("events", json!({ "urn:other": {} }))),
        ("an event that is no object", with("events", json!({ LOGOUT: true }))),
        ("events that are a list", with("events", json!([LOGOUT]))),
        ("neither sub nor sid", without("sub")),
        ("an empty sub", with("sub", json!(""))),
        ("another client", with("aud", json!("another-client"))),
        ("no audience", without("aud")),
        ("no jti", without("jti")),
        ("no iat", without("iat")),
        ("no exp", without("exp")),
        ("expired", with("exp", json!(now - 1))),
        ("an old iat", with("iat", json!(now - 301))),
        ("an iat in the future", with("iat", json!(now + 60))),
        ("another issuer", with("iss", json!("https://other.example"))),
    ] {
        let answer = log_out(&world.gateway, &logout_token).await;
        assert!(answer.is_oauth_error(400, "invalid_request"), "{what}: {answer:?}");
    }
    let answer =
        send(world.gateway.request(Method::POST, "/idp/backchannel-logout").form(&[("token", "x")])).await;
    assert!(answer.is_oauth_error(400, "invalid_request"), "{answer:?}");
    let twice =
        [("logout_token", world.sign(LOGOUT_TYPE, &world.logout("alice"))), ("logout_token", "x".to_owned())];
    let answer = send(world.gateway.request(Method::POST, "/idp/backchannel-logout").form(&twice)).await;
    assert!(answer.is_oauth_error(400, "invalid_request"), "{answer:?}");
    assert!(world.gateway.admits(&token).await);
    let both = with("aud", json!([super::CLIENT, "another-client"]));
    assert!(is_done(&log_out(&world.gateway, &both).await) && !world.gateway.admits(&token).await);
}
