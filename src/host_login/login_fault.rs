//! Faults of the host's login.

use std::error::Error;

/// Why a host's login could not say who somebody is.
pub type LoginFault = Box<dyn Error + Send + Sync>;

/// Logs the fault.
pub(super) fn tell(fault: &LoginFault, path: &str) {
    let error: &dyn Error = &**fault;
    tracing::error!(error, path, "the host's login failed, so the answer is 503");
}
