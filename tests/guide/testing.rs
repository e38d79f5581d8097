use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::response::Response;
use axum::routing::get;
use bridge_auth::clock::Clock;
use bridge_auth::issue::{Access, AccessRequest};
use bridge_auth::store::SqliteStore;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use bridge_auth::{Bridge, Caller, Granted, Rejection, Scopes, SignedIn, UserId, required_scopes};
use http::{Request, StatusCode};
use tempfile::TempDir;
use tower::ServiceExt as _;

required_scopes! {
    struct CallModels = ["models:call"];
}

/// The routes under test: in your gateway this function is in `src`.
fn app(bridge: &Bridge) -> Router {
    Router::new()
        .route("/whoami", get(async |caller: Caller| caller.user_id().to_string()))
        .route("/models", get(async |_: Granted<CallModels>| "models"))
        .route_layer(bridge.layer("bridge").unwrap())
}

/// A clock that stands still until a test moves it.
#[derive(Debug, Clone)]
struct TestClock(Arc<Mutex<Duration>>);

impl Clock for TestClock {
    fn now(&self) -> Duration {
        *self.0.lock().unwrap()
    }
}

impl TestClock {
    fn pass(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }
}

/// A gateway of its own for each test.
struct Setting {
    bridge: Bridge,
    clock: TestClock,
    _folder: TempDir,
}

impl Setting {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("gateway.db")).await.unwrap();
        let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let clock = TestClock(Arc::new(Mutex::new(now)));
        let builder = Bridge::builder("https://gateway.example", keys, store).clock(clock.clone());
        Self { bridge: builder.build().unwrap(), clock, _folder: folder }
    }

    /// Access for `person` without a code: the test vouches for them.
    async fn access(&self, person: &str, scopes: &str) -> Access {
        let (user, scopes) = (UserId::parse(person).unwrap(), Scopes::parse(scopes).unwrap());
        let issuer = self.bridge.issuer();
        issuer.register_user(&SignedIn::new(user.clone(), scopes.clone())).await.unwrap();
        issuer.open_access(AccessRequest::for_user(user, scopes)).await.unwrap()
    }

    async fn get(&self, path: &str, access: &Access) -> Response {
        let bearer = format!("Bearer {}", access.token.expose());
        let request = Request::get(path).header("authorization", bearer).body(Body::empty()).unwrap();
        app(&self.bridge).oneshot(request).await.unwrap()
    }
}

/// Why the guard refused: the caller is told less than this.
fn reason(response: &Response) -> &'static str {
    response.extensions().get::<Rejection>().unwrap().reason()
}

#[tokio::test]
async fn a_handler_knows_who_calls() {
    let setting = Setting::start().await;
    let alice = setting.access("alice", "").await;
    let answer = setting.get("/whoami", &alice).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(to_bytes(answer.into_body(), 1024).await.unwrap(), "alice");
}

#[tokio::test]
async fn a_caller_without_the_scope_is_refused() {
    let setting = Setting::start().await;
    let (alice, bob) = (setting.access("alice", "models:call").await, setting.access("bob", "").await);
    assert_eq!(setting.get("/models", &alice).await.status(), StatusCode::OK);
    let refused = setting.get("/models", &bob).await;
    assert_eq!((refused.status(), reason(&refused)), (StatusCode::FORBIDDEN, "insufficient_scope"));
}

#[tokio::test]
async fn a_revoked_session_is_refused() {
    let setting = Setting::start().await;
    let alice = setting.access("alice", "").await;
    assert!(setting.bridge.admin().revoke_session(&alice.session).await.unwrap());
    let refused = setting.get("/whoami", &alice).await;
    assert_eq!((refused.status(), reason(&refused)), (StatusCode::UNAUTHORIZED, "session_revoked"));
}

#[tokio::test]
async fn an_expired_token_is_refused() {
    let setting = Setting::start().await;
    let alice = setting.access("alice", "").await;
    setting.clock.pass(alice.ttl - Duration::from_secs(1));
    assert_eq!(setting.get("/whoami", &alice).await.status(), StatusCode::OK);
    setting.clock.pass(Duration::from_secs(1));
    let refused = setting.get("/whoami", &alice).await;
    assert_eq!((refused.status(), reason(&refused)), (StatusCode::UNAUTHORIZED, "expired"));
}
