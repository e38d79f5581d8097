//! What the host sees in its logs and metrics: one place, so that no secret slips into either.
//!
//! Audit events have the tracing target `bridge_auth::audit`; every event names things by their ids and
//! carries no secret. With the feature `metrics`, each has a counter with labels from a bounded set.

use crate::authenticate::Admitted;
use crate::id::Trace;
use crate::rejection::Rejection;

/// A request was let in; `None` is nobody, behind an optional layer.
pub(crate) fn admitted(admitted: Option<&Admitted>, trace: &Trace) {
    match admitted {
        Some(Admitted::Caller(caller)) => {
            count("bridge_auth_admitted_total", "caller");
            tracing::trace!(user_id = %caller.user_id(), session_id = %caller.session_id(), trace_id = %trace, "admitted");
        }
        Some(Admitted::External(caller)) => {
            count("bridge_auth_admitted_total", "foreign");
            tracing::trace!(issuer = caller.issuer(), subject = caller.subject(), trace_id = %trace, "admitted");
        }
        None => count("bridge_auth_admitted_total", "nobody"),
    }
}

/// A request was refused.
pub(crate) fn refused(rejection: &Rejection, trace: &Trace) {
    count("bridge_auth_refused_total", rejection.reason());
    tracing::info!(code = rejection.code(), reason = rejection.reason(), trace_id = %trace, "refused");
}

/// An attempt at a secret or a code was not even looked at: too many were made, by this measure.
pub(crate) fn limited(by: &'static str) {
    count("bridge_auth_limited_total", by);
    tracing::info!(by, "limited");
}

/// Records an audit event: what happened, to whom, by which session or operator.
macro_rules! audit {
    ($event:literal $(, $($field:tt)*)?) => {{
        $crate::telemetry::count("bridge_auth_audit_total", $event);
        tracing::info!(target: "bridge_auth::audit", event = $event $(, $($field)*)?);
    }};
}
pub(crate) use audit;

#[cfg(feature = "metrics")]
mod facade {
    use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

    /// Adds one to a counter.
    pub(crate) fn count(name: &'static str, reason: &'static str) {
        counter!(name, "reason" => reason).increment(1);
    }

    /// Adds a value to a histogram.
    pub(crate) fn record(name: &'static str, value: f64) {
        histogram!(name).record(value);
    }

    /// Sets a gauge.
    pub(crate) fn gauge_at(name: &'static str, value: f64) {
        gauge!(name).set(value);
    }

    /// Moves a gauge.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(crate) fn gauge_by(name: &'static str, step: f64) {
        gauge!(name).increment(step);
    }

    /// Tells the recorder what each metric is: the table in `metrics.md`, of which the documentation is made too.
    pub(crate) fn describe() {
        for line in include_str!("metrics.md").lines() {
            let mut cells = line.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`'));
            let row = (cells.next(), cells.next(), cells.next(), cells.next());
            let (Some(name), Some(kind), Some(unit), Some(help)) = row else { continue };
            let help = help.replace(['`', '[', ']'], "");
            let unit = if unit == "seconds" { Unit::Seconds } else { Unit::Count };
            match kind {
                "counter" => describe_counter!(name, unit, help),
                "gauge" => describe_gauge!(name, unit, help),
                "histogram" => describe_histogram!(name, unit, help),
                _ => {}
            }
        }
    }
}

/// Anonymous listens.
#[cfg(not(feature = "metrics"))]
mod facade {
    pub(crate) fn count(_name: &'static str, _reason: &'static str) {}

    pub(crate) fn record(_name: &'static str, _value: f64) {}

    pub(crate) fn gauge_at(_name: &'static str, _value: f64) {}

    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(crate) fn gauge_by(_name: &'static str, _step: f64) {}

    pub(crate) fn describe() {}
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) use facade::gauge_by;
pub(crate) use facade::{count, describe, gauge_at, record};
