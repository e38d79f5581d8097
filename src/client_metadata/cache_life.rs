//! How long a document may be used (RFC 9111).

use std::time::Duration;

use http::HeaderMap;
use http::header::{AGE, CACHE_CONTROL};

/// What a server says about the life of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CacheLife {
    /// For how long the answer is fresh. `None`: the server does not say.
    fresh_for: Option<Duration>,
    /// Whether an answer that is not fresh may be used while no newer one can be had.
    pub(super) may_be_stale: bool,
}

impl CacheLife {
    /// A document is kept at least for so long, whatever the server says: sign-in takes several requests.
    pub(super) const SHORTEST: Duration = Duration::from_secs(60);
    /// For how long a document is kept when the server does not say.
    const UNSAID: Duration = Duration::from_secs(3600);

    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut life = Self { fresh_for: None, may_be_stale: true };
        let values = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
        for directive in values.flat_map(|value| value.split(',')) {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "no-store" | "no-cache" => {
                    return Self { fresh_for: Some(Duration::ZERO), may_be_stale: false };
                }
                "must-revalidate" | "proxy-revalidate" => life.may_be_stale = false,
                // What is not a number is no life at all (RFC 9111 §4.2.1). The shorter of two counts.
                "max-age" => {
                    let seconds = Duration::from_secs(value.trim().trim_matches('"').parse().unwrap_or(0));
                    life.fresh_for = Some(life.fresh_for.map_or(seconds, |other| other.min(seconds)));
                }
                _ => {}
            }
        }
        let age = headers.get(AGE).and_then(|value| value.to_str().ok()?.trim().parse().ok()).unwrap_or(0);
        life.fresh_for = life.fresh_for.map(|fresh_for| fresh_for.saturating_sub(Duration::from_secs(age)));
        life
    }

    /// For how long the document is used without a new fetch, at most `longest`.
    pub(super) fn within(self, longest: Duration) -> Duration {
        self.fresh_for.unwrap_or(Self::UNSAID).max(Self::SHORTEST).min(longest)
    }
}
