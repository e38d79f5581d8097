//! The write side: codes, their exchange, access without a code, hook clients, and what operators do.

mod access;
mod admin;
mod asserted_access;
mod audit_trail;
mod client_auth;
mod codes;
mod device_grant;
mod exchange;
mod hook_clients;
mod issuer;
mod linkable_clients;
mod redirect_uri;
mod refresh_rotation;
mod registered_client;
mod settings;
mod signed_in;
mod tickets;
mod token_exchange;

pub use access::{Access, AccessError, AccessRequest};
pub use admin::Admin;
pub(crate) use asserted_access::{AssertedAccess, AssertedAccessError, AssertedFor};
pub use audit_trail::{AuditEvent, AuditTrail, AuditTrailError};
pub(crate) use client_auth::{ClientAuthError, OauthClient, ShownClient};
pub use codes::{CodeRequest, IssuedCode};
pub use device_grant::{
    DeviceGrantError, DeviceGrantRequest, DevicePoll, DevicePollError, StartedDeviceGrant,
};
pub use exchange::{Exchange, ExchangeError};
pub use hook_clients::{ClientAccessError, HookClient, HookKey, ProvisionError};
pub use issuer::Issuer;
pub(crate) use linkable_clients::UnknownClient;
pub(crate) use redirect_uri::is_loopback;
pub use refresh_rotation::{Refresh, RefreshError};
pub(crate) use registered_client::LinkableClient;
pub use registered_client::RegisteredClient;
pub use settings::{AssuranceLevel, TokenExchange};
pub(crate) use settings::{EndpointUrls, IssueSettings, ResourceServer};
pub use signed_in::SignedIn;
pub(crate) use tickets::SPENT_FOR;
pub(crate) use token_exchange::{Denied, TokenExchangeError, TokenExchangeRequest};
