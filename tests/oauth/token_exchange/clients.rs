//! Which clients may exchange which tokens, and what a delegated token may not do (A73).

use http::{Method, StatusCode};
use serde_json::json;

use super::{SECRET, agent, by_bridge, by_public, exchange, exchanged, fields, gateway};
use crate::oauth::given::{Hook, claims, hook, post, server};
use crate::support::gateway::{PREFIX, send};
use crate::support::{Backend, SqliteBackend};

crate::store::promises![a_public_client_exchanges_its_own_tokens_and_no_others];

async fn a_public_client_exchanges_its_own_tokens_and_no_others(db: impl Backend) {
    let gateway = gateway(&db).await;
    let token = gateway.link("alice").await;
    let answer = by_bridge(&gateway, &token, &[("scope", "chat"), ("audience", "bridge")]).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let said = claims(&answer.text("access_token"));
    assert_eq!(
        json!([said["act"]["sub"], said["client_id"], said["scope"]]),
        json!(["sp_bridge", "sp_bridge", "chat"])
    );
    assert_eq!(said["aud"], json!(["bridge"]));
    assert!(by_public(&gateway, "app", &token, &[]).await.is_oauth_error(400, "invalid_request"));
    // A confidential client without the right to exchange is no better.
    assert!(exchange(&gateway, &agent("plain"), &token, &[]).await.is_oauth_error(400, "invalid_request"));
    // It may exchange what was issued to it.
    let own = exchanged(&gateway, &agent("planner"), &token, &[]).await;
    assert!(by_bridge(&gateway, &own, &[]).await.is_oauth_error(400, "invalid_request"));
    exchanged(&gateway, &agent("planner"), &own, &[]).await;
}

#[tokio::test]
async fn a73_a_client_that_proves_nothing_exchanges_nothing() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let token = gateway.link("alice").await;
    let wrong = Hook { secret: SECRET.replace('c', "d"), ..agent("planner") };
    for answer in [
        exchange(&gateway, &wrong, &token, &[]).await,
        by_public(&gateway, "planner", &token, &[]).await,
        by_public(&gateway, "nobody", &token, &[]).await,
        send(post(&gateway, "/token", &fields(&token, &[]))).await,
        send(post(&gateway, "/token", &fields(&token, &[])).bearer_auth(&token)).await,
    ] {
        assert!(answer.is_oauth_error(401, "invalid_client"), "{answer:?}");
    }
}

#[tokio::test]
async fn a73_hooks_exchange_nothing_and_are_not_exchanged() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let hook = hook(&gateway, "alice").await;
    let (hooks, persons) = (hook.token(&gateway).await, gateway.link("alice").await);
    for token in [&hooks, &persons] {
        assert!(exchange(&gateway, &hook, token, &[]).await.is_oauth_error(400, "unauthorized_client"));
        assert!(exchange(&gateway, &server(), token, &[]).await.is_oauth_error(400, "unauthorized_client"));
    }
    assert!(exchange(&gateway, &agent("planner"), &hooks, &[]).await.is_oauth_error(400, "invalid_request"));
}

#[tokio::test]
async fn impersonation_leaves_out_the_actor_only_where_the_host_says_so_and_never_an_earlier_one() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let token = gateway.link("alice").await;
    let said = claims(&exchanged(&gateway, &agent("mimic"), &token, &[]).await);
    assert!(said.get("act").is_none(), "{said}");
    assert_eq!(json!([said["sub"], said["client_id"]]), json!(["alice", "mimic"]));
    let delegated = exchanged(&gateway, &agent("planner"), &token, &[]).await;
    let said = claims(&exchanged(&gateway, &agent("mimic"), &delegated, &[]).await);
    assert_eq!(said["act"], json!({ "sub": "mimic", "act": { "sub": "planner" } }));
    let bob = gateway.link("bob").await;
    let more = [("actor_token", &*bob), ("actor_token_type", super::ACCESS)];
    let said = claims(&exchanged(&gateway, &agent("mimic"), &token, &more).await);
    assert_eq!(said["act"], json!({ "sub": "bob" }), "an actor token is named always");
}

#[tokio::test]
async fn a128_a_delegated_token_gets_no_hooks_and_sees_no_devices() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let linked = gateway.link("alice").await;
    let delegated = by_bridge(&gateway, &linked, &[("scope", "chat")]).await.text("access_token");
    assert_eq!(claims(&delegated)["client_id"], "sp_bridge", "the client that may do both");
    let other = claims(&gateway.link("alice").await)["sid"].as_str().unwrap().to_owned();
    for (method, path) in [
        (Method::POST, "/oauth-client".to_owned()),
        (Method::GET, "/sessions".to_owned()),
        (Method::DELETE, format!("/sessions/{other}")),
    ] {
        let path = format!("{PREFIX}{path}");
        let answer = gateway.call(method.clone(), &path, &delegated).await;
        assert!(answer.is_problem(403, "insufficient_scope"), "{path} {answer:?}");
    }
    let impersonated = exchanged(&gateway, &agent("mimic"), &linked, &[]).await;
    let answer = gateway.call(Method::POST, &format!("{PREFIX}/oauth-client"), &impersonated).await;
    assert!(answer.is_problem(403, "insufficient_scope"), "{answer:?}");
    let issuer = gateway.bridge.issuer();
    for token in [&delegated, &impersonated] {
        let bearer = format!("Bearer {token}").parse().unwrap();
        let headers = http::HeaderMap::from_iter([(http::header::AUTHORIZATION, bearer)]);
        let caller = gateway.bridge.authenticator("bridge").unwrap().authenticate(&headers).await.unwrap();
        assert!(issuer.provision_client(&caller).await.is_err());
    }
    // It may end itself, and nothing else.
    assert_eq!(gateway.call(Method::POST, &format!("{PREFIX}/logout"), &delegated).await.status, 204);
    assert!(!gateway.admits(&delegated).await && gateway.admits(&linked).await);
}

#[tokio::test]
async fn a_person_with_the_id_of_the_client_is_not_mixed_up_with_it() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let token = gateway.link("planner").await;
    let answer = exchange(&gateway, &agent("planner"), &token, &[]).await;
    assert!(answer.is_oauth_error(400, "invalid_request"), "{answer:?}");
    exchanged(&gateway, &agent("coder"), &token, &[]).await;
}
