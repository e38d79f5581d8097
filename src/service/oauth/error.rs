//! The endpoint errors that RFC 6749 §5.2 and RFC 8707 §2 define.

use http::StatusCode;
use http::header::WWW_AUTHENTICATE;

use crate::service::answer::EndpointError;
use crate::service::state::ServiceState;

/// The client did not prove who it is. The answer is the same for every method and every reason.
pub(in crate::service) fn invalid_client(state: &ServiceState) -> EndpointError {
    let detail = "The client did not prove who it is.";
    EndpointError::new(StatusCode::UNAUTHORIZED, "invalid_client", detail)
        .header(WWW_AUTHENTICATE, state.challenge().basic())
}

/// The same error as 401. A 401 has a challenge (RFC 9110 §15.5.2).
pub(in crate::service) fn unauthorized(state: &ServiceState, error: EndpointError) -> EndpointError {
    error.with_status(StatusCode::UNAUTHORIZED).header(WWW_AUTHENTICATE, state.challenge().basic())
}

pub(in crate::service) const UNAUTHORIZED_CLIENT: EndpointError =
    bad("unauthorized_client", "This client may not use this grant or endpoint.");
pub(in crate::service) const UNSUPPORTED_GRANT: EndpointError =
    bad("unsupported_grant_type", "This gateway does not support this grant_type.");
pub(in crate::service) const INVALID_SCOPE: EndpointError =
    bad("invalid_scope", "A scope is malformed, repeated, or not allowed here.");
pub(in crate::service) const INVALID_TARGET: EndpointError =
    bad("invalid_target", "No token is issued for this resource here. Name one resource by its URL.");
pub(in crate::service) const INVALID_REFRESH_TOKEN: EndpointError =
    bad("invalid_grant", "The refresh token is unknown, expired or used. Link the bridge again.");
pub(in crate::service) const AUTHORIZATION_PENDING: EndpointError =
    bad("authorization_pending", "The person has not decided yet. Poll again after the interval.");
pub(in crate::service) const SLOW_DOWN: EndpointError = bad(
    "slow_down",
    "The person has not decided yet. Wait five seconds longer between two polls from now on.",
);
pub(in crate::service) const ACCESS_DENIED: EndpointError = bad("access_denied", "The person said no.");
pub(in crate::service) const EXPIRED_TOKEN: EndpointError =
    bad("expired_token", "The device code has expired. Start again at the device authorization endpoint.");
pub(in crate::service) const INVALID_DEVICE_CODE: EndpointError = bad(
    "invalid_grant",
    "The device code is unknown or used. Start again at the device authorization endpoint.",
);
/// RFC 8693 §2.2.2 has this code, whatever is wrong with the token.
pub(in crate::service) const INVALID_SUBJECT_TOKEN: EndpointError = EndpointError::invalid_request(
    "The subject_token is not valid here, or this client or actor may not use it.",
);
pub(in crate::service) const INVALID_ACTOR_TOKEN: EndpointError =
    EndpointError::invalid_request("The actor_token is not valid here, or names nobody who may act.");
pub(in crate::service) const TOO_MANY_DELEGATED: EndpointError = EndpointError::new(
    StatusCode::CONFLICT,
    "too_many_sessions",
    "As many exchanged tokens of this device are live as allowed. Revoke one, or wait until one expires.",
);
pub(in crate::service) const OF_ANOTHER_CLIENT: EndpointError =
    bad("invalid_grant", "The token was issued to another client.");

const fn bad(code: &'static str, detail: &'static str) -> EndpointError {
    EndpointError::new(StatusCode::BAD_REQUEST, code, detail)
}
