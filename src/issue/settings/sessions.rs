//! Sessions: how long they live, and how many a person may have.

use std::time::Duration;

use super::refresh::RefreshSettings;
use crate::store::SessionLimit;
use crate::validate::{BuildError, Setting, check_count, check_life};

#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionSettings {
    /// `None`: the default.
    pub(crate) life: Option<Duration>,
    pub(crate) max_life: Duration,
    pub(crate) limit: SessionLimit,
    /// Whether a bridge may choose the id of its session.
    pub(crate) declared_ids: bool,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self { life: None, max_life: Self::MAX_LIFE, limit: SessionLimit::default(), declared_ids: true }
    }
}

impl SessionSettings {
    /// The longest life any session may have.
    pub(crate) const MAX_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
    /// The default life of a session: without refresh tokens, and with them. With them a laptop may stay closed for 14
    /// days.
    const LIVES: [Duration; 2] = [Duration::from_secs(24 * 3600), Duration::from_secs(14 * 24 * 3600)];

    /// How long a session lives after it was last renewed.
    pub(super) fn life_with(&self, refresh: &RefreshSettings) -> Duration {
        let [plain, refreshed] = Self::LIVES;
        self.life.unwrap_or(if refresh.at_token_endpoint { refreshed } else { plain })
    }

    pub(super) fn check(&self, refresh: &RefreshSettings) -> Result<(), BuildError> {
        const ALLOWED: &str = "1 second to 30 days, in whole seconds";
        let life = Setting::new("the session life", "BridgeBuilder::session_life");
        let max_life = Setting::new("the maximum session life", "BridgeBuilder::max_session_life");
        let limit = Setting::new("the session limit", "BridgeBuilder::session_limit");
        check_life(life, self.life_with(refresh), 1, Self::MAX_LIFE, ALLOWED)?;
        check_life(max_life, self.max_life, 1, Self::MAX_LIFE, ALLOWED)?;
        check_count(limit, self.limit.max, &(1..=10_000), "1 to 10 000")
    }
}

/// An assurance level of NIST SP 800-63B-4 §2: how sure a host must be of a person.
///
/// The level limits how long a session may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize), serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum AssuranceLevel {
    /// AAL1: 30 days at most, and no shorter inactivity limit.
    Aal1,
    /// AAL2: 24 hours at most, and 1 hour without a refresh.
    Aal2,
    /// AAL3: 12 hours at most, and 15 minutes without a refresh.
    Aal3,
}

impl AssuranceLevel {
    /// The inactivity limit and the absolute limit.
    pub(crate) const fn limits(self) -> (Duration, Duration) {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        let (idle, most) = match self {
            Self::Aal1 => (30 * 24 * HOUR, 30 * 24 * HOUR),
            Self::Aal2 => (HOUR, 24 * HOUR),
            Self::Aal3 => (15 * MINUTE, 12 * HOUR),
        };
        (Duration::from_secs(idle), Duration::from_secs(most))
    }
}
