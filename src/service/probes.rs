//! The probes: whether the process answers, and whether it can judge requests now.

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode};
use serde::Serialize;

use super::answer::{Answer, EndpointError, Wording, json};
use super::endpoint::check_method;
use super::health::reason;
use super::request_body::RequestBody;
use super::state::ServiceState;
use crate::id::TraceId;
use crate::store::StoreErrorKind;

#[derive(Clone, Copy)]
enum Probe {
    Live,
    Ready,
    Watcher,
}

impl Probe {
    fn at(path: &str) -> Option<Self> {
        Some(match path.rsplit('/').next()? {
            "live" | "livez" | "healthz" => Self::Live,
            "ready" | "readyz" => Self::Ready,
            "watcher" => Self::Watcher,
            _ => return None,
        })
    }
}

/// What a probe tells. A member that is not known or not needed is left out.
#[derive(Default, Serialize)]
struct Told {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proven: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    faults: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_fault: Option<&'static str>,
}

pub(super) async fn serve(state: &ServiceState, request: Request<RequestBody>) -> Response<Bytes> {
    let (mut parts, _) = request.into_parts();
    let trace = TraceId::continue_from(&mut parts.headers);
    answer(state, &parts).await.unwrap_or_else(|failure| failure.into_response(Wording::Problem, &trace))
}

async fn answer(state: &ServiceState, parts: &Parts) -> Answer {
    let probe = Probe::at(parts.uri.path()).ok_or_else(EndpointError::not_found)?;
    check_method(&parts.method, "GET, HEAD")?;
    Ok(match probe {
        Probe::Live => json(StatusCode::OK, &Told { status: "live", ..Told::default() }),
        Probe::Ready => ready(state).await,
        Probe::Watcher => json(StatusCode::OK, &watcher(state)),
    })
}

async fn ready(state: &ServiceState) -> Response<Bytes> {
    if state.health.is_draining() {
        let (code, reason) = (Some("draining".to_owned()), Some("the gateway is about to stop"));
        let told = Told { status: "not_ready", code, reason, ..Told::default() };
        return json(StatusCode::SERVICE_UNAVAILABLE, &told);
    }
    let Some(fault) = state.health.fault(&state.admin, state.settings.deadlines.read).await else {
        return json(StatusCode::OK, &Told { status: "ready", ..Told::default() });
    };
    let (code, reason) = (Some(format!("store_{}", fault.as_str())), Some(reason(fault)));
    let told = Told { status: "not_ready", code, reason, ..Told::default() };
    let mut response = json(StatusCode::SERVICE_UNAVAILABLE, &told);
    if may_pass(fault) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(state.retry_after()));
    }
    response
}

fn watcher(state: &ServiceState) -> Told {
    let status = state.auth.watch_status();
    Told {
        status: if status.proven { "fresh" } else { "not_proven" },
        proven: Some(status.proven),
        age_ms: status.age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
        faults: Some(status.faults),
        last_fault: status.last_fault.map(StoreErrorKind::as_str),
        ..Told::default()
    }
}

/// Whether the fault may end without an operator.
fn may_pass(fault: StoreErrorKind) -> bool {
    use StoreErrorKind::{ReadOnly, TimedOut, Unavailable, Unproven};
    // A server that takes no writes may be a standby. Then the gateway may still find the primary.
    matches!(fault, Unavailable | TimedOut | Unproven | ReadOnly)
}
