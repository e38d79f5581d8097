//! The host's application, in front of which every guard stands: one route, with state, of an axum router.

use std::hint::black_box;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::handler::Handler;
use axum::routing::{MethodFilter, on};
use bridge_auth::Caller;

/// Where the one route is.
pub const PATH: &str = "/v1/messages";

/// What handlers share.
#[derive(Debug)]
pub struct App {
    pub answer: &'static str,
}

/// The application with this handler.
pub fn app<H: Handler<T, Arc<App>>, T: 'static>(handler: H) -> Router {
    let route = on(MethodFilter::GET.or(MethodFilter::POST), handler);
    Router::new().route(PATH, route).with_state(Arc::new(App { answer: "ok" }))
}

/// Answers anybody: the floor.
pub async fn anybody(State(app): State<Arc<App>>) -> &'static str {
    app.answer
}

/// Answers whom `bridge-auth` let in, and looks who that is.
pub async fn callers(State(app): State<Arc<App>>, caller: Caller) -> &'static str {
    black_box(caller.user_id());
    app.answer
}
