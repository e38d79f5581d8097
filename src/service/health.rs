//! The probes: whether the process answers, and whether it can judge requests now.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode};
use serde::Serialize;

use super::answer::{Answer, EndpointError, Wording, json};
use super::endpoint::check_method;
use super::request_body::RequestBody;
use super::state::ServiceState;
use crate::id::TraceId;
use crate::issue::Admin;
use crate::store::{StoreError, StoreErrorKind, within_deadline};

/// The health of a bridge, as its probes show it.
///
/// [`Bridge::health`](crate::Bridge::health) hands it out. Cloning is cheap, and all clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Health {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    is_draining: AtomicBool,
    last: Mutex<Option<Look>>,
    /// Probes that wait for the turn share the look of the one that has it.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// What a look at the store has found.
#[derive(Debug, Clone, Copy)]
struct Look {
    ended: Instant,
    fault: Option<StoreErrorKind>,
}

impl Health {
    /// How long a look is shared.
    const SHARED: Duration = Duration::from_millis(250);

    /// From now on the gateway is not ready, so that balancers send it no more requests.
    ///
    /// Everything else goes on. Call it when the process is told to stop. Wait until the balancers have seen it, and only
    /// then stop accepting connections. There is no way back.
    ///
    /// ```no_run
    /// # async fn stop(bridge: bridge_auth::Bridge) {
    /// bridge.health().drain();
    /// // Longer than the balancer takes to notice.
    /// tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    /// // Now shut the server down.
    /// # }
    /// ```
    pub fn drain(&self) {
        if !self.inner.is_draining.swap(true, Ordering::AcqRel) {
            tracing::info!("the gateway drains: it is not ready from now on");
        }
    }

    /// Whether the gateway drains.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.inner.is_draining.load(Ordering::Acquire)
    }

    /// Why requests cannot be judged now; `None` when they can. The look at the store is shared.
    async fn fault(&self, state: &ServiceState) -> Option<StoreErrorKind> {
        let recent = || self.last().filter(|look| look.ended.elapsed() < Self::SHARED);
        if let Some(look) = recent() {
            return look.fault;
        }
        let turn = self.inner.turn.clone().lock_owned().await;
        if let Some(look) = recent() {
            return look.fault;
        }
        let (health, admin) = (self.clone(), state.admin.clone());
        let deadline = state.settings.deadlines.read;
        // It goes on when the probe is given up: so impatient probes share a look too.
        let looking = tokio::spawn(async move {
            let _turn = turn;
            health.look(&admin, deadline).await
        });
        looking.await.unwrap_or(Some(StoreErrorKind::Failed))
    }

    /// Looks at the store, and logs what has changed.
    async fn look(&self, admin: &Admin, deadline: Duration) -> Option<StoreErrorKind> {
        let looked = within_deadline(deadline, admin.ping()).await;
        let fault = looked.as_ref().err().map(StoreError::kind);
        let look = Look { ended: Instant::now(), fault };
        let before = self.inner.last.lock().unwrap_or_else(PoisonError::into_inner).replace(look);
        match &looked {
            _ if before.and_then(|look| look.fault) == fault => {}
            Ok(()) => tracing::info!("the gateway is ready again"),
            Err(error) => {
                let (reason, error) = (reason(error.kind()), error as &dyn Error);
                tracing::error!(error, reason, "the gateway is not ready");
            }
        }
        fault
    }

    fn last(&self) -> Option<Look> {
        *self.inner.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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
    let Some(fault) = state.health.fault(state).await else {
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

/// For everybody: it names no path, no server and no driver.
fn reason(fault: StoreErrorKind) -> &'static str {
    match fault {
        StoreErrorKind::Unavailable => "the database cannot be reached",
        StoreErrorKind::TimedOut => "the database does not answer in time",
        StoreErrorKind::Unproven => {
            "the database cannot prove that it is still the primary: its synchronous standby does not answer, or another \
             server has taken over"
        }
        StoreErrorKind::ReadOnly => "the database takes no writes",
        StoreErrorKind::Full => {
            "the disk of the database is full; an operator must act, the gateway's log has the cause"
        }
        StoreErrorKind::Moved => {
            "the file of the database was moved, removed or replaced; an operator must act, the gateway's log has the cause"
        }
        StoreErrorKind::Misconfigured => {
            "the database is set up wrongly; an operator must act, the gateway's log has the cause"
        }
        StoreErrorKind::Failed => {
            "the database does not work; an operator must act, the gateway's log has the cause"
        }
    }
}
