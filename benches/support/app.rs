//! The host's application: an axum router with state and one route. Every guard stands in front of it.

use std::hint::black_box;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::handler::Handler;
use axum::routing::{MethodFilter, on};
use bridge_auth::Caller;
use http::Request;
use http::header::SET_COOKIE;
use serde::Deserialize;
use tower::ServiceExt;

/// The path of the one route.
pub const PATH: &str = "/v1/messages";

/// The path where people sign in, if the guard reads cookies.
pub const SIGN_IN: &str = "/sign-in";

/// What handlers share.
#[derive(Debug)]
pub struct App {
    pub answer: &'static str,
}

/// The claims that a handler reads.
#[derive(Debug, Clone, Deserialize)]
#[allow(dead_code, reason = "a host parses these members too")]
pub struct Read {
    pub sub: String,
    pub sid: String,
    pub client_id: String,
    pub scope: String,
}

/// The application with this handler.
pub fn app<H: Handler<T, Arc<App>>, T: 'static>(handler: H) -> Router {
    let route = on(MethodFilter::GET.or(MethodFilter::POST), handler);
    Router::new().route(PATH, route).with_state(Arc::new(App { answer: "ok" }))
}

/// Answers every request: the floor.
pub async fn anybody(State(app): State<Arc<App>>) -> &'static str {
    app.answer
}

/// Answers requests that `bridge-auth` let in, and reads who calls.
pub async fn callers(State(app): State<Arc<App>>, caller: Caller) -> &'static str {
    black_box(caller.user_id());
    app.answer
}

/// Signs people in, and returns their cookies.
pub async fn sign_in(router: &Router, people: u64) -> Vec<String> {
    let mut cookies = Vec::new();
    for person in 0..people {
        let request = Request::post(SIGN_IN).body(Body::from(format!("user-{person}"))).unwrap();
        let answer = router.clone().oneshot(request).await.unwrap();
        let cookie = answer.headers()[SET_COOKIE].to_str().unwrap();
        cookies.push(cookie.split(';').next().unwrap_or_default().to_owned());
    }
    cookies
}
