//! The host's own OAuth clients, and how the secrets of all clients are stored.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretSlice};

use crate::id::{Audience, ClientId, SecretHash};
use crate::issue::registered_client::LinkableClient;
use crate::validate::{BuildError, Setting};

#[derive(Debug, Default)]
pub(crate) struct ClientSettings {
    pub(crate) resource_servers: Vec<ResourceServer>,
    /// The clients that people may link.
    pub(crate) registered: Vec<Arc<LinkableClient>>,
    pub(crate) pepper: Option<SecretSlice<u8>>,
}

/// A server of the host that may introspect tokens (RFC 7662 §2.1).
#[derive(Debug, Clone)]
pub(crate) struct ResourceServer {
    pub(crate) client: ClientId,
    pub(crate) secret: SecretHash,
    pub(crate) audiences: Vec<Audience>,
}

impl ClientSettings {
    /// The registered client with this id.
    pub(crate) fn registered(&self, id: &ClientId) -> Option<&Arc<LinkableClient>> {
        self.registered.iter().find(|client| client.id == *id)
    }

    pub(super) fn check(&self, bridge_client: &ClientId) -> Result<(), BuildError> {
        let pepper = self.pepper.as_ref().map(|pepper| pepper.expose_secret().len());
        if let Some(length @ ..32) = pepper {
            let setting = Setting::new("the length of the pepper", "BridgeBuilder::pepper");
            return Err(setting.out_of_range(format_args!("{length} bytes"), "at least 32 bytes"));
        }
        self.check_resource_servers(bridge_client)?;
        self.check_registered(bridge_client)
    }

    /// Refuses a client whose id another client has, and a bridge with a secret: every person's machine would have it.
    fn check_registered(&self, bridge_client: &ClientId) -> Result<(), BuildError> {
        for (index, client) in self.registered.iter().enumerate() {
            let is_taken = client.id.is_for_hooks()
                || client.id.as_str().starts_with("https://")
                || self.resource_servers.iter().any(|server| server.client == client.id)
                || self.registered.iter().take(index).any(|other| other.id == client.id)
                || (client.id == *bridge_client && client.is_confidential());
            if is_taken {
                return Err(BuildError::Text {
                    what: "the id of the registered client",
                    value: client.id.to_string(),
                    allowed: "an id that no other client has, and that does not begin with \"bridge:\" or \
                        \"https://\"; the bridge itself has no secret",
                });
            }
        }
        Ok(())
    }

    /// Refuses a server whose id another client has, because clients are found by their id.
    fn check_resource_servers(&self, bridge_client: &ClientId) -> Result<(), BuildError> {
        let servers = &self.resource_servers;
        for (index, server) in servers.iter().enumerate() {
            let is_taken = server.client == *bridge_client
                || server.client.is_for_hooks()
                || servers.iter().take(index).any(|other| other.client == server.client);
            if is_taken {
                return Err(BuildError::Text {
                    what: "the client id of the resource server",
                    value: server.client.to_string(),
                    allowed: "an id that no other client has, and that does not begin with \"bridge:\"",
                });
            }
        }
        Ok(())
    }
}
