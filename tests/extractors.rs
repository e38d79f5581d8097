//! The extractors in a real axum router, in each way a route can be mounted.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bridge_auth::id::{CallSource, ClientId, PolicyVersion, TraceId};
use bridge_auth::{Bridge, Caller, Granted, Scopes, SessionId, UserId};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;

use crate::support::bridge::{access, builder};
use crate::support::{Backend, SqliteBackend};

bridge_auth::required_scopes! {
    /// May read.
    pub struct Read = ["read"];
    /// May read and write.
    pub struct Write = ["read", "write"];
}

async fn everything(
    caller: Caller,
    (user, session, client): (UserId, SessionId, ClientId),
    (policy, source): (PolicyVersion, CallSource),
    scopes: Scopes,
    _trace: TraceId,
    read: Granted<Read>,
) -> String {
    assert_eq!((caller.user_id(), caller.session_id(), read.user_id()), (&user, &session, &user));
    format!("{user} {client} {policy} {source} {scopes}")
}

async fn if_any(
    caller: Option<Caller>,
    (user, session, client): (Option<UserId>, Option<SessionId>, Option<ClientId>),
    (policy, source): (Option<PolicyVersion>, Option<CallSource>),
    scopes: Option<Scopes>,
    trace: Option<TraceId>,
    read: Option<Granted<Read>>,
) -> String {
    let some = [
        caller.is_some(),
        user.is_some(),
        session.is_some(),
        client.is_some(),
        policy.is_some(),
        source.is_some(),
        scopes.is_some(),
        read.is_some(),
    ];
    assert!(trace.is_some() && some.iter().all(|one| *one == some[0]));
    if some[0] { "somebody".to_owned() } else { "nobody".to_owned() }
}

async fn needs_write(_: Granted<Write>) {}

fn routes() -> Router {
    Router::new()
        .route("/everything", get(everything))
        .route("/if-any", get(if_any))
        .route("/write", get(needs_write))
        .route("/caller", get(|_: Caller| async {}))
        .route("/trace", get(|_: TraceId| async {}))
}

async fn ask(app: &Router, path: &str, token: Option<&str>) -> (StatusCode, String, String) {
    let mut request = Request::get(path);
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let status = response.status();
    let challenge = response.headers().get(WWW_AUTHENTICATE).map(|value| value.to_str().unwrap().to_owned());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap(), challenge.unwrap_or_default())
}

async fn start() -> (SqliteBackend, Bridge, String) {
    let backend = SqliteBackend::start().await;
    let bridge = builder(&backend).await.build().unwrap();
    let token = access(&bridge, "alice", "read track").await.token.expose().to_owned();
    (backend, bridge, token)
}

#[tokio::test]
async fn a_handler_gets_what_its_signature_asks_for() {
    let (_backend, bridge, token) = start().await;
    let app = routes().layer(bridge.layer("bridge").unwrap());
    let (status, body, _) = ask(&app, "/everything", Some(&token)).await;
    assert_eq!((status.as_u16(), &*body), (200, "alice sp_bridge unversioned bridge read track"));
    assert_eq!(ask(&app, "/if-any", Some(&token)).await.1, "somebody");
    assert_eq!(ask(&app, "/everything", None).await.0, 401);
}

#[tokio::test]
async fn behind_an_optional_layer_absent_is_none_and_required_is_401() {
    let (_backend, bridge, token) = start().await;
    let app = routes().layer(bridge.layer("bridge").unwrap().optional());
    assert_eq!(ask(&app, "/if-any", None).await.1, "nobody");
    assert_eq!(ask(&app, "/if-any", Some(&token)).await.1, "somebody");
    assert_eq!(ask(&app, "/if-any", Some("bad")).await.0, 401);
    for path in ["/caller", "/everything", "/write"] {
        let (status, _, challenge) = ask(&app, path, None).await;
        assert_eq!((status.as_u16(), &*challenge), (401, "Bearer"), "{path}");
    }
    assert_eq!(ask(&app, "/trace", None).await.0, 200);
}

#[tokio::test]
async fn a_scope_in_the_signature_is_required() {
    let (_backend, bridge, token) = start().await;
    let app = routes().layer(bridge.layer("bridge").unwrap());
    let (status, body, challenge) = ask(&app, "/write", Some(&token)).await;
    assert_eq!(status, 403);
    assert_eq!(challenge, "Bearer error=\"insufficient_scope\", scope=\"read write\"");
    assert!(body.contains("\"code\":\"insufficient_scope\""), "{body}");
}

#[tokio::test]
async fn without_the_layer_every_extractor_fails_closed_and_says_what_to_add() {
    let (_backend, bridge, token) = start().await;
    let bare = routes();
    let mounted_outside = Router::new()
        .route("/inside", get(|| async {}))
        .layer(bridge.layer("bridge").unwrap())
        .merge(routes());
    let route_layer_first =
        routes().route_layer(bridge.layer("bridge").unwrap()).route("/late", get(|_: Caller| async {}));
    for path in ["/everything", "/if-any", "/write", "/caller", "/trace"] {
        for app in [&bare, &mounted_outside] {
            let (status, body, _) = ask(app, path, Some(&token)).await;
            assert_eq!(status, 500, "{path}");
            assert!(body.contains("BridgeAuthLayer") && body.contains(".layer("), "{body}");
        }
    }
    assert_eq!(ask(&route_layer_first, "/late", Some(&token)).await.0, 500);
    assert_eq!(ask(&route_layer_first, "/caller", Some(&token)).await.0, 200);
}

#[tokio::test]
async fn the_layer_guards_nested_and_fallback_routes_in_each_way_of_mounting() {
    let (_backend, bridge, token) = start().await;
    let layer = || bridge.layer("bridge").unwrap();
    let nested = Router::new().nest("/api", routes()).layer(layer());
    let inside = Router::new().nest("/api", routes().layer(layer()));
    let service = Router::new().nest_service("/api", routes().layer(layer()));
    for app in [&nested, &inside, &service] {
        assert_eq!(ask(app, "/api/caller", None).await.0, 401);
        assert_eq!(ask(app, "/api/caller", Some(&token)).await.0, 200);
    }
    assert_eq!(ask(&nested, "/nowhere", None).await.0, 401, "layer() guards the fallback too");
    let route_layer = routes().route_layer(layer());
    assert_eq!(ask(&route_layer, "/nowhere", None).await.0, 404, "route_layer() leaves it alone");
    for path in ["//caller", "/./caller", "/caller/", "/%63aller", "/caller;x", "/CALLER"] {
        let (status, ..) = ask(&route_layer, path, None).await;
        assert!(matches!(status.as_u16(), 401 | 404), "{path}: {status}");
    }
}
