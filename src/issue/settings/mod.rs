//! The settings of what is issued: one group for each thing, with its defaults and its check.

mod clients;
mod codes;
mod devices;
mod endpoints;
mod hooks;
mod refresh;
mod sessions;
mod token_exchange;
mod tokens;

pub(crate) use clients::{ClientSettings, ResourceServer};
pub(crate) use codes::CodeSettings;
pub(crate) use devices::DeviceGrantSettings;
pub(crate) use endpoints::EndpointUrls;
pub(crate) use hooks::HookSettings;
pub(crate) use refresh::RefreshSettings;
pub use sessions::AssuranceLevel;
pub(crate) use sessions::SessionSettings;
pub use token_exchange::TokenExchange;
pub(crate) use tokens::TokenSettings;

use std::time::Duration;

use crate::audience::Audiences;
use crate::id::{CallSource, ClientId, PolicyVersion};
use crate::store::Deadlines;
use crate::validate::{BuildError, check_issuer};

/// All groups of settings, and what they share.
#[derive(Debug)]
pub(crate) struct IssueSettings {
    pub(crate) issuer: String,
    pub(crate) audiences: Audiences,
    pub(crate) bridge_client: ClientId,
    pub(crate) policy_version: PolicyVersion,
    pub(crate) call_source: CallSource,
    pub(crate) codes: CodeSettings,
    pub(crate) devices: DeviceGrantSettings,
    pub(crate) tokens: TokenSettings,
    pub(crate) sessions: SessionSettings,
    pub(crate) refresh: RefreshSettings,
    pub(crate) hooks: HookSettings,
    pub(crate) clients: ClientSettings,
    /// `None`: tokens cannot be exchanged.
    pub(crate) token_exchange: Option<TokenExchange>,
    pub(crate) endpoints: EndpointUrls,
    pub(crate) deadlines: Deadlines,
}

impl IssueSettings {
    pub(crate) fn new(issuer: String) -> Self {
        Self {
            issuer,
            audiences: Audiences::default(),
            bridge_client: ClientId::parse("sp_bridge").expect("it is well-formed"),
            policy_version: PolicyVersion::default(),
            call_source: CallSource::default(),
            codes: CodeSettings::default(),
            devices: DeviceGrantSettings::default(),
            tokens: TokenSettings::default(),
            sessions: SessionSettings::default(),
            refresh: RefreshSettings::default(),
            hooks: HookSettings::default(),
            clients: ClientSettings::default(),
            token_exchange: None,
            endpoints: EndpointUrls::default(),
            deadlines: Deadlines::default(),
        }
    }

    /// How long a session lives after it was last renewed.
    pub(crate) fn session_life(&self) -> Duration {
        self.sessions.life_with(&self.refresh)
    }

    /// Whether a client may see and end all of a person's devices, and get a client for their hooks: the bridge itself, and
    /// whom the host registered for it. A client that is no longer registered may not.
    pub(crate) fn may_manage_devices(&self, client: &ClientId) -> bool {
        *client == self.bridge_client
            || self.clients.registered(client).is_some_and(|registered| registered.manages_devices)
    }

    pub(crate) fn check(&self) -> Result<(), BuildError> {
        check_issuer(&self.issuer)?;
        self.audiences.check()?;
        self.codes.check()?;
        self.devices.check()?;
        self.tokens.check()?;
        self.sessions.check(&self.refresh)?;
        self.refresh.check()?;
        if self.refresh.at_session && self.endpoints.token.is_none() {
            return Err(BuildError::NoTokenEndpoint);
        }
        self.hooks.check()?;
        self.clients.check(&self.bridge_client)?;
        if let Some(exchange) = &self.token_exchange {
            exchange.check()?;
            self.endpoints.token.as_ref().ok_or(BuildError::TokenExchange)?;
        }
        self.endpoints.check()?;
        self.deadlines.check()
    }
}
