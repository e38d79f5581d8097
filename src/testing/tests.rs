use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;
use tower::{Layer as _, ServiceExt as _, service_fn};

use super::*;
use crate::caller::{Caller, CallerKind};
use crate::layer::BridgeAuthLayer;
use crate::session::Freshness;
use crate::store::{SessionLimit, WhenFull};

type Body = Full<Bytes>;

fn request() -> Request<Body> {
    Request::new(Body::default())
}

async fn answer(layer: &BridgeAuthLayer, request: &Request<Body>) -> (StatusCode, Option<&'static str>) {
    let service = layer.layer(service_fn(async |request: Request<_>| {
        assert!(request.extensions().get::<Caller>().is_some());
        Ok::<_, Infallible>(Response::new(Body::default()))
    }));
    let response = service.oneshot(request.clone()).await.unwrap();
    (response.status(), refusal(&response))
}

const ADMITTED: (StatusCode, Option<&str>) = (StatusCode::OK, None);

fn refused(reason: &'static str) -> (StatusCode, Option<&'static str>) {
    (StatusCode::UNAUTHORIZED, Some(reason))
}

#[tokio::test]
async fn the_guard_admits_an_authorized_request_and_no_other() {
    let bridges = TestBridge::new().await;
    let mut request = request();
    assert_eq!(answer(&bridges.layer(), &request).await.0, StatusCode::UNAUTHORIZED);
    bridges.authorize(&mut request, "alice", "models:call").await;
    assert_eq!(answer(&bridges.layer(), &request).await, ADMITTED);
    let other = TestBridge::new().await;
    assert_eq!(answer(&other.layer(), &request).await.0, StatusCode::UNAUTHORIZED, "it has its own key");
}

#[tokio::test]
async fn a_revoked_person_is_refused_and_a_new_session_is_admitted() {
    let bridges = TestBridge::new().await;
    let mut request = request();
    bridges.authorize(&mut request, "alice", "").await;
    bridges.revoke("alice").await;
    assert_eq!(answer(&bridges.layer(), &request).await, refused("session_revoked"));
    bridges.authorize(&mut request, "alice", "").await;
    assert_eq!(answer(&bridges.layer(), &request).await, ADMITTED);
}

#[tokio::test]
async fn one_session_ends_alone() {
    let bridges = TestBridge::new().await;
    let (mut laptop, mut desktop) = (request(), request());
    let access = bridges.authorize(&mut laptop, "alice", "").await;
    bridges.authorize(&mut desktop, "alice", "").await;
    bridges.revoke_session(&access.session).await;
    assert_eq!(answer(&bridges.layer(), &laptop).await, refused("session_revoked"));
    assert_eq!(answer(&bridges.layer(), &desktop).await, ADMITTED);
}

#[tokio::test]
async fn a_token_expires_at_its_very_second() {
    let bridges = TestBridge::with(|builder| builder.token_life(Duration::from_secs(60))).await;
    let mut request = request();
    bridges.authorize(&mut request, "alice", "").await;
    bridges.advance(Duration::from_millis(59_999));
    assert_eq!(answer(&bridges.layer(), &request).await, ADMITTED);
    bridges.advance(Duration::from_millis(1));
    assert_eq!(answer(&bridges.layer(), &request).await, refused("expired"));
    bridges.authorize(&mut request, "alice", "").await;
    bridges.expire();
    assert_eq!(answer(&bridges.layer(), &request).await, refused("expired"));
}

#[tokio::test]
async fn the_store_judges_by_the_same_clock() {
    let bridges = TestBridge::new().await;
    let access = bridges.access("alice", "").await;
    let status = async || {
        let found = bridges.bridge().admin().devices_of(&access.user, &Default::default()).await.unwrap();
        found.devices.len()
    };
    assert_eq!(status().await, 1);
    bridges.advance(Duration::from_secs(24 * 3600 - 1));
    assert_eq!(status().await, 1);
    bridges.advance(Duration::from_secs(1));
    assert_eq!(status().await, 0, "the session has ended");
    bridges.advance(Duration::from_secs(2 * 3600));
    assert_eq!(bridges.bridge().admin().sweep(|_| {}).await.unwrap().sessions, 1);
}

