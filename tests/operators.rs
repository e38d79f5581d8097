//! The operators' endpoints over HTTP.

use http::header::{AUTHORIZATION, COOKIE};
use http::{Method, StatusCode};
use serde_json::json;

use crate::support::gateway::{Gateway, OPERATOR, send};
use crate::support::{Backend, SqliteBackend};

crate::store::promises![operators_look_after_anyone];

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

#[tokio::test]
async fn a_page_of_another_site_operates_nothing() {
    let db = SqliteBackend::start().await;
    let gateway = Gateway::start(&db).await;
    let token = gateway.link("alice").await;
    for (method, path) in [
        (Method::DELETE, "/admin/users/alice/sessions"),
        (Method::POST, "/admin/users/alice/disable"),
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
