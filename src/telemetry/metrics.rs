//! Metrics, through the `metrics` facade. Without the feature `metrics` nothing is recorded.

use std::time::Duration;

use http::StatusCode;

#[cfg(feature = "metrics")]
mod facade {
    use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

    /// Adds one to a counter.
    pub(crate) fn count(name: &'static str, reason: &'static str) {
        counter!(name, "reason" => reason).increment(1);
    }

    /// Adds a value to a histogram.
    pub(crate) fn record(name: &'static str, value: f64) {
        histogram!(name).record(value);
    }

    /// Adds a value to the histogram of the answers of an endpoint. Both labels are from small fixed sets.
    pub(crate) fn record_answer(
        name: &'static str,
        value: f64,
        endpoint: &'static str,
        outcome: &'static str,
    ) {
        histogram!(name, "endpoint" => endpoint, "outcome" => outcome).record(value);
    }

    /// Sets a gauge.
    pub(crate) fn gauge_at(name: &'static str, value: f64) {
        gauge!(name).set(value);
    }

    /// Moves a gauge.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(crate) fn gauge_by(name: &'static str, step: f64) {
        gauge!(name).increment(step);
    }

    /// Counters that begin at zero. An alert sees how much a counter grew. So it would miss the first event of one that
    /// begins at one.
    const FROM_ZERO: [(&str, &[&str]); 3] = [
        ("bridge_auth_audit_total", &["code_replayed", "refresh_reused", "client_refused"]),
        (
            "bridge_auth_unavailable_total",
            &[
                "failed",
                "full",
                "misconfigured",
                "moved",
                "read_only",
                "timed_out",
                "unavailable",
                "unproven",
            ],
        ),
        ("bridge_auth_era_changes_total", &["asynchronous", "one_node", "synchronous"]),
    ];

    /// Describes each metric to the recorder, and begins the counters that alerts look at. The texts are in `metrics.md`, which is part of the documentation too.
    pub(crate) fn describe() {
        for line in include_str!("metrics.md").lines() {
            let mut cells = line.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`'));
            let row = (cells.next(), cells.next(), cells.next(), cells.next());
            let (Some(name), Some(kind), Some(unit), Some(help)) = row else { continue };
            let help = help.replace(['`', '[', ']'], "");
            let unit = if unit == "seconds" { Unit::Seconds } else { Unit::Count };
            match kind {
                "counter" => describe_counter!(name, unit, help),
                "gauge" => describe_gauge!(name, unit, help),
                "histogram" => describe_histogram!(name, unit, help),
                _ => {}
            }
        }
        for (name, reasons) in FROM_ZERO {
            reasons.iter().for_each(|reason| counter!(name, "reason" => *reason).increment(0));
        }
    }
}

/// Without the feature nothing is recorded.
#[cfg(not(feature = "metrics"))]
mod facade {
    pub(crate) fn count(_name: &'static str, _reason: &'static str) {}

    pub(crate) fn record(_name: &'static str, _value: f64) {}

    pub(crate) fn record_answer(_: &'static str, _: f64, _: &'static str, _: &'static str) {}

    pub(crate) fn gauge_at(_name: &'static str, _value: f64) {}

    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(crate) fn gauge_by(_name: &'static str, _step: f64) {}

    pub(crate) fn describe() {}
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) use facade::gauge_by;
pub(crate) use facade::{count, describe, gauge_at, record};

/// Whether anything is measured. Without the feature no clock is read for it.
pub(crate) const MEASURES: bool = cfg!(feature = "metrics");

/// An endpoint has answered.
pub(crate) fn answered(endpoint: &'static str, status: StatusCode, took: Duration) {
    let outcome = match status {
        status if status.is_server_error() => "failed",
        status if status.is_client_error() => "refused",
        _ => "done",
    };
    facade::record_answer("bridge_auth_endpoint_seconds", took.as_secs_f64(), endpoint, outcome);
}
