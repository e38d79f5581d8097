//! Audit events: what happened, to whom, by which session or operator.
//!
//! Each has the tracing target `bridge_auth::audit`, names things by their ids, carries no secret, and is counted.

/// Records an audit event.
macro_rules! audit {
    ($event:literal $(, $($field:tt)*)?) => {{
        $crate::telemetry::count("bridge_auth_audit_total", $event);
        tracing::info!(target: "bridge_auth::audit", event = $event $(, $($field)*)?);
    }};
}
pub(crate) use audit;
