//! What a host may ask of those who come in: PKCE, a resource to stay within, a scope to provision with.

use bridge_auth::issue::CodeRequest;
use bridge_auth::rate_limit::RateLimits;
use bridge_auth::{Scopes, SignedIn};
use http::header::COOKIE;
use http::{Method, StatusCode};
use serde_json::json;

use crate::oauth::given::{
    CHALLENGE, MCP, TOOLS, claims, code_grant, gateway, hook_of, oauth_builder, pkce_code, post,
};
use crate::support::bridge::user;
use crate::support::gateway::{Answer, Gateway, PREFIX, send};
use crate::support::{Backend, SqliteBackend};

crate::store::promises![
    a_code_that_is_bound_to_a_resource_gives_tokens_for_that_alone,
    a_persons_hooks_get_what_the_host_lets_hers_have,
];

#[tokio::test]
async fn where_pkce_is_required_no_code_is_issued_without() {
    let db = SqliteBackend::start().await;
    let gateway = Gateway::over(oauth_builder(&db).await.require_pkce(true).build().unwrap()).await;
    let bare = send(gateway.post("/code", &json!({})).header(COOKIE, "login=alice")).await;
    assert!(bare.is_problem(400, "invalid_request"), "{bare:?}");
    assert!(bare.text("detail").contains("code_challenge"), "it says what to send: {bare:?}");
    let code = pkce_code(&gateway, "alice").await;
    assert_eq!(gateway.exchange(&code).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(send(post(&gateway, "/token", &code_grant(&code))).await.status, StatusCode::OK);
    let signed_in = SignedIn::new(user("alice"), Scopes::default());
    assert!(gateway.bridge.issuer().issue_code(&signed_in, CodeRequest::default()).await.is_err());
}

async fn a_code_that_is_bound_to_a_resource_gives_tokens_for_that_alone(db: impl Backend) {
    let gateway = Gateway::over(oauth_builder(&db).await.refresh_tokens(true).build().unwrap()).await;
    let bound = json!({ "code_challenge": CHALLENGE, "code_challenge_method": "S256", "resource": MCP });
    let refresh = |token: String, resource: Option<&'static str>| {
        let gateway = &gateway;
        async move {
            let mut fields =
                vec![("grant_type", "refresh_token"), ("client_id", "sp_bridge"), ("refresh_token", &token)];
            fields.extend(resource.map(|resource| ("resource", resource)));
            send(post(gateway, "/token", &fields)).await
        }
    };
    let code = gateway.code_with("alice", &bound).await;
    let elsewhere = [&code_grant(&code)[..], &[("resource", TOOLS)]].concat();
    let refused = send(post(&gateway, "/token", &elsewhere)).await;
    assert!(refused.is_oauth_error(400, "invalid_target"), "{refused:?}");
    // It was not used up. Without a word it is for the resource that it is bound to.
    let mut answer = send(post(&gateway, "/token", &code_grant(&code))).await;
    for resource in [None, Some(MCP), None] {
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        assert_eq!(claims(&answer.text("access_token"))["aud"], json!([MCP]), "{resource:?}");
        assert!(!gateway.admits(&answer.text("access_token")).await, "the bridge's own routes are elsewhere");
        let token = answer.text("refresh_token");
        let refused = refresh(token.clone(), Some(TOOLS)).await;
        assert!(refused.is_oauth_error(400, "invalid_target"), "{refused:?}");
        answer = refresh(token, resource).await;
    }
    for unknown in [json!("https://elsewhere.example"), json!("no url"), json!(""), json!(7)] {
        let mut body = bound.clone();
        body["resource"] = unknown.clone();
        let refused = send(gateway.post("/code", &body).header(COOKIE, "login=alice")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{unknown} {refused:?}");
    }
    // At `/session` too.
    let code = gateway.code_with("alice", &json!({ "resource": MCP })).await;
    let linked = gateway.exchange(&code).await;
    assert_eq!(claims(&linked.text("token"))["aud"], json!([MCP]));
}

async fn a_persons_hooks_get_what_the_host_lets_hers_have(db: impl Backend) {
    let scope = |scopes: &str| Scopes::parse(scopes).unwrap();
    let bridge = oauth_builder(&db).await.rate_limits(RateLimits::off()).build().unwrap();
    let gateway = Gateway::over(bridge).await;
    let admits = async |name: &str, hooks: Option<&str>| {
        let mut signed_in = SignedIn::new(user(name), scope("chat"));
        if let Some(hooks) = hooks {
            signed_in = signed_in.hook_scopes(scope(hooks));
        }
        gateway.bridge.issuer().register_user(&signed_in).await.unwrap();
    };
    let token = gateway.link("alice").await;
    let hook = hook_of(&gateway, &token).await;
    let scopes = async || {
        let answer = hook.ask(&gateway, &[]).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.text("scope")
    };
    assert_eq!(scopes().await, "hook:govern hook:track");
    admits("alice", Some("hook:track admin")).await;
    assert_eq!(scopes().await, "hook:track", "narrowed at once, and never widened");
    let too_much = hook.ask(&gateway, &[("scope", "hook:govern")]).await;
    assert!(too_much.is_oauth_error(400, "invalid_scope"), "{too_much:?}");
    let shown = gateway.call(Method::POST, &format!("{PREFIX}/oauth-client"), &token).await;
    assert_eq!(shown.json()["scopes"], json!(["hook:track"]), "{shown:?}");
    admits("bob", Some("")).await;
    let bobs =
        gateway.call(Method::POST, &format!("{PREFIX}/oauth-client"), &gateway.link("bob").await).await;
    assert_eq!(bobs.status, StatusCode::OK, "his login said nothing of hooks: {bobs:?}");
    admits("alice", None).await;
    assert_eq!(scopes().await, "hook:track", "as it was provisioned last");
    let again = hook_of(&gateway, &token).await;
    assert_eq!(again.ask(&gateway, &[]).await.text("scope"), "hook:govern hook:track");
}

#[tokio::test]
async fn a_host_may_demand_a_scope_of_who_provisions() {
    let db = SqliteBackend::start().await;
    let demand = async |scope: &str| {
        let builder = oauth_builder(&db).await.provisioning_requires(Scopes::parse(scope).unwrap());
        Gateway::over(builder.build().unwrap()).await
    };
    let provision = async |gateway: &Gateway| -> Answer {
        let token = gateway.link("alice").await;
        gateway.call(Method::POST, &format!("{PREFIX}/oauth-client"), &token).await
    };
    let refused = provision(&demand("chat hooks").await).await;
    assert!(refused.is_problem(403, "insufficient_scope"), "{refused:?}");
    assert!(refused.header("www-authenticate").contains("scope=\"chat hooks\""), "{refused:?}");
    assert_eq!(db.count("client_secrets").await, 0);
    assert_eq!(provision(&demand("chat tools").await).await.status, StatusCode::OK);
    assert_eq!(provision(&gateway(&db).await).await.status, StatusCode::OK);
}
