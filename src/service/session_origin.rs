//! The origin of a session: where its bridge is.

use std::net::IpAddr;

use http::header::USER_AGENT;
use http::request::Parts;

use super::state::ServiceState;
use crate::store::Origin;

/// The origin of a session that a request opens.
pub(super) fn of(state: &ServiceState, parts: &Parts, device_name: Option<&str>) -> Origin {
    let user_agent = parts.headers.get(USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let origin = address(state, parts).into_iter().fold(Origin::unknown(), Origin::address);
    let origin = user_agent.as_deref().into_iter().fold(origin, Origin::user_agent);
    device_name.into_iter().fold(origin, Origin::device_name)
}

/// The address that a request came from. `None`: it is not known.
pub(super) fn address(state: &ServiceState, parts: &Parts) -> Option<IpAddr> {
    state.rejection_format.request_log.address(&parts.headers, &parts.extensions)
}
