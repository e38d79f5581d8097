//! What the OAuth endpoints share: the form they read, who sent it, what it is for, and how they say no.

pub(super) mod client_auth;
pub(super) mod error;
pub(super) mod form;
pub(super) mod resource;
