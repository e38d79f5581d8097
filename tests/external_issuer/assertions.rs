//! Identity assertions at the token endpoint, over sockets: what they give
//! (RFC 7523, draft-ietf-oauth-identity-assertion-authz-grant).

use std::time::{Duration, SystemTime};

use bridge_auth::external_issuer::{
    ExternalIssuer, ExternalSessions, ExternalSubject, HttpJwks, IdentityAssertions,
};
use bridge_auth::{BuildError, UserId};
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

use super::provider::{AGENT, GRANT, MCP, SECRET, World, claims_of, is_refused, present, with};
use super::server::Answering;
use super::{Ahead, gateway};
use crate::support::bridge::user;
use crate::support::gateway::{PREFIX, send};
use crate::support::{Backend, ListedByAdmin, SqliteBackend};

#[tokio::test]
async fn an_assertion_opens_a_session_of_the_person_with_the_scope_and_resource_that_it_names() {
    let world = World::start().await;
    let answer = world.present(&world.sign(&world.claims())).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.is_not_stored());
    let granted = answer.json();
    assert_eq!((&granted["token_type"], &granted["scope"]), (&json!("Bearer"), &json!("chat")));
    let token = answer.text("access_token");
    let claims = claims_of(&token);
    assert_eq!((&claims["sub"], &claims["client_id"]), (&json!("alice"), &json!(AGENT)));
    assert_eq!(claims["aud"], json!([MCP]));
    let sessions = world.gateway.bridge.admin().sessions_of(&user("alice")).await.unwrap();
    let [session] = sessions.as_slice() else { panic!("one session: {sessions:?}") };
    assert_eq!(session.client.as_str(), AGENT);
    assert_eq!(session.origin.issuer.as_deref(), Some(world.server.issuer().as_str()));
}

#[tokio::test]
async fn whoever_is_disabled_is_refused_with_the_token_and_with_the_next_assertion() {
    let world = World::start().await;
    let guard = world.gateway.bridge.authenticator(MCP).unwrap();
    let token = world.present(&world.sign(&world.claims())).await.text("access_token");
    let headers = HeaderMap::from_iter([(AUTHORIZATION, format!("Bearer {token}").parse().unwrap())]);
    assert_eq!(guard.authenticate(&headers).await.unwrap().user_id(), &user("alice"));
    world.gateway.bridge.admin().disable_user(&user("alice")).await.unwrap();
    assert!(guard.authenticate(&headers).await.is_err());
    assert!(is_refused(&world.present(&world.sign(&world.claims())).await));
}

#[tokio::test]
async fn m4_an_assertion_gives_no_refresh_token_and_its_session_lives_no_longer_than_its_token() {
    let world = World::start().await;
    let granted = world.present(&world.sign(&world.claims())).await.json();
    assert_eq!(granted.get("refresh_token"), None, "{granted}");
    let sessions = world.gateway.bridge.admin().sessions_of(&user("alice")).await.unwrap();
    let left = sessions[0].expires_at.duration_since(SystemTime::now()).unwrap();
    assert!(left <= Duration::from_secs(granted["expires_in"].as_u64().unwrap()), "{left:?}");
}

