//! What the OAuth endpoints share: the form, client authentication, the resource, and the errors.

pub(super) mod client_auth;
pub(super) mod error;
pub(super) mod form;
pub(super) mod resource;

/// The name of the device grant (RFC 8628 §3.4).
pub(super) const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// The name of the grant of an assertion (RFC 7523 §2.1).
pub(super) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
