//! What the OAuth endpoints share: the form, client authentication, the resource, the scopes, and the errors.

pub(super) mod client_auth;
pub(super) mod error;
pub(super) mod form;
pub(super) mod resource;
pub(super) mod scope;

/// The name of the device grant (RFC 8628 §3.4).
pub(super) const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// The name of the grant of an assertion (RFC 7523 §2.1).
pub(super) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// The name of token exchange (RFC 8693 §2.1).
pub(super) const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