#[tokio::test]
async fn a_request_may_ask_for_less_than_the_assertion_says_and_never_for_more() {
    let world = World::start().await;
    let claims = |scope: Value, resource: Value| {
        world.sign(&with(with(world.claims(), "scope", scope), "resource", resource))
    };
    let files = "https://gateway.example/files";
    let mcp = || json!(MCP);
    for (scope, resource, more, granted) in [
        (json!("chat tools"), mcp(), &[("scope", "chat")][..], Ok(("chat", json!([MCP])))),
        (json!("chat tools"), mcp(), &[("resource", MCP)], Ok(("chat tools", json!([MCP])))),
        (json!("chat"), mcp(), &[("scope", "chat tools")], Err("invalid_scope")),
        (json!("chat"), mcp(), &[("scope", "files")], Err("invalid_scope")),
        (json!("chat"), mcp(), &[("scope", "chat chat")], Err("invalid_scope")),
        (json!("chat admin"), mcp(), &[], Ok(("chat", json!([MCP])))),
        (json!("chat"), mcp(), &[("resource", files)], Err("invalid_target")),
        (json!("chat"), json!("https://other.example/mcp"), &[], Err("invalid_target")),
        (json!("chat"), json!("https://other.example/mcp"), &[("resource", MCP)], Err("invalid_target")),
        (json!("chat"), json!([MCP, files]), &[], Err("invalid_target")),
        (json!("chat"), json!([MCP, files]), &[("resource", files)], Ok(("chat", json!([files])))),
        (json!("chat"), json!([MCP, "https://other.example"]), &[], Ok(("chat", json!([MCP])))),
        (json!("chat"), json!([]), &[], Err("invalid_target")),
        (json!("chat"), Value::Null, &[], Ok(("chat", json!(["bridge", "mcp"])))),
        (json!("chat"), Value::Null, &[("resource", MCP)], Err("invalid_target")),
    ] {
        let answer = present(&world.gateway, &claims(scope.clone(), resource.clone()), more).await;
        match granted {
            Ok((scopes, audiences)) => {
                assert_eq!(answer.status, 200, "{scope} {resource} {more:?}: {answer:?}");
                assert_eq!(answer.json()["scope"], scopes, "{scope} {resource} {more:?}");
                assert_eq!(claims_of(&answer.text("access_token"))["aud"], audiences, "{resource} {more:?}");
            }
            Err(code) => {
                assert!(answer.is_oauth_error(400, code), "{scope} {resource} {more:?}: {answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_assertion_without_a_scope_has_what_the_host_says_for_that_and_else_nothing() {
    for (settings, scopes) in [
        (IdentityAssertions::new(), None),
        (IdentityAssertions::new().default_scopes("tools admin"), Some("tools")),
    ] {
        let world = World::with(|issuer| issuer.identity_assertions(settings)).await;
        let granted = world.present(&world.assertion_with("scope", Value::Null)).await;
        assert_eq!(granted.json().get("scope").and_then(Value::as_str), scopes, "{granted:?}");
    }
}

#[tokio::test]
async fn unknown_people_are_refused_unless_the_host_has_them_made_known() {
    let world = World::start().await;
    let unknown = world.assertion_with("sub", json!("idp|bob"));
    assert!(is_refused(&world.present(&unknown).await));
    assert_eq!(world.gateway.bridge.admin().user(&user("bob")).await.unwrap(), None);

    let known = IdentityAssertions::new().register_unknown_people("chat");
    let world = World::with(|issuer| issuer.identity_assertions(known)).await;
    let of_bob = with(world.claims(), "sub", json!("idp|bob"));
    let of_bob = with(of_bob, "scope", json!("chat tools"));
    let answer = world.present(&world.sign(&of_bob)).await;
    assert_eq!(answer.json()["scope"], "chat", "{answer:?}");
    assert!(world.gateway.bridge.admin().user(&user("bob")).await.unwrap().is_some());
    let of_alice = world.present(&world.assertion_with("scope", json!("chat tools"))).await;
    assert_eq!(of_alice.json()["scope"], "chat tools", "whoever is known keeps their scopes");
    let admin = world.gateway.bridge.admin();
    admin.disable_user(&user("bob")).await.unwrap();
    assert!(
        is_refused(&world.present(&world.assertion_with("sub", json!("idp|bob"))).await),
        "and stays disabled"
    );
    let unmapped = world.assertion_with("sub", json!("someone-else"));
    assert!(is_refused(&world.present(&unmapped).await), "nobody is known whom the host does not map");
}

#[tokio::test]
async fn m3_a_person_is_found_by_subject_and_by_an_address_only_when_it_is_verified() {
    let world = World::start().await;
    let assertion = |verified: Value| {
        let claims = with(world.claims(), "sub", json!("7"));
        let claims = with(claims, "email", json!("alice@example.com"));
        world.sign(&with(claims, "email_verified", verified))
    };
    let found = world.present(&assertion(json!(true))).await;
    assert_eq!(claims_of(&found.text("access_token"))["sub"], "alice");
    for no_proof in [Value::Null, json!(false), json!("true"), json!("1"), json!(1)] {
        assert!(is_refused(&world.present(&assertion(no_proof.clone())).await), "{no_proof}");
    }
}

#[tokio::test]
async fn an_assertion_of_before_a_revocation_opens_nothing_after_it() {
    let world = World::start().await;
    let before = world.sign(&world.claims());
    tokio::time::sleep(Duration::from_millis(1100)).await;
    world.gateway.bridge.admin().revoke_user(&user("alice")).await.unwrap();
    assert!(is_refused(&world.present(&before).await));
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(world.present(&world.sign(&world.claims())).await.status, 200);
}

#[tokio::test]
async fn the_token_says_when_the_person_signed_in_and_not_when_the_assertion_came() {
    let world = World::start().await;
    let iat = world.claims()["iat"].as_u64().unwrap();
    for (signed_in, told) in [(json!(iat - 7200), iat - 7200), (json!(iat + 7200), iat), (Value::Null, iat)] {
        let token =
            world.present(&world.assertion_with("auth_time", signed_in.clone())).await.text("access_token");
        let auth_time = claims_of(&token)["auth_time"].as_u64().unwrap();
        assert!((told..=told + 30).contains(&auth_time), "{signed_in}: {auth_time}");
    }
}

#[tokio::test]
async fn the_metadata_name_the_grant_and_its_profile_only_where_they_are_taken() {
    let metadata = async |world: &World| {
        let request = world.gateway.request(Method::GET, "/.well-known/oauth-authorization-server");
        send(request).await.json()
    };
    let world = World::start().await;
    let told = metadata(&world).await;
    assert!(told["grant_types_supported"].as_array().unwrap().contains(&json!(GRANT)), "{told}");
    let profile = "urn:ietf:params:oauth:grant-profile:id-jag";
    assert_eq!(told["authorization_grant_profiles_supported"], json!([profile]));
    let world = World::with(|issuer| issuer.audience("https://gateway.example/api", "bridge")).await;
    let told = metadata(&world).await;
    assert!(!told["grant_types_supported"].as_array().unwrap().contains(&json!(GRANT)), "{told}");
    assert_eq!(told.get("authorization_grant_profiles_supported"), None);
    let answer = world.present(&world.sign(&world.claims())).await;
    assert!(answer.is_oauth_error(400, "unsupported_grant_type"), "{answer:?}");
}

#[tokio::test]
async fn when_the_keys_of_the_issuer_cannot_be_fetched_no_assertion_is_called_bad() {
    let world = World::with(|issuer| {
        issuer.identity_assertions(IdentityAssertions::new()).keys_deadline(Duration::from_secs(1))
    })
    .await;
    world.server.answer(Answering::Status(StatusCode::BAD_GATEWAY));
    let answer = world.present(&world.sign(&world.claims())).await;
    assert!(answer.is_oauth_error(503, "temporarily_unavailable"), "{answer:?}");
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test]
async fn when_the_database_is_down_no_assertion_is_called_bad() {
    let world = World::start().await;
    let assertion = world.sign(&world.claims());
    world.backend.break_down();
    let answer = world.present(&assertion).await;
    assert!(answer.is_oauth_error(503, "temporarily_unavailable"), "{answer:?}");
}

#[tokio::test]
async fn only_a_client_that_proves_who_it_is_may_present_an_assertion() {
    let world = World::start().await;
    let assertion = world.sign(&world.claims());
    let form = [("grant_type", GRANT), ("assertion", assertion.as_str())];
    let request = || world.gateway.request(Method::POST, &format!("{PREFIX}/token"));
    let named = |id| [&form[..], &[("client_id", id)]].concat();
    for (what, request, status, code) in [
        ("nobody", request().form(&form), 401, "invalid_client"),
        ("its id alone", request().form(&named(AGENT)), 401, "invalid_client"),
        ("a wrong secret", request().basic_auth(AGENT, Some("wrong")).form(&form), 401, "invalid_client"),
        ("a public client", request().form(&named("public")), 400, "unauthorized_client"),
        ("the bridge itself", request().form(&named("sp_bridge")), 400, "unauthorized_client"),
        ("another client", request().basic_auth("other", Some(SECRET)).form(&form), 400, "invalid_grant"),
    ] {
        let answer = send(request).await;
        assert!(answer.is_oauth_error(status, code), "{what}: {answer:?}");
    }
    let request = request().basic_auth(AGENT, Some(SECRET)).form(&[("grant_type", GRANT)]);
    assert!(send(request).await.is_oauth_error(400, "invalid_request"));
    assert_eq!(world.present(&assertion).await.status, 200, "none of them has spent it");
}

#[tokio::test]
async fn a_configuration_that_could_map_nobody_is_refused_at_start_up() {
    let (clock, backend) = (Ahead::default(), SqliteBackend::start().await);
    let refused = async |change: fn(ExternalIssuer) -> ExternalIssuer| {
        let source = HttpJwks::new("https://login.partner.example/jwks").unwrap();
        let issuer = ExternalIssuer::new("https://login.partner.example", source, ExternalSessions::None);
        gateway(&backend, &clock).await.trust(change(issuer)).build().err()
    };
    assert!(matches!(
        refused(|issuer| issuer.identity_assertions(IdentityAssertions::new())).await,
        Some(BuildError::IdentityAssertions { .. })
    ));
    assert!(matches!(refused(|issuer| issuer.people(nobody_is)).await, Some(BuildError::Audiences { .. })));
    assert!(matches!(
        refused(|issuer| {
            let odd = IdentityAssertions::new().default_scopes("a  b");
            issuer.people(nobody_is).identity_assertions(odd)
        })
        .await,
        Some(BuildError::InvalidText(_))
    ));
}

fn nobody_is(_: &ExternalSubject) -> Option<UserId> {
    None
}
