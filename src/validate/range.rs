//! Durations and counts.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::error::BuildError;

/// A setting, as an error names it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    /// What it is, such as `the code life`.
    pub(crate) what: &'static str,
    /// The method that sets it, such as `BridgeBuilder::code_life`.
    pub(crate) setter: &'static str,
}

impl Setting {
    pub(crate) const fn new(what: &'static str, setter: &'static str) -> Self {
        Self { what, setter }
    }

    pub(crate) fn out_of_range(self, value: impl Display, allowed: &'static str) -> BuildError {
        BuildError::OutOfRange { what: self.what, value: value.to_string(), allowed, setter: self.setter }
    }

    /// The same for a duration, as `601s` or `1.5s`.
    pub(crate) fn duration_out_of_range(self, value: Duration, allowed: &'static str) -> BuildError {
        self.out_of_range(format_args!("{value:?}"), allowed)
    }
}

/// Refuses a life that is not a whole number of seconds, or is not `least` seconds to `most`.
pub(crate) fn check_life(
    setting: Setting,
    value: Duration,
    least: u64,
    most: Duration,
    allowed: &'static str,
) -> Result<(), BuildError> {
    if value.subsec_nanos() == 0 && value >= Duration::from_secs(least) && value <= most {
        Ok(())
    } else {
        Err(setting.duration_out_of_range(value, allowed))
    }
}

/// Refuses a deadline that cannot be met, and a deadline that is too long to wait for.
pub(crate) fn check_deadline(setting: Setting, deadline: Duration) -> Result<(), BuildError> {
    if deadline.is_zero() || deadline > Duration::from_secs(60) {
        return Err(setting.duration_out_of_range(deadline, "above 0, at most 60 seconds"));
    }
    Ok(())
}

/// Refuses a count outside of `range`.
pub(crate) fn check_count(
    setting: Setting,
    count: u32,
    range: &RangeInclusive<u32>,
    allowed: &'static str,
) -> Result<(), BuildError> {
    if range.contains(&count) { Ok(()) } else { Err(setting.out_of_range(count, allowed)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_the_value_the_allowed_values_and_the_method() {
        let life = Setting::new("the code life", "BridgeBuilder::code_life");
        let (most, allowed) = (Duration::from_secs(600), "1 to 600 seconds, in whole seconds");
        let refused = |value| check_life(life, value, 1, most, allowed).unwrap_err().to_string();
        assert_eq!(
            refused(Duration::from_secs(601)),
            "the code life is 601s: it must be 1 to 600 seconds, in whole seconds (BridgeBuilder::code_life)"
        );
        assert!(refused(Duration::from_millis(1500)).starts_with("the code life is 1.5s: "));
        let limit = Setting::new("the session limit", "BridgeBuilder::session_limit");
        assert_eq!(
            check_count(limit, 0, &(1..=10_000), "1 to 10 000").unwrap_err().to_string(),
            "the session limit is 0: it must be 1 to 10 000 (BridgeBuilder::session_limit)"
        );
    }
}
