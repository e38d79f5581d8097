//! Moments, as people read them.

use std::time::SystemTime;

use askama::Template;
use time::OffsetDateTime;

use super::phrase::plain;
use super::texts::SharedTexts;
use crate::clock::since_epoch;

/// A moment in UTC.
#[derive(Debug, Template)]
#[template(source = r#"<time datetime="{{ machine }}">{{ people }}</time>"#, ext = "html")]
pub(super) struct Moment {
    machine: String,
    people: String,
}

/// The template of a moment escapes what it shows.
impl askama::filters::HtmlSafe for Moment {}

impl Moment {
    pub(super) fn new(at: SystemTime, texts: &SharedTexts) -> Self {
        let seconds = i64::try_from(since_epoch(at).as_secs()).unwrap_or(i64::MAX);
        // No clock shows a time outside of the calendar, which ends in the year 9999.
        let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (date, time) = (at.date(), format!("{:02}:{:02}", at.hour(), at.minute()));
        let number = u8::from(date.month());
        let machine = format!("{:04}-{number:02}-{:02}T{time}:{:02}Z", date.year(), date.day(), at.second());
        let month = texts.months.split_whitespace().nth(usize::from(number) - 1).unwrap_or_default();
        let (day, year) = (date.day().to_string(), date.year().to_string());
        let values = [("day", &*day), ("month", month), ("year", &*year), ("time", &*time)];
        Self { machine, people: plain(&texts.moment, &values) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn shown(seconds: u64) -> String {
        Moment::new(UNIX_EPOCH + Duration::from_secs(seconds), &SharedTexts::default()).to_string()
    }

    #[test]
    fn a_moment_is_shown_to_people_and_to_machines() {
        assert_eq!(
            shown(1_795_688_640),
            "<time datetime=\"2026-11-26T10:24:00Z\">26 Nov 2026, 10:24 UTC</time>"
        );
        assert!(shown(0).contains("1 Jan 1970, 00:00 UTC"));
    }

    #[test]
    fn no_moment_panics() {
        let _ = shown(400_000_000_000_000);
        let _ = Moment::new(UNIX_EPOCH - Duration::from_secs(1), &SharedTexts::default()).to_string();
    }
}
