//! The probes: whether the process answers, and whether it can judge requests now.
//!
//! `/healthz` does not ask the database. A restart of the gateway repairs no database, and it would end work that goes
//! on without the database. `/readyz` says in words what is wrong. The log has the cause.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use bridge_auth::issue::Admin;
use bridge_auth::store::{StoreError, StoreErrorKind};

/// `GET /healthz`.
pub async fn alive() -> &'static str {
    "ok"
}

/// `GET /readyz`.
pub fn ready<S: Clone + Send + Sync + 'static>(admin: &Admin, stopping: Stopping) -> MethodRouter<S> {
    get(answer).with_state(Readiness { admin: admin.clone(), stopping, told: Arc::default() })
}

/// Whether the gateway was told to stop.
#[derive(Clone, Default)]
pub struct Stopping(Arc<AtomicBool>);

impl Stopping {
    /// From now on the gateway is not ready.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Clone)]
struct Readiness {
    admin: Admin,
    stopping: Stopping,
    /// The last reason that was logged. Each change is logged once, however often the probe comes.
    told: Arc<Mutex<Option<String>>>,
}

/// Why requests cannot be judged now.
struct Unready {
    /// For the answer: it names no path, no server and no driver.
    reason: String,
    /// Whether the fault may end without an operator.
    may_pass: bool,
    /// For the log.
    cause: Box<dyn Error + Send + Sync>,
}

/// Checks everything that a gateway needs to judge requests. Further checks (how fresh its proofs are) belong here.
async fn judge(admin: &Admin) -> Result<(), Unready> {
    Ok(admin.ping().await?)
}

impl From<StoreError> for Unready {
    fn from(error: StoreError) -> Self {
        let (reason, may_pass) = match error.kind() {
            StoreErrorKind::Unavailable => ("the database cannot be reached", true),
            StoreErrorKind::TimedOut => ("the database does not answer in time", true),
            StoreErrorKind::Unproven => (
                "the database cannot prove that it is still the primary: its synchronous standby does not answer, or \
                 another server has taken over",
                true,
            ),
            // The server may be a standby. Then the gateway may still find the primary.
            StoreErrorKind::ReadOnly => ("the database takes no writes", true),
            StoreErrorKind::Full => ("the disk of the database is full", false),
            StoreErrorKind::Moved => ("the file of the database was moved, removed or replaced", false),
            StoreErrorKind::Misconfigured => ("the database is set up wrongly", false),
            _ => ("the database does not work", false),
        };
        Self { reason: reason.to_owned(), may_pass, cause: error.into() }
    }
}

async fn answer(State(readiness): State<Readiness>) -> Response {
    // So that a balancer sends new requests elsewhere, while this gateway still answers those that come.
    if readiness.stopping.has_begun() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the gateway is stopping").into_response();
    }
    let judged = judge(&readiness.admin).await;
    readiness.tell(&judged);
    match judged {
        Ok(()) => "ready".into_response(),
        Err(unready) => unready.into_response(),
    }
}

impl Readiness {
    fn tell(&self, judged: &Result<(), Unready>) {
        let reason = judged.as_ref().err().map(|unready| unready.reason.clone());
        let before =
            std::mem::replace(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner), reason.clone());
        match judged {
            _ if before == reason => {}
            Ok(()) => tracing::info!("the gateway is ready again"),
            Err(Unready { reason, cause, .. }) => {
                tracing::error!(error = cause.as_ref() as &dyn Error, "the gateway is not ready: {reason}");
            }
        }
    }
}

impl IntoResponse for Unready {
    fn into_response(self) -> Response {
        if self.may_pass {
            return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], self.reason)
                .into_response();
        }
        let told = format!("{}; an operator must act, the gateway's log has the cause", self.reason);
        (StatusCode::SERVICE_UNAVAILABLE, told).into_response()
    }
}
