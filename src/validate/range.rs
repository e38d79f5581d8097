//! Durations and counts.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::error::BuildError;

/// Refuses a life that is not a whole number of seconds, or is not `least` seconds to `most`.
pub(crate) fn check_life(
    what: &'static str,
    value: Duration,
    least: u64,
    most: Duration,
    allowed: &'static str,
) -> Result<(), BuildError> {
    if value.subsec_nanos() == 0 && value >= Duration::from_secs(least) && value <= most {
        Ok(())
    } else {
        Err(BuildError::OutOfRange { what, allowed })
    }
}

/// Refuses a deadline that cannot be met, and a deadline that is too long to wait for.
pub(crate) fn check_deadline(what: &'static str, deadline: Duration) -> Result<(), BuildError> {
    if deadline.is_zero() || deadline > Duration::from_secs(60) {
        return Err(BuildError::OutOfRange { what, allowed: "above 0, at most 60 seconds" });
    }
    Ok(())
}

/// Refuses a count outside of `range`.
pub(crate) fn check_count(
    what: &'static str,
    count: u32,
    range: &RangeInclusive<u32>,
    allowed: &'static str,
) -> Result<(), BuildError> {
    if range.contains(&count) { Ok(()) } else { Err(BuildError::OutOfRange { what, allowed }) }
}