#[tokio::test]
async fn a_watched_bridge_follows_the_test_too() {
    let watched = Freshness::Watched { max_lag: Duration::from_secs(60) };
    let bridges = TestBridge::with(|builder| builder.freshness(watched)).await;
    let [mut alice, mut bob] = [request(), request()];
    bridges.authorize(&mut alice, "alice", "").await;
    bridges.authorize(&mut bob, "bob", "").await;
    for request in [&alice, &bob] {
        assert_eq!(answer(&bridges.layer(), request).await, ADMITTED);
    }
    bridges.revoke("alice").await;
    assert_eq!(answer(&bridges.layer(), &alice).await, refused("session_revoked"));
    bridges.expire();
    assert_eq!(answer(&bridges.layer(), &bob).await, refused("expired"));
}

#[tokio::test]
async fn what_is_opened_later_has_a_later_time() {
    let two = SessionLimit { max: 2, when_full: WhenFull::Evict };
    let bridges = TestBridge::with(|builder| builder.session_limit(two)).await;
    let mut requests = [request(), request(), request()];
    for request in &mut requests {
        bridges.authorize(request, "alice", "").await;
    }
    let [first, second, third] = &requests;
    assert_eq!(answer(&bridges.layer(), first).await, refused("session_revoked"));
    assert_eq!(answer(&bridges.layer(), second).await, ADMITTED);
    assert_eq!(answer(&bridges.layer(), third).await, ADMITTED);
}

#[tokio::test]
async fn a_store_that_is_stopped_is_an_outage_and_no_verdict() {
    let bridges = TestBridge::new().await;
    let mut request = request();
    bridges.authorize(&mut request, "alice", "").await;
    bridges.stop_store();
    assert_eq!(
        answer(&bridges.layer(), &request).await,
        (StatusCode::SERVICE_UNAVAILABLE, Some("store_unavailable"))
    );
    assert!(bridges.bridge().admin().ping().await.is_err());
    bridges.start_store();
    assert_eq!(answer(&bridges.layer(), &request).await, ADMITTED);
    bridges.bridge().admin().ping().await.unwrap();
}

#[tokio::test]
async fn a_hook_is_admitted_only_where_hooks_are() {
    let bridges = TestBridge::new().await;
    let mut request = request();
    bridges.authorize_hook(&mut request, "alice", "hook:track").await;
    let refusal = answer(&bridges.layer(), &request).await;
    assert_eq!(refusal.0, StatusCode::FORBIDDEN);
    assert_eq!(answer(&bridges.layer().admit_hook_clients(), &request).await, ADMITTED);
}

#[tokio::test]
async fn a_caller_is_what_the_guard_would_make() {
    let bridges = TestBridge::with(|builder| builder.audiences(["models"])).await;
    let caller = bridges.caller("alice", "models:call").await;
    assert_eq!((caller.user_id().as_str(), caller.kind()), ("alice", CallerKind::User));
    assert!(caller.scopes().contains("models:call"));
}

#[tokio::test]
async fn a_signed_in_person_gets_a_code_that_expires_with_the_moved_time() {
    let bridges = TestBridge::new().await;
    let code = async || {
        let mut request = Request::post("/code").body(Body::default()).unwrap();
        bridges.sign_in(&mut request, "alice", "models:call");
        let answer = bridges.bridge().service().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice::<Value>(&body).unwrap()["code"].as_str().unwrap().to_owned()
    };
    let exchange = async |code: &str| {
        let body = Body::from(format!(r#"{{"code":"{code}"}}"#));
        let request =
            Request::post("/session").header("content-type", "application/json").body(body).unwrap();
        bridges.bridge().service().oneshot(request).await.unwrap().status()
    };
    assert_eq!(exchange(&code().await).await, StatusCode::OK);
    let late = code().await;
    bridges.advance(Duration::from_secs(120));
    assert_eq!(exchange(&late).await, StatusCode::BAD_REQUEST);
}

#[tokio::test]
#[should_panic(expected = r#"the scopes "a\"b": "#)]
async fn a_malformed_scope_panics_and_says_which() {
    TestBridge::new().await.access("alice", "a\"b").await;
}

#[tokio::test]
#[should_panic(expected = "nobody has the user id")]
async fn to_revoke_somebody_unknown_is_a_mistake_of_the_test() {
    TestBridge::new().await.revoke("alice").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_requests_at_once_share_the_store_in_memory() {
    let bridges = TestBridge::new().await;
    let tasks: Vec<_> = (0..32)
        .map(|number| {
            let bridges = bridges.clone();
            tokio::spawn(async move {
                let mut request = request();
                bridges.authorize(&mut request, &format!("user-{number}"), "").await;
                answer(&bridges.layer(), &request).await
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), ADMITTED);
    }
}
