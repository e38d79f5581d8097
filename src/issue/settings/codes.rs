//! Exchange codes.

use std::time::Duration;

use crate::store::NewCode;
use crate::validate::{BuildError, Setting, check_count, check_life};

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
            Setting::new("the code life", "BridgeBuilder::code_life"),
            self.life,
            1,
            Duration::from_secs(600),
            "1 to 600 seconds, in whole seconds",
        )?;
        let open = Setting::new("the maximum of open codes", "BridgeBuilder::max_open_codes");
        check_count(open, self.max_open, &(1..=10_000), "1 to 10 000")
    }
}
