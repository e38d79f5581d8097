//! The settings of a bridge that a configuration file holds.

mod clients;
mod connection;
#[cfg(feature = "client-metadata")]
mod documents;
#[cfg(feature = "jwks-http")]
mod external_issuers;
mod pages;

use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

pub(super) use self::clients::ResourceServerInFile;
#[cfg(feature = "jwks-http")]
pub(super) use self::external_issuers::ExternalIssuerInFile;
use crate::audience::ProtectedResource;
use crate::client_address::ForwardedHeader;
#[cfg(feature = "client-metadata")]
use crate::client_metadata::ClientMetadata;
use crate::drain::DrainLimits;
use crate::id::{Audience, CallSource, ClientId, PolicyVersion, Scopes, TextOf};
use crate::issue::{AssuranceLevel, RegisteredClient, TokenExchange};
use crate::pages::Pages;
use crate::rate_limit::RateLimits;
use crate::session::Freshness;
use crate::store::SessionLimit;
use crate::validate::duration_text;

/// Declares the settings.
///
/// Each key has the name of the method of the builder that it stands for. So an error of `build` names the key too.
macro_rules! keys {
    ($($(#[$meta:meta])* $key:ident: $type:ty,)+) => {
        /// The settings of a [`Bridge`](crate::Bridge) that a configuration file holds (feature `serde`).
        ///
        /// A part of the host's own configuration. Give it to
        /// [`BridgeBuilder::settings`](crate::BridgeBuilder::settings). The page
        /// [configuration file](crate::guide::configuration_file) shows every key.
        ///
        /// - Each key has the name of the method of [`BridgeBuilder`](crate::BridgeBuilder) that it stands for. What the
        ///   file leaves out keeps its default.
        /// - A duration has its unit: `"90s"`, `"24h"`, `"30days"`.
        /// - An unknown key is an error, and so is a value that cannot be parsed. Whether a value is in its range is
        ///   checked by [`build`](crate::BridgeBuilder::build), as if the host had called the method.
        /// - What only code can say is no key: the clock, the peer address, the route template, the audit trail,
        ///   bodies of rejections, texts of pages.
        /// - Secrets (`pepper`, `secret`) are never shown by `Debug`, and the settings cannot be serialized.
        ///
        /// ```
        /// use bridge_auth::BridgeSettings;
        ///
        /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
        /// let settings: BridgeSettings = toml::from_str(
        ///     r#"
        ///     audiences = ["bridge", "mcp"]
        ///     token_endpoint = "https://gateway.example/v1/auth/bridge/token"
        ///     token_life = "15m"
        ///     session_limit = { max = 16, when_full = "refuse" }
        ///     "#,
        /// )?;
        /// # Ok(())
        /// # }
        /// ```
        #[derive(Debug, Clone, Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        #[must_use = "give them to BridgeBuilder::settings"]
        pub struct BridgeSettings {
            $($(#[$meta])* pub(super) $key: $type,)+
        }
    };
}

keys! {
    audiences: Option<Vec<TextOf<Audience>>>,
    other_audiences: Option<Vec<TextOf<Audience>>>,
    bridge_client_id: Option<TextOf<ClientId>>,
    call_source: Option<TextOf<CallSource>>,
    policy_version: Option<TextOf<PolicyVersion>>,
    pepper: Option<SecretString>,
    #[serde(deserialize_with = "duration_text::given")]
    max_proof_age: Option<Duration>,
    danger_without_proof: bool,
    #[serde(deserialize_with = "duration_text::given")]
    store_deadline: Option<Duration>,
    #[serde(deserialize_with = "duration_text::given")]
    write_deadline: Option<Duration>,
    #[serde(deserialize_with = "duration_text::given")]
    retry_after: Option<Duration>,
    realm: Option<String>,
    resource_metadata: Option<TextOf<Url>>,
    rate_limits: Option<RateLimits>,
    trusted_proxies: Option<Vec<TextOf<IpNet>>>,
    forwarded_header: Option<ForwardedHeader>,
    drain_refused: Option<DrainLimits>,
    trusted_origins: Option<Vec<TextOf<Url>>>,
    prefix: Option<String>,
    freshness: Option<Freshness>,
    #[cfg(feature = "jwks-http")]
    trust: Vec<ExternalIssuerInFile>,
    oauth: bool,
    token_endpoint: Option<TextOf<Url>>,
    authorization_endpoint: Option<TextOf<Url>>,
    introspection_endpoint: Option<TextOf<Url>>,
    revocation_endpoint: Option<TextOf<Url>>,
    device_authorization_endpoint: Option<TextOf<Url>>,
    jwks_uri: Option<TextOf<Url>>,
    verification_uri: Option<TextOf<Url>>,
    devices_uri: Option<TextOf<Url>>,
    protected_resource: Vec<ProtectedResource>,
    resource_server: Vec<ResourceServerInFile>,
    hook_scopes: Option<TextOf<Scopes>>,
    provisioning_requires: Option<TextOf<Scopes>>,
    #[serde(deserialize_with = "duration_text::given")]
    secret_overlap: Option<Duration>,
    max_devices: Option<u32>,
    #[serde(deserialize_with = "duration_text::given")]
    code_life: Option<Duration>,
    #[serde(deserialize_with = "duration_text::given")]
    token_life: Option<Duration>,
    assurance_level: Option<AssuranceLevel>,
    #[serde(deserialize_with = "duration_text::given")]
    session_life: Option<Duration>,
    #[serde(deserialize_with = "duration_text::given")]
    max_session_life: Option<Duration>,
    refresh_tokens: Option<bool>,
    session_refresh_tokens: Option<bool>,
    #[serde(deserialize_with = "duration_text::given")]
    refresh_grace: Option<Duration>,
    #[serde(deserialize_with = "duration_text::given")]
    leeway: Option<Duration>,
    max_open_codes: Option<u32>,
    session_limit: Option<SessionLimit>,
    declared_session_ids: Option<bool>,
    require_pkce: Option<bool>,
    pages: Option<Pages>,
    #[serde(deserialize_with = "duration_text::given")]
    device_code_life: Option<Duration>,
    client: Vec<RegisteredClient>,
    gateway_login: Option<bool>,
    token_exchange: Option<TokenExchange>,
    #[cfg(feature = "client-metadata")]
    client_metadata: Option<ClientMetadata>,
}

#[cfg(test)]
mod tests;
