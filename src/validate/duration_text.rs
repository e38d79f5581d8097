//! Durations in a configuration file: `"90s"`, `"24h"`, `"1h 30m"`.

use std::fmt;
use std::time::Duration;

use serde::de::{Error, Visitor};
use serde::{Deserializer, Serializer};

/// Writes a duration as it is read.
pub(crate) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(*duration))
}

/// Reads a duration with its unit.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    deserializer.deserialize_str(Text)
}

/// Reads a duration that may be left out: with `#[serde(default)]`.
pub(crate) fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    deserialize(deserializer).map(Some)
}

struct Text;

impl Visitor<'_> for Text {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration with its unit, such as \"500ms\", \"90s\", \"24h\" or \"30days\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
        humantime::parse_duration(text).map_err(|_| E::invalid_value(serde::de::Unexpected::Str(text), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize, serde::Serialize)]
    struct Life(#[serde(with = "super")] Duration);

    #[test]
    fn a_duration_is_written_as_it_is_read() {
        let life = Life(Duration::from_millis(90_500));
        let written = serde_json::to_string(&life).unwrap();
        assert_eq!(written, "\"1m 30s 500ms\"");
        assert_eq!(serde_json::from_str::<Life>(&written).unwrap().0, life.0);
    }

    #[test]
    fn a_duration_has_a_unit() {
        let read = |json: &str| serde_json::from_str::<Life>(json).map(|read| read.0);
        assert_eq!(read("\"1h 30m\"").unwrap(), Duration::from_secs(5400));
        assert_eq!(read("\"500ms\"").unwrap(), Duration::from_millis(500));
        assert_eq!(read("\"30days\"").unwrap(), Duration::from_secs(30 * 24 * 3600));
        for bad in ["90", "\"90\"", "\"soon\"", "\"-1s\"", "\"\"", "null"] {
            let refused = read(bad).unwrap_err().to_string();
            assert!(refused.contains("expected a duration with its unit, such as \"500ms\""), "{refused}");
        }
    }
}
