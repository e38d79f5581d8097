//! The routes: which are open, which are guarded, and who may call each.

use std::sync::Arc;

use anyhow::Result;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use bridge_auth::caller::CallerKind;
use bridge_auth::id::TraceId;
use bridge_auth::required_scopes;
use bridge_auth::{Bridge, Caller, Granted};
use serde_json::{Value, json};
use tower_http::trace::TraceLayer;
use tracing::Span;
use tracing::field::Empty;
use url::Url;

use super::company::REVOCATIONS;
use super::home::home;
use super::host::{self, OwnHost};
use super::login::{self, Logins};
use super::operators::{self, AdminToken};
use super::upstream::Upstream;

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
    pub fn new(logins: Logins, admin_token: String, upstream: Upstream) -> Self {
        Self { logins, admin_token: AdminToken::new(admin_token), upstream: Arc::new(upstream) }
    }
}

/// The whole gateway. It is one resource, and `resource` is its URL, as it was given.
pub fn app(
    bridge: &Bridge,
    own: &Url,
    resource: &str,
    login: Router<AppState>,
    state: AppState,
) -> Result<Router> {
    // The layer lets in only people's bridges with a good token and a live session.
    let people = Router::new().route("/v1/messages", post(messages)).route_layer(bridge.layer(resource)?);
    // Their hooks may call these routes, and no others.
    let hooks_too = Router::new()
        .route("/v1/whoami", get(whoami))
        .route("/v1/track", post(track))
        .route_layer(bridge.layer(resource)?.admit_hook_clients());
    // This route lets in requests without a token as anonymous. A bad token is still refused.
    let open =
        Router::new().route("/v1/greeting", get(greeting)).route_layer(bridge.layer(resource)?.optional());
    // The endpoints for bridges. A signed-in person asks for a code, so the host's own login stands in front.
    let bridges = Router::new()
        .nest_service("/v1/auth/bridge", bridge.service())
        // At short paths too, because people type them.
        .route_service("/device", bridge.service())
        .route_service("/devices", bridge.service())
        .route_layer(login::sign_in_layer(state.logins.clone()));
    let admin = Router::new()
        .nest_service("/admin", bridge.admin_service())
        .route_layer(bridge.log_refusals_of(operators::layer(state.admin_token.clone())));
    Ok(Router::new()
        .merge(people)
        .merge(hooks_too)
        .merge(open)
        .merge(bridges)
        .merge(admin)
        .merge(login::routes(login, own)?)
        .route("/", get(home))
        .route_service("/.well-known/{*document}", bridge.well_known_service())
        .route_service("/v1/auth/bridge/openapi.json", bridge.openapi_service())
        .nest_service(REVOCATIONS, bridge.revocations_service())
        // The routes below this line answer under any host name, because a probe knows none.
        .layer(middleware::from_fn_with_state(OwnHost::of(resource), host::check))
        .route_service("/healthz", bridge.health_service())
        .route_service("/readyz", bridge.health_service())
        // Outside the guards, so that refused requests are traced too.
        .layer(TraceLayer::new_for_http().make_span_with(span))
        .with_state(state))
}

/// The span of a request, without the query. A client may put a secret into the query by mistake. The gateway refuses
/// that, and the secret must not be logged. The guard fills in who calls.
fn span(request: &Request) -> Span {
    let (method, path) = (request.method(), request.uri().path());
    tracing::debug_span!("request", %method, path, user_id = Empty, session_id = Empty, client_id = Empty)
}

/// Returns who calls, and every header that the handler received.
async fn whoami(caller: Caller, trace: TraceId, headers: HeaderMap) -> Json<Value> {
    let kind = match caller.kind() {
        CallerKind::User => "user",
        CallerKind::HookClient => "hook_client",
        CallerKind::Workload => "workload",
    };
    Json(json!({
        "user_id": caller.user_id(),
        "session_id": caller.session_id(),
        "client_id": caller.client_id(),
        "actor": caller.actor(),
        "trace_id": trace.to_string(),
        "kind": kind,
        "scopes": caller.scopes().iter().collect::<Vec<_>>(),
        "policy_version": caller.policy_version(),
        "call_source": caller.call_source(),
        "headers": to_json(&headers),
    }))
}

/// Sends the body to the upstream, with the identity headers that the guard wrote.
async fn messages(State(state): State<AppState>, headers: HeaderMap, body: Bytes) -> Response {
    match state.upstream.post(headers, body).await {
        Ok((status, received)) => (status, Json(received)).into_response(),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "the upstream failed, so POST /v1/messages answers 502");
            StatusCode::BAD_GATEWAY.into_response()
        }
    }
}

/// A caller without the scope never reaches this handler: its signature asks for the scope.
async fn track(caller: Granted<HookTrack>) -> Json<Value> {
    Json(json!({ "tracked_for": caller.user_id() }))
}

async fn greeting(caller: Option<Caller>) -> String {
    match caller {
        Some(caller) => format!("hello, {}\n", caller.user_id()),
        None => "hello, whoever you are\n".to_owned(),
    }
}

/// The headers as a JSON object. The values of a repeated header are joined (RFC 9110 §5.2).
pub fn to_json(headers: &HeaderMap) -> Value {
    let joined = |name| {
        let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        values.collect::<Vec<_>>().join(", ")
    };
    headers.keys().map(|name| (name.to_string(), Value::from(joined(name)))).collect()
}
