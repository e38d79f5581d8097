//! What the OAuth endpoints share: the form, client authentication, the resource, and the errors.

pub(super) mod client_auth;
pub(super) mod error;
pub(super) mod form;
pub(super) mod resource;
