//! Refresh tokens.

use std::time::Duration;

use crate::store::RefreshSession;
use crate::validate::{BuildError, Setting, check_life};

/// Who gets refresh tokens, and how long a used one may be used again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RefreshSettings {
    /// Whether the token endpoint gives and accepts them.
    pub(crate) at_token_endpoint: bool,
    /// Whether `POST /session` gives one too.
    pub(crate) at_session: bool,
    /// How long a used token may be used again.
    pub(crate) grace: Duration,
}

impl Default for RefreshSettings {
    fn default() -> Self {
        Self { at_token_endpoint: false, at_session: false, grace: RefreshSession::GRACE }
    }
}

impl RefreshSettings {
    pub(super) fn check(&self) -> Result<(), BuildError> {
        check_life(
            Setting::new("the refresh grace", "BridgeBuilder::refresh_grace"),
            self.grace,
            0,
            Duration::from_secs(600),
            "at most 600 seconds, in whole seconds",
        )
    }
}
