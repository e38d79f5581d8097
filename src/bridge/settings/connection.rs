//! How much of a refused body is drained, in a configuration file.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

use crate::drain::DrainLimits;
use crate::validate::duration_text;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DrainLimitsInFile {
    bytes: Option<u64>,
    #[serde(default, deserialize_with = "duration_text::given")]
    within: Option<Duration>,
}

/// The keys `bytes` and `within` (feature `serde`). `bytes = 0` drains nothing.
impl<'de> Deserialize<'de> for DrainLimits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let file = DrainLimitsInFile::deserialize(deserializer)?;
        let mut limits = Self::default();
        if let Some(bytes) = file.bytes {
            limits = limits.bytes(bytes);
        }
        if let Some(within) = file.within {
            limits = limits.within(within);
        }
        Ok(limits)
    }
}
