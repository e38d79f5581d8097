use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::response::Response;
use axum::routing::get;
use bridge_auth::issue::Access;
use bridge_auth::testing::{TestBridge, refusal};
use bridge_auth::{Bridge, Caller, Granted, required_scopes};
use http::{Request, StatusCode};
use tower::ServiceExt as _;

required_scopes! {
    struct CallModels = ["models:call"];
}

/// The routes under test: in your gateway these functions are in `src`.
fn app(bridge: &Bridge) -> Router {
    Router::new()
        .route("/whoami", get(whoami))
        .route("/models", get(async |_: Granted<CallModels>| "models"))
        .route_layer(bridge.layer("bridge").unwrap())
}

async fn whoami(caller: Caller) -> String {
    caller.user_id().to_string()
}

fn request(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

/// Calls the app again in a session that is there already.
async fn get_as(access: &Access, path: &str, bridges: &TestBridge) -> Response {
    let mut request = request(path);
    bridges.authorize_with(&mut request, access);
    app(bridges.bridge()).oneshot(request).await.unwrap()
}

#[tokio::test]
async fn a_handler_knows_who_calls() {
    let bridges = TestBridge::new().await;
    let mut request = request("/whoami");
    bridges.authorize(&mut request, "alice", "").await;
    let answer = app(bridges.bridge()).oneshot(request).await.unwrap();
    assert_eq!(to_bytes(answer.into_body(), 1024).await.unwrap(), "alice");
}

#[tokio::test]
async fn a_handler_is_a_function() {
    let bridges = TestBridge::new().await;
    assert_eq!(whoami(bridges.caller("alice", "").await).await, "alice");
}

#[tokio::test]
async fn a_caller_without_the_scope_is_refused() {
    let bridges = TestBridge::new().await;
    let (alice, bob) = (bridges.access("alice", "models:call").await, bridges.access("bob", "").await);
    assert_eq!(get_as(&alice, "/models", &bridges).await.status(), StatusCode::OK);
    assert_eq!(get_as(&bob, "/models", &bridges).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_revoked_session_is_refused() {
    let bridges = TestBridge::new().await;
    let alice = bridges.access("alice", "").await;
    bridges.revoke("alice").await;
    let refused = get_as(&alice, "/whoami", &bridges).await;
    assert_eq!((refused.status(), refusal(&refused)), (StatusCode::UNAUTHORIZED, Some("session_revoked")));
}

#[tokio::test]
async fn an_expired_token_is_refused() {
    let bridges = TestBridge::new().await;
    let alice = bridges.access("alice", "").await;
    bridges.advance(alice.ttl - Duration::from_secs(1));
    assert_eq!(get_as(&alice, "/whoami", &bridges).await.status(), StatusCode::OK);
    bridges.expire();
    assert_eq!(refusal(&get_as(&alice, "/whoami", &bridges).await), Some("expired"));
}

#[tokio::test]
async fn an_outage_of_the_database_calls_no_token_bad() {
    let bridges = TestBridge::new().await;
    let alice = bridges.access("alice", "").await;
    bridges.stop_store();
    assert_eq!(get_as(&alice, "/whoami", &bridges).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    bridges.start_store();
    assert_eq!(get_as(&alice, "/whoami", &bridges).await.status(), StatusCode::OK);
}
