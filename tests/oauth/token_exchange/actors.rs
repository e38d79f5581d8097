//! What a token by which somebody acts depends on, wherever it is judged.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bridge_auth::service::ForwardAuthService;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use bridge_auth::{Freshness, SessionId};
use bytes::Bytes;
use futures_util::stream::unfold;
use http::Method;
use tokio::time::{interval, timeout};

use super::{ACCESS, agent, exchangeable, exchanged, gateway};
use crate::oauth::given::{claims, with_oauth};
use crate::support::Backend;
use crate::support::bridge::builder_over;
use crate::support::counting::Counting;
use crate::support::gateway::{Answer, Gateway};

crate::store::promises![
    a_stream_ends_with_the_session_of_whoever_acts,
    forward_authentication_refuses_what_an_actor_acted_by_once_they_have_gone,
    while_the_actor_cannot_be_looked_up_the_answer_is_503,
];

const WITHIN: Duration = Duration::from_secs(1);
/// What a busy machine adds.
const SLACK: Duration = Duration::from_secs(5);

/// Bob acts for Alice by a token of his own, and the coder acts for him.
struct Scene {
    gateway: Gateway,
    store: Arc<Counting>,
    /// Of Bob himself.
    bob: SessionId,
    /// Alice's token, and what was exchanged from it without Bob.
    without_bob: [String; 2],
    by_bob: [String; 2],
}

impl Scene {
    async fn start(db: &impl Backend, freshness: Freshness) -> Self {
        let store = Arc::new(Counting::new(db.open().await));
        let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
        let builder = exchangeable(with_oauth(builder_over(store.clone(), keys)));
        let bridge = builder.freshness(freshness).build().unwrap();
        let layer = || bridge.layer("bridge").unwrap();
        let events = Router::new().route("/events", get(ticks)).layer(layer().end_streams_within(WITHIN));
        let routes = events.nest_service("/auth", ForwardAuthService::new(layer()).faults_as_503());
        let gateway = Gateway::with_routes(bridge, routes).await;
        let (alice, bob) = (gateway.link("alice").await, gateway.link("bob").await);
        let plain = exchanged(&gateway, &agent("planner"), &alice, &[]).await;
        let acting = [("actor_token", &*bob), ("actor_token_type", ACCESS)];
        let first = exchanged(&gateway, &agent("planner"), &alice, &acting).await;
        let second = exchanged(&gateway, &agent("coder"), &first, &[]).await;
        let bob = claims(&bob)["sid"].as_str().unwrap().parse().unwrap();
        Self { gateway, store, bob, without_bob: [alice, plain], by_bob: [first, second] }
    }

    async fn ask(&self, path: &str, token: &str) -> Answer {
        self.gateway.call(Method::GET, path, token).await
    }

    async fn stream(&self, token: &str) -> reqwest::Response {
        let request = self.gateway.request(Method::GET, "/events").bearer_auth(token);
        let stream = request.send().await.unwrap();
        assert_eq!(stream.status(), 200);
        stream
    }
}

/// Chunks without end.
async fn ticks() -> Body {
    Body::from_stream(unfold(interval(Duration::from_millis(20)), |mut ticks| async {
        ticks.tick().await;
        Some((Ok::<_, Infallible>(Bytes::from("data: tick\n\n")), ticks))
    }))
}

async fn ends(mut stream: reqwest::Response, within: Duration) -> bool {
    timeout(within, async { while let Ok(Some(_)) = stream.chunk().await {} }).await.is_ok()
}

async fn a_stream_ends_with_the_session_of_whoever_acts(db: impl Backend) {
    for freshness in [Freshness::Strict, Freshness::watched()] {
        let scene = Scene::start(&db, freshness).await;
        let far = gateway(&db).await;
        let [first, second] = [scene.stream(&scene.by_bob[0]).await, scene.stream(&scene.by_bob[1]).await];
        let plain = scene.stream(&scene.without_bob[1]).await;
        // It goes on while everybody is there.
        let mut other = scene.stream(&scene.by_bob[0]).await;
        let goes_on = timeout(2 * WITHIN, async { while let Ok(Some(_)) = other.chunk().await {} });
        assert!(goes_on.await.is_err(), "{freshness:?}");
        far.bridge.admin().revoke_session(&scene.bob).await.unwrap();
        let ended = tokio::join!(ends(first, WITHIN + SLACK), ends(second, WITHIN + SLACK));
        assert_eq!(ended, (true, true), "{freshness:?}");
        assert!(!ends(plain, 2 * WITHIN).await, "{freshness:?}");
    }
}

async fn forward_authentication_refuses_what_an_actor_acted_by_once_they_have_gone(db: impl Backend) {
    let far = gateway(&db).await;
    for freshness in [Freshness::Strict, Freshness::watched()] {
        let scene = Scene::start(&db, freshness).await;
        for token in scene.by_bob.iter().chain(&scene.without_bob) {
            assert_eq!(scene.ask("/auth", token).await.status, 204);
        }
        far.bridge.admin().revoke_session(&scene.bob).await.unwrap();
        for token in &scene.by_bob {
            assert_eq!(scene.ask("/auth", token).await.status, 401, "{freshness:?}");
        }
        for token in &scene.without_bob {
            assert_eq!(scene.ask("/auth", token).await.status, 204, "{freshness:?}");
        }
    }
}

/// A fault is never a verdict: nobody is let in, and nobody throws a good token away.
async fn while_the_actor_cannot_be_looked_up_the_answer_is_503(db: impl Backend) {
    let scene = Scene::start(&db, Freshness::Strict).await;
    for path in ["/v1/echo", "/auth", "/events"] {
        // Also when it was let in before.
        for was_in in [false, true] {
            scene.store.break_look_ups_of(scene.bob.clone());
            for token in &scene.by_bob {
                let answer = scene.ask(path, token).await;
                assert_eq!(answer.status, 503, "{path} {was_in}");
                assert!(
                    !answer.headers.contains_key("www-authenticate") && answer.header("retry-after") == "1"
                );
            }
            if path != "/events" {
                for token in &scene.without_bob {
                    assert!(scene.ask(path, token).await.status.is_success());
                }
            }
            let again = super::exchange(&scene.gateway, &agent("tester"), &scene.by_bob[0], &[]).await;
            assert_eq!(again.status, 503, "{again:?}");
            scene.store.mend();
            for token in &scene.by_bob {
                assert!(scene.gateway.admits(token).await);
            }
        }
    }
}
