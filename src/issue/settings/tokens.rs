//! Access tokens.

use std::time::Duration;

use crate::token::Claims;
use crate::validate::{BuildError, Setting, check_life};

#[derive(Debug, Clone, Copy)]
pub(crate) struct TokenSettings {
    pub(crate) life: Duration,
    /// How far in the future the `nbf` and `iat` of a token may lie.
    pub(crate) leeway: Duration,
}

impl Default for TokenSettings {
    fn default() -> Self {
        Self { life: Duration::from_secs(3600), leeway: Duration::from_secs(10) }
    }
}

impl TokenSettings {
    pub(super) fn check(&self) -> Result<(), BuildError> {
        check_life(
            Setting::new("the token life", "BridgeBuilder::token_life"),
            self.life,
            1,
            Claims::MAX_LIFE,
            "1 second to 24 hours, in whole seconds",
        )?;
        check_life(
            Setting::new("the leeway", "BridgeBuilder::leeway"),
            self.leeway,
            0,
            Duration::from_secs(60),
            "at most 60 seconds, in whole seconds",
        )
    }
}
