//! The operators' endpoints over HTTP.

mod events;
mod page;
mod people;

use http::header::{AUTHORIZATION, COOKIE};
use http::{Method, StatusCode};
use serde_json::json;

use crate::oauth::given::{gateway, hook_of};
use crate::support::gateway::{Gateway, OPERATOR, send};
use crate::support::{Backend, SqliteBackend};

crate::store::promises![operators_look_after_anyone, operators_end_every_session_of_a_client];

async fn operators_look_after_anyone(db: impl Backend) {
    let gateway = Gateway::start(&db).await;
    let token = gateway.link("a/b@c").await;
    let listed = gateway.operate(Method::GET, "/users/a%2Fb%40c/sessions").await;
    assert_eq!(listed.status, StatusCode::OK, "{listed:?}");
    assert!(listed.is_not_stored(), "{listed:?}");
    let session = listed.json()["sessions"][0].clone();
    assert!(session.get("current").is_none() && session["client_id"] == "sp_bridge", "{session}");
    let path = format!("/sessions/{}", session["id"].as_str().unwrap());
    for _ in 0..2 {
        assert_eq!(gateway.operate(Method::DELETE, &path).await.status, StatusCode::NO_CONTENT);
    }
    assert!(!gateway.admits(&token).await);

    let tokens = [gateway.link("a/b@c").await, gateway.link("a/b@c").await];
    let revoked = gateway.operate(Method::DELETE, "/users/a%2fb@c/sessions").await;
    assert_eq!((revoked.status, revoked.json()), (StatusCode::OK, json!({ "revoked": 2 })));
    assert!(!gateway.admits(&tokens[0]).await && !gateway.admits(&tokens[1]).await);

    for (action, may_link) in [("disable", false), ("enable", true)] {
        let done = gateway.operate(Method::POST, &format!("/users/a%2Fb%40c/{action}")).await;
        assert_eq!(done.status, StatusCode::NO_CONTENT, "{action}");
        let asked = gateway.post("/code", &json!({})).header(COOKIE, "login=a/b@c");
        assert_eq!(send(asked).await.status == StatusCode::CREATED, may_link, "{action}");
    }
    for (method, path) in [
        (Method::DELETE, "/sessions/sess_0"),
        (Method::DELETE, "/sessions/no%20id"),
        (Method::DELETE, "/users/nobody/sessions"),
        (Method::POST, "/users/nobody/disable"),
        (Method::POST, "/users/nobody/enable"),
        (Method::GET, "/users/nobody"),
        (Method::GET, "/users/nobody/sessions/"),
        (Method::GET, "/users/a/b/sessions"),
        (Method::DELETE, "/clients/sp_bridge"),
        (Method::DELETE, "/clients/sp_bridge/sessions/"),
        (Method::DELETE, "/clients/bridge/alice/sessions"),
        (Method::GET, "/"),
    ] {
        let refused = gateway.operate(method, path).await;
        assert!(refused.is_problem(404, "not_found"), "{path} {refused:?}");
    }
    for malformed in ["%00", "%ff", "a%20b", "%E2%80%8B", "a%0d%0ab", ""] {
        let refused = gateway.operate(Method::GET, &format!("/users/{malformed}/sessions")).await;
        assert!(refused.is_problem(400, "invalid_request"), "{malformed} {refused:?}");
    }
    for (method, path, allow) in [
        (Method::POST, "/users/a/sessions", "GET, HEAD, DELETE"),
        (Method::GET, "/sessions/sess_0", "DELETE"),
        (Method::GET, "/clients/sp_bridge/sessions", "DELETE"),
        (Method::POST, "/clients/nobody/sessions", "DELETE"),
        (Method::GET, "/users/a/disable", "POST"),
        (Method::OPTIONS, "/users/a/enable", "POST"),
    ] {
        let refused = gateway.operate(method, path).await;
        assert!(refused.is_problem(405, "method_not_allowed"), "{path} {refused:?}");
        assert_eq!(refused.header("allow"), allow);
        let stranger = gateway.call(Method::GET, &format!("/admin{path}"), "another-secret").await;
        assert!(stranger.is_problem(401, "operator_required"), "{path} {stranger:?}");
        assert_eq!(stranger.header("www-authenticate"), "Bearer");
    }
}

async fn operators_end_every_session_of_a_client(db: impl Backend) {
    let gateway = gateway(&db).await;
    let revoke = async |client: &str| {
        let revoked = gateway.operate(Method::DELETE, &format!("/clients/{client}/sessions")).await;
        assert!(revoked.status == StatusCode::OK && revoked.is_not_stored(), "{client} {revoked:?}");
        revoked.json()
    };
    let (alice, bob) = (gateway.link("alice").await, gateway.link("bob").await);
    let hooks = hook_of(&gateway, &alice).await;
    let hook = hooks.token(&gateway).await;
    assert!(hooks.id == "bridge:alice" && gateway.admits(&hook).await);

    assert_eq!(revoke("bridge%3Aalice").await, json!({ "revoked": 1 }));
    assert!(!gateway.admits(&hook).await, "her hooks are revoked");
    assert_eq!(hooks.ask(&gateway, &[]).await.status, StatusCode::UNAUTHORIZED, "their credential too");
    assert!(gateway.admits(&alice).await && gateway.admits(&bob).await, "no bridge is");

    assert_eq!(revoke("sp_bridge").await, json!({ "revoked": 2 }));
    assert!(!gateway.admits(&alice).await && !gateway.admits(&bob).await);
    for nothing_left in ["sp_bridge", "bridge:alice", "unheard-of", "a%2Fb"] {
        assert_eq!(revoke(nothing_left).await, json!({ "revoked": 0 }), "{nothing_left}");
    }
    for malformed in ["", "%00", "%ff", "a%20b", "%C3%A9", &"x".repeat(5000)] {
        let refused = gateway.operate(Method::DELETE, &format!("/clients/{malformed}/sessions")).await;
        assert!(refused.is_problem(400, "invalid_request"), "{malformed} {refused:?}");
    }
    assert!(gateway.admits(&gateway.link("alice").await).await, "who links again is let in");
}

#[tokio::test]
async fn a_page_of_another_site_operates_nothing() {
    let db = SqliteBackend::start().await;
    let gateway = Gateway::start(&db).await;
    let token = gateway.link("alice").await;
    for (method, path) in [
        (Method::DELETE, "/admin/users/alice/sessions"),
        (Method::POST, "/admin/users/alice/disable"),
        (Method::DELETE, "/admin/clients/sp_bridge/sessions"),
        (Method::DELETE, "/admin/sessions/sess_0"),
    ] {
        let request = gateway.request(method, path).header(AUTHORIZATION, OPERATOR);
        let refused = send(request.header("sec-fetch-site", "cross-site")).await;
        assert_eq!(
            (refused.status, refused.text("code").as_str()),
            (StatusCode::FORBIDDEN, "cross_site"),
            "{path}"
        );
    }
    assert!(gateway.admits(&token).await);
}
