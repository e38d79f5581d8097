//! Events about requests.

use super::metrics::count;
use crate::id::{SessionId, Trace, UserId};

/// A caller with a session was let in.
#[inline]
pub(crate) fn admitted(user: &UserId, session: &SessionId, trace: &Trace) {
    count("bridge_auth_admitted_total", "caller");
    tracing::trace!(user_id = %user, session_id = %session, trace_id = %trace, "request admitted");
}

/// An external caller was let in.
pub(crate) fn admitted_external(issuer: &str, subject: &str, trace: &Trace) {
    count("bridge_auth_admitted_total", "external");
    tracing::trace!(issuer, subject, trace_id = %trace, "request of an external caller admitted");
}

/// A request without a credential was let in behind an optional layer.
pub(crate) fn admitted_anonymous() {
    count("bridge_auth_admitted_total", "anonymous");
}

/// A request was refused.
pub(crate) fn refused(code: &'static str, reason: &'static str, trace: &Trace) {
    count("bridge_auth_refused_total", reason);
    tracing::info!(code, reason, trace_id = %trace, "request refused");
}

/// An attempt was refused before its secret or code was checked: there were too many. `by` is the limit.
pub(crate) fn rate_limited(by: &'static str) {
    count("bridge_auth_limited_total", by);
    tracing::info!(by, "attempt refused by a rate limit");
}
