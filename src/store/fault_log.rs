//! How faults of the store are logged.

use std::collections::HashMap;
use std::error::Error;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{StoreError, StoreErrorKind};

/// How often a fault that somebody must correct is logged.
const PAUSE: Duration = Duration::from_secs(60);

/// How many causes are remembered. There are hardly ever so many at one time; if there are, the log is written too
/// often.
const MOST: usize = 64;

/// When each cause was logged last, by a digest of its texts.
static TOLD: Mutex<Option<HashMap<u64, Instant>>> = Mutex::new(None);

/// Logs that `what` did not work.
///
/// A fault that stays until somebody corrects it is an error. It is logged once a minute for each cause. Any other
/// fault is a warning.
pub(crate) fn log_fault(fault: &StoreError, what: &'static str) {
    let error: &(dyn Error + 'static) = fault;
    // Not every log format shows the sources of an error, and the sources say what to write.
    let causes: Vec<_> = causes(error).skip(1).map(ToString::to_string).collect();
    let causes = causes.join(": ");
    if fault.kind() != StoreErrorKind::Misconfigured {
        tracing::warn!(%error, causes, "{what}");
    } else if is_due(error, what, Instant::now()) {
        tracing::error!(%error, causes, "{what}: somebody must correct the cause, a retry does not help");
    }
}

fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

fn is_due(error: &(dyn Error + 'static), what: &str, now: Instant) -> bool {
    let mut digest = DefaultHasher::new();
    what.hash(&mut digest);
    for cause in causes(error) {
        cause.to_string().hash(&mut digest);
    }
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    let told = told.get_or_insert_default();
    told.retain(|_, at| now.saturating_duration_since(*at) < PAUSE);
    if told.len() >= MOST {
        told.clear();
    }
    told.insert(digest.finish(), now).is_none_or(|before| {
        // The time of the last log line stays.
        told.insert(digest.finish(), before);
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once_a_minute_and_each_cause_by_itself() {
        let fault = |cause: &str| StoreError::new(StoreErrorKind::Misconfigured, cause.to_owned());
        let (one, other) = (fault("no right"), fault("no table"));
        let start = Instant::now();
        let due =
            |fault: &StoreError, seconds| is_due(fault, "of a test", start + Duration::from_secs(seconds));
        assert!(due(&one, 0));
        assert!(due(&other, 1));
        assert!(!due(&one, 2) && !due(&other, 59) && !due(&one, 59));
        assert!(due(&one, 60) && !due(&other, 60) && due(&other, 61));
    }
}
