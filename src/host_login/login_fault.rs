//! Faults of the host's login.

use std::error::Error;
use std::fmt;

use crate::telemetry::{Budget, shown_path};

/// Why a host's login could not say who somebody is.
pub type LoginFault = Box<dyn Error + Send + Sync>;

/// Logs the faults of a login. While the login is down every request has one, so a flood leaves lines out.
#[derive(Default)]
pub(super) struct FaultLog(Budget);

impl FaultLog {
    pub(super) fn tell(&self, fault: &LoginFault, path: &str, trace_id: &dyn fmt::Display) {
        let Some(left_out) = self.0.spend(false) else { return };
        let (error, path): (&dyn Error, _) = (&**fault, shown_path(path));
        tracing::error!(error, path, %trace_id, left_out, "the host's login failed, so the answer is 503");
    }
}
