//! The OAuth surface: its endpoints, its resources and their servers, and the clients of hooks.

use std::time::Duration;

use url::Url;

use super::BridgeBuilder;
use crate::audience::ProtectedResource;
use crate::id::{ClientSecret, Scopes};
use crate::issue::ResourceServer;
use crate::validate::BuildError;

impl BridgeBuilder {
    /// Where hook clients get their tokens. Without it there is no provisioning, none is advertised, and there is no
    /// authorization server metadata.
    pub fn token_endpoint(mut self, url: Url) -> Self {
        self.settings.endpoints.token = Some(url);
        self
    }

    /// Where a person goes to let a bridge in: a page of the host's own, for the metadata alone (RFC 8414 §2). Default: none
    /// is advertised.
    ///
    /// Stock MCP clients read no metadata without it, also those that use client credentials and never go there.
    pub fn authorization_endpoint(mut self, url: Url) -> Self {
        self.settings.endpoints.authorization = Some(url);
        self
    }

    /// Where tokens may be introspected (RFC 7662). Without it nothing is, and none is advertised.
    pub fn introspection_endpoint(mut self, url: Url) -> Self {
        self.settings.endpoints.introspection = Some(url);
        self
    }

    /// Where tokens may be revoked (RFC 7009). Without it none is, and none is advertised.
    pub fn revocation_endpoint(mut self, url: Url) -> Self {
        self.settings.endpoints.revocation = Some(url);
        self
    }

    /// Where the public keys are published (RFC 8414 §2). Default: nowhere that is advertised.
    pub fn jwks_uri(mut self, url: Url) -> Self {
        self.settings.endpoints.jwks = Some(url);
        self
    }

    /// A resource that OAuth clients may find by themselves: its metadata (RFC 9728) is served, its URL is an audience that
    /// tokens may be asked for with `resource` (RFC 8707), and [`Bridge::layer`](crate::Bridge::layer) of its URL points its challenges there.
    ///
    /// The metadata stand on the resource's own host, by their path alone: two resources cannot share one.
    pub fn protected_resource(mut self, resource: ProtectedResource) -> Self {
        match resource.try_into() {
            Ok(resource) => self.settings.audiences.resources.push(resource),
            Err(malformed) => drop(self.malformed.get_or_insert(malformed)),
        }
        self
    }

    /// A server of the host's that may introspect tokens for any of `audiences` (RFC 7662 §2.1), and proves itself with this
    /// secret, of 32 characters or more, by `client_secret_basic` or `client_secret_post`.
    ///
    /// Each call counts towards its address's [rate limit](crate::rate_limit::RateLimits::per_address): raise that for one that introspects more than
    /// twenty times a second.
    pub fn resource_server<A: AsRef<str>>(
        mut self,
        client_id: &str,
        secret: &ClientSecret,
        audiences: impl IntoIterator<Item = A>,
    ) -> Self {
        if secret.expose().len() < 32 {
            let (what, allowed) = ("the secret of a resource server", "at least 32 characters");
            self.malformed.get_or_insert(BuildError::OutOfRange { what, allowed });
        }
        let audiences = self.parse_all("audience", audiences);
        if let Some(client) = self.parse("resource server", client_id) {
            self.settings.clients.resource_servers.push(ResourceServer {
                client,
                secret: secret.hash(None),
                audiences,
            });
        }
        self
    }

    /// What the hooks of any person may ask for, whatever the person's own scopes are;
    /// [`SignedIn::hook_scopes`](crate::SignedIn::hook_scopes) narrows it for one. Default: `hook:govern hook:track`.
    pub fn hook_scopes(mut self, scopes: Scopes) -> Self {
        self.settings.hooks.scopes = scopes;
        self
    }

    /// The scopes that the caller of `POST /oauth-client` must hold, all of them. Default: none, every person's bridge may
    /// provision a client for its hooks.
    pub fn provisioning_requires(mut self, scopes: Scopes) -> Self {
        self.settings.hooks.provisioning_scopes = scopes;
        self
    }

    /// How long a replaced client secret stays good, in whole seconds up to 24 h. Default: 60 s.
    ///
    /// It covers answers that are still on their way when the next call replaces their secret: keep it
    /// longer than the [write deadline](Self::write_deadline).
    pub fn secret_overlap(mut self, overlap: Duration) -> Self {
        self.settings.hooks.secret_overlap = overlap;
        self
    }

    /// How many devices of one person may have a hook secret or key, 1 to 128. Default: 16.
    ///
    /// Whoever shows a wrong credential has it held against all of these: what that costs grows with them.
    pub fn max_devices(mut self, max: u32) -> Self {
        self.settings.hooks.max_devices = max;
        self
    }
}
