//! How soon a revocation takes effect.

use std::time::Duration;

use crate::validate::{BuildError, Setting};

/// How soon a revocation takes effect: what "live" promises.
///
/// | mode | promise | cost |
/// |---|---|---|
/// | [`Strict`](Self::Strict) | after the revoke call returns, every gateway answers 401 to that session | one look-up a request; concurrent look-ups share queries |
/// | [`Watched`](Self::Watched) | every gateway does so at most `max_lag` after the call returned | no look-up for a session that was seen before; four readings of the log and up to four ticks (writes) in each `max_lag`, also while idle |
///
/// A token with an actor that showed a token of its own ([`TokenExchange`](crate::issue::TokenExchange)) depends on the session of the
/// actor too. Both sessions are looked up at each request, in either mode.
///
/// Neither mode lets a request in when it cannot keep its promise. Watched works as Strict while its watcher cannot
/// prove how fresh it is. Strict answers 503 when the store does not answer, or cannot prove that it is still the
/// primary.
///
/// # When another server takes over
///
/// A primary that was replaced may go on running, and its gateways with it. So each answer of the store must show a
/// *tick*: a write that is acknowledged as every other write is, by the whole synchronous set if there is one.
///
/// With a synchronous standby, every gateway on the old primary refuses a session that was revoked through the new one:
///
/// - [strict](Self::Strict): once [`max_proof_age`](crate::BridgeBuilder::max_proof_age) has passed since the
///   acknowledgement (1 s by default);
/// - [watched](Self::Watched): within `max_lag`.
///
/// Before that the session may still be let in. After that a gateway that reaches only the old primary answers 503.
/// Without a synchronous standby a tick proves less: [`WatchStatus::replication`](super::WatchStatus::replication) says
/// which promise holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize, serde::Serialize),
    serde(rename_all = "lowercase", deny_unknown_fields)
)]
#[non_exhaustive]
pub enum Freshness {
    /// The verdict comes from a query that started after the request arrived: linearizable with revocation.
    #[default]
    Strict,
    /// A verdict is cached until the session is revoked or expires. A watcher reads the revocation log.
    Watched {
        /// The most time between the acknowledgement of a revocation and the last request that is let in after it; 10
        /// ms to 60 s. The watcher reads the log four times in this time, and at once when the database says that
        /// something was revoked.
        #[cfg_attr(feature = "serde", serde(with = "crate::validate::duration_text"))]
        max_lag: Duration,
    },
}

impl Freshness {
    /// [`Freshness::Watched`] with a `max_lag` of one second.
    #[must_use]
    pub const fn watched() -> Self {
        Self::Watched { max_lag: Duration::from_secs(1) }
    }

    pub(crate) fn check(&self) -> Result<(), BuildError> {
        let range = Duration::from_millis(10)..=Duration::from_secs(60);
        match self {
            Self::Watched { max_lag } if !range.contains(max_lag) => {
                let setting = Setting::new("max_lag", "BridgeBuilder::freshness");
                Err(setting.duration_out_of_range(*max_lag, "10 ms to 60 s"))
            }
            _ => Ok(()),
        }
    }
}

/// The mode of freshness, and how old its proof may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FreshnessSettings {
    pub(crate) mode: Freshness,
    /// How old the tick may be that a look-up shows; `None` when no tick is asked for.
    pub(crate) max_proof_age: Option<Duration>,
}

impl Default for FreshnessSettings {
    fn default() -> Self {
        Self { mode: Freshness::default(), max_proof_age: Some(Duration::from_secs(1)) }
    }
}

impl FreshnessSettings {
    pub(crate) fn check(&self) -> Result<(), BuildError> {
        self.mode.check()?;
        match self.max_proof_age {
            Some(age) if age > Duration::from_secs(60) => {
                let setting = Setting::new("max_proof_age", "BridgeBuilder::max_proof_age");
                Err(setting.duration_out_of_range(age, "at most 60 s"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_may_be_a_minute_old_at_most() {
        let check =
            |max_proof_age| FreshnessSettings { max_proof_age, ..FreshnessSettings::default() }.check();
        let minute = Duration::from_secs(60);
        assert!(check(None).is_ok() && check(Some(minute)).is_ok());
        assert!(check(Some(minute + Duration::from_nanos(1))).is_err());
        assert!(check(Some(2 * minute)).is_err());
    }
}
