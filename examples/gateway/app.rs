//! The routes: what is open, what is guarded, and by whom.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use bridge_auth::caller::CallerKind;
use bridge_auth::id::TraceId;
use bridge_auth::required_scopes;
use bridge_auth::{Bridge, BuildError, Caller, Granted};
use serde_json::{Value, json};
use tower_http::trace::TraceLayer;
use tracing::Span;

use crate::host::{self, OwnHost};
use crate::login::{self, Logins};
use crate::operators::{self, AdminToken};
use crate::readiness;
use crate::upstream::Upstream;

/// What the handlers share.
#[derive(Clone)]
pub struct AppState {
    pub logins: Logins,
    pub admin_token: AdminToken,
    pub upstream: Arc<Upstream>,
}

required_scopes! {
    /// May write to the audit track.
    struct HookTrack = ["hook:track"];
}

impl AppState {
    pub fn new(admin_token: String, upstream: Upstream) -> Self {
        Self {
            logins: Logins::default(),
            admin_token: AdminToken::new(admin_token),
            upstream: Arc::new(upstream),
        }
    }
}

/// The whole gateway, which is one resource: `resource` is its URL.
pub fn app(bridge: &Bridge, resource: &str, state: AppState) -> Result<Router, BuildError> {
    // Only people's bridges with a good token and a live session get past the layer.
    let people = Router::new().route("/v1/messages", post(messages)).route_layer(bridge.layer(resource)?);
    // Their hooks come as far as this, and no further.
    let hooks_too = Router::new()
        .route("/v1/whoami", get(whoami))
        .route("/v1/track", post(track))
        .route_layer(bridge.layer(resource)?.admit_hook_clients());
    // Here nobody may come in too, but not somebody with a bad token.
    let open =
        Router::new().route("/v1/greeting", get(greeting)).route_layer(bridge.layer(resource)?.optional());
    // What bridges call. A person asks for a code, so the host's own login stands in front.
    let bridges = Router::new()
        .nest_service("/v1/auth/bridge", bridge.service())
        .route_layer(middleware::from_fn_with_state(state.clone(), login::sign_in));
    let admin = Router::new()
        .nest_service("/admin", bridge.admin_service())
        .route_layer(middleware::from_fn_with_state(state.clone(), operators::check));
    Ok(Router::new()
        .merge(people)
        .merge(hooks_too)
        .merge(open)
        .merge(bridges)
        .merge(admin)
        .route("/demo/login", post(login::log_in))
        .route_service("/.well-known/{*document}", bridge.well_known_service())
        .route_service("/v1/auth/bridge/openapi.json", bridge.openapi_service())
        // What is added after this answers under any name: a probe knows none.
        .layer(middleware::from_fn_with_state(OwnHost::of(resource), host::check))
        .route("/healthz", get(readiness::alive))
        .route("/readyz", readiness::ready(bridge.admin()))
        // Outside of the guards, so that refused requests are traced too.
        .layer(TraceLayer::new_for_http().make_span_with(span))
        .with_state(state))
}

/// Without the query: who does not know better puts a secret there, which is refused, and must not be logged.
fn span(request: &Request) -> Span {
    tracing::debug_span!("request", method = %request.method(), path = request.uri().path())
}

/// Who calls, and every header that the handler received.
async fn whoami(caller: Caller, trace: TraceId, headers: HeaderMap) -> Json<Value> {
    let kind = match caller.kind() {
        CallerKind::User => "user",
        CallerKind::HookClient => "hook_client",
    };
    Json(json!({
        "user_id": caller.user_id(),
        "session_id": caller.session_id(),
        "client_id": caller.client_id(),
        "trace_id": trace.to_string(),
        "kind": kind,
        "scopes": caller.scopes().iter().collect::<Vec<_>>(),
        "policy_version": caller.policy_version(),
        "call_source": caller.call_source(),
        "headers": to_json(&headers),
    }))
}

/// Hands the body to the upstream, with the identity headers that the guard has written.
async fn messages(State(state): State<AppState>, headers: HeaderMap, body: Bytes) -> Response {
    match state.upstream.post(headers, body).await {
        Ok((status, received)) => (status, Json(received)).into_response(),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the upstream failed");
            StatusCode::BAD_GATEWAY.into_response()
        }
    }
}

/// A caller without the scope never gets here, and the signature says so.
async fn track(caller: Granted<HookTrack>) -> Json<Value> {
    Json(json!({ "tracked_for": caller.user_id() }))
}

async fn greeting(caller: Option<Caller>) -> String {
    match caller {
        Some(caller) => format!("hello, {}\n", caller.user_id()),
        None => "hello, whoever you are\n".to_owned(),
    }
}

/// The headers as a JSON object; one that came several times has its values joined (RFC 9110 §5.2).
pub fn to_json(headers: &HeaderMap) -> Value {
    let joined = |name| {
        let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        values.collect::<Vec<_>>().join(", ")
    };
    headers.keys().map(|name| (name.to_string(), Value::from(joined(name)))).collect()
}
