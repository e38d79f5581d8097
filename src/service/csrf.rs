//! Refuses what a page of another site makes a signed-in person's browser do.

use http::StatusCode;
use http::request::Parts;

use super::answer::Refusal;
use crate::bridge::Bridge;

/// Refuses a request that a browser sent for a page of another site.
pub(super) fn refuse_cross_site(bridge: &Bridge, parts: &Parts) -> Result<(), Refusal> {
    if bridge.guard().origins().is_cross_site(&parts.headers) {
        let detail = "A page of another site may not do this.";
        Err(Refusal::new(StatusCode::FORBIDDEN, "cross_site", detail))
    } else {
        Ok(())
    }
}
