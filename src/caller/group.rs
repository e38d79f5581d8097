//! What many callers have in common.

use std::fmt;
use std::sync::Arc;

use http::HeaderValue;

use crate::id::{CallSource, PolicyVersion};

/// What the callers of one bridge and one call source have in common.
#[derive(Debug)]
pub(crate) struct CallerGroup {
    pub(super) call_source: CallSource,
    pub(super) policy_version: PolicyVersion,
    pub(super) authority: Authority,
    /// `x-policy-version` and `x-call-source`.
    pub(super) headers: [HeaderValue; 2],
}

/// The bridge that vouches for a caller. Compared by identity, so a layer trusts no caller of another bridge.
#[derive(Clone)]
pub(crate) struct Authority(Arc<()>);

impl CallerGroup {
    pub(crate) fn new(call_source: CallSource, policy_version: PolicyVersion, authority: Authority) -> Self {
        let headers = [policy_version.to_header_value(), call_source.to_header_value()].map(uncounted);
        Self { call_source, policy_version, authority, headers }
    }

    pub(crate) const fn call_source(&self) -> &CallSource {
        &self.call_source
    }
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self(Arc::new(()))
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authority")
    }
}

/// Returns the same value, as a static one where it is a default.
///
/// Each request clones the values that all callers share. Clones of a static value change no reference count.
fn uncounted(value: HeaderValue) -> HeaderValue {
    let defaults = [PolicyVersion::DEFAULT, CallSource::DEFAULT];
    let default = defaults.into_iter().find(|default| value == *default);
    default.map_or(value, HeaderValue::from_static)
}
