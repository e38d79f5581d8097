//! Exchange codes.

use std::time::Duration;

use crate::store::NewCode;
use crate::validate::{BuildError, check_count, check_life};

#[derive(Debug, Clone, Copy)]
pub(crate) struct CodeSettings {
    pub(crate) life: Duration,
    /// How many unused codes a person may have.
    pub(crate) max_open: u32,
    pub(crate) require_pkce: bool,
}

impl Default for CodeSettings {
    fn default() -> Self {
        Self { life: Duration::from_secs(120), max_open: NewCode::MAX_OPEN, require_pkce: false }
    }
}

impl CodeSettings {
    pub(super) fn check(&self) -> Result<(), BuildError> {
        check_life(
            "the code life",
            self.life,
            1,
            Duration::from_secs(600),
            "1 to 600 seconds, in whole seconds",
        )?;
        check_count("the maximum of open codes", self.max_open, &(1..=10_000), "1 to 10 000")
    }
}
