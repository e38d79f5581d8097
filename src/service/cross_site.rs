//! Refuses a request that a page of another site makes a signed-in person's browser send.

use http::StatusCode;
use http::request::Parts;

use super::answer::EndpointError;
use super::state::ServiceState;
use crate::csrf;

/// Refuses a request that a browser sent for a page of another site.
pub(super) fn refuse_cross_site(state: &ServiceState, parts: &Parts) -> Result<(), EndpointError> {
    if state.auth.origins().is_cross_site(csrf::HEADERS.map(|name| parts.headers.get_all(name))) {
        let detail = "A page of another site may not do this.";
        Err(EndpointError::new(StatusCode::FORBIDDEN, "cross_site", detail))
    } else {
        Ok(())
    }
}
