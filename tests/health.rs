//! `Bridge::health_service`: what its probes say, and what they cost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bridge_auth::store::PostgresStore;
use bridge_auth::testing::TestBridge;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use bridge_auth::{Bridge, Freshness};
use bytes::Bytes;
use futures_util::future::join_all;
use http::header::{ALLOW, CACHE_CONTROL, RETRY_AFTER};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tower::ServiceExt as _;

use crate::support::bridge::builder_over;
use crate::support::counting::Counting;
use crate::support::postgres::Cluster;
use crate::support::{Backend as _, PostgresBackend, SqliteBackend};

/// Longer than a look at the store is shared.
const SHARED: Duration = Duration::from_millis(300);

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

async fn ask(bridge: &Bridge, method: Method, path: &str) -> Answer {
    let request = Request::builder().method(method).uri(path).body(Empty::<Bytes>::new()).unwrap();
    let (parts, body) = bridge.health_service().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: parts.status, headers: parts.headers, body }
}

async fn get(bridge: &Bridge, path: &str) -> Answer {
    ask(bridge, Method::GET, path).await
}

async fn becomes(bridge: &Bridge, status: u16) -> Answer {
    let coming = async {
        loop {
            let answer = get(bridge, "/ready").await;
            if answer.status == status {
                return answer;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(20), coming).await.unwrap_or_else(|_| panic!("/ready never answers {status}"))
}

#[tokio::test]
async fn the_last_segment_of_the_path_names_the_probe() {
    let bridges = TestBridge::new().await;
    for path in ["/live", "/livez", "/healthz", "/health/live"] {
        let live = get(bridges.bridge(), path).await;
        assert_eq!((live.status, live.json()), (StatusCode::OK, json!({ "status": "live" })), "{path}");
        assert_eq!(live.headers[CACHE_CONTROL], "no-store");
    }
    for path in ["/ready", "/readyz", "/some/where/ready"] {
        let ready = get(bridges.bridge(), path).await;
        assert_eq!((ready.status, ready.json()), (StatusCode::OK, json!({ "status": "ready" })), "{path}");
    }
    for path in ["/", "/live/", "/Live", "/ready/x", "/admin"] {
        assert_eq!(get(bridges.bridge(), path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn only_get_and_head_are_taken() {
    let bridges = TestBridge::new().await;
    for path in ["/live", "/ready", "/watcher"] {
        let head = ask(bridges.bridge(), Method::HEAD, path).await;
        assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
        for method in [Method::POST, Method::DELETE, Method::OPTIONS] {
            let refused = ask(bridges.bridge(), method, path).await;
            assert_eq!(refused.status, StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(refused.headers[ALLOW], "GET, HEAD");
        }
    }
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_not_ready_and_alive() {
    let bridges = TestBridge::new().await;
    assert_eq!(get(bridges.bridge(), "/ready").await.status, StatusCode::OK);
    bridges.stop_store();
    let answer = becomes(bridges.bridge(), 503).await;
    let told = json!({ "status": "not_ready", "code": "store_unavailable", "reason": "the database cannot be reached" });
    assert_eq!(answer.json(), told);
    assert!(answer.headers.contains_key(RETRY_AFTER), "it may pass");
    assert_eq!(get(bridges.bridge(), "/live").await.status, StatusCode::OK);
    bridges.start_store();
    becomes(bridges.bridge(), 200).await;
}

#[tokio::test]
async fn a_gateway_that_drains_is_not_ready_and_goes_on() {
    let bridges = TestBridge::new().await;
    let mut request = Request::get("/").body(Empty::<Bytes>::new()).unwrap();
    bridges.authorize(&mut request, "alice", "").await;
    let health = bridges.bridge().health().clone();
    assert!(!health.is_draining());
    health.drain();
    health.drain();
    let answer = get(bridges.bridge(), "/ready").await;
    assert_eq!(
        (answer.status, answer.json()["code"].clone()),
        (StatusCode::SERVICE_UNAVAILABLE, json!("draining"))
    );
    assert!(!answer.headers.contains_key(RETRY_AFTER), "it will not be ready again");
    assert_eq!(get(bridges.bridge(), "/live").await.status, StatusCode::OK);
    let authenticator = bridges.bridge().authenticator("bridge").unwrap();
    authenticator.authenticate(request.headers()).await.unwrap();
}

#[tokio::test]
async fn the_watcher_says_how_fresh_verdicts_are_and_nothing_else() {
    let watched = Freshness::Watched { max_lag: Duration::from_secs(5) };
    let bridges = TestBridge::with(|builder| builder.freshness(watched)).await;
    let mut request = Request::get("/").body(Empty::<Bytes>::new()).unwrap();
    bridges.authorize(&mut request, "alice", "").await;
    let authenticator = bridges.bridge().authenticator("bridge").unwrap();
    let fresh = async {
        while get(bridges.bridge(), "/watcher").await.json()["proven"] != json!(true) {
            authenticator.authenticate(request.headers()).await.unwrap();
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(20), fresh).await.unwrap();
    let told = get(bridges.bridge(), "/watcher").await.json();
    let members: Vec<_> = told.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["age_ms", "faults", "proven", "status"]);
    assert_eq!((&told["status"], &told["faults"]), (&json!("fresh"), &json!(0)));
}

#[tokio::test]
async fn a_flood_of_probes_costs_a_look_or_two() {
    let db = SqliteBackend::start().await;
    let store = Arc::new(Counting::new(db.open().await));
    let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
    let bridge = builder_over(store.clone(), keys).build().unwrap();
    let begun = Instant::now();
    let answers = join_all((0..500).map(|_| get(&bridge, "/ready"))).await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK));
    let most = 1 + begun.elapsed().as_millis() / 250;
    assert!(store.queries() as u128 <= most, "{} looks, {most} at most", store.queries());
    assert!(store.queries() > 0);

    // Probes that are given up share a look too, and the last of them gets its result.
    store.hang_look_ups();
    sleep(SHARED).await;
    for _ in 0..50 {
        assert!(timeout(Duration::from_millis(1), get(&bridge, "/ready")).await.is_err());
    }
    let answer = get(&bridge, "/ready").await;
    assert_eq!(answer.json()["code"], "store_timed_out");
    store.mend();
    becomes(&bridge, 200).await;
}

#[tokio::test]
async fn a_postgres_that_stops_or_freezes_is_told_within_the_deadline() {
    const DEADLINE: Duration = Duration::from_millis(800);
    let cluster = Cluster::start();
    let backend = PostgresBackend::in_cluster(&cluster).await;
    let store = PostgresStore::connect(&backend.url()).await.unwrap();
    let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
    let bridge =
        Bridge::builder("https://gateway.example", keys, store).store_deadline(DEADLINE).build().unwrap();
    becomes(&bridge, 200).await;

    cluster.tell("pause");
    sleep(SHARED).await;
    let begun = Instant::now();
    let answer = get(&bridge, "/ready").await;
    let took = begun.elapsed();
    cluster.tell("resume");
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    // The tick comes before the look-up: a server that cannot make one is not proven to be the primary.
    assert_eq!(answer.json()["code"], "store_unproven");
    assert!(took < 3 * DEADLINE, "{took:?}");
    becomes(&bridge, 200).await;

    cluster.tell("stop");
    let answer = becomes(&bridge, 503).await;
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    for secret in [&*cluster.port().to_string(), "127.0.0.1", "localhost", "postgres", "bridge_auth"] {
        assert!(!text.contains(secret), "{text}");
    }
    cluster.tell("start");
    becomes(&bridge, 200).await;
}
