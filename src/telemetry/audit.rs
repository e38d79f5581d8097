//! Audit events: what happened, to whom, and by which session or operator.
//!
//! Each event has the tracing target `bridge_auth::audit`, names everything by ids, has no secret in it, and is
//! counted.

/// Records an audit event.
macro_rules! audit {
    ($event:literal $(, $($field:tt)*)?) => {{
        $crate::telemetry::count("bridge_auth_audit_total", $event);
        tracing::info!(target: "bridge_auth::audit", event = $event $(, $($field)*)?);
    }};
}
pub(crate) use audit;
