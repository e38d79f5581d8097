//! The OAuth settings: endpoints, protected resources, resource servers, and the clients of hooks.

use std::time::Duration;

use url::Url;

use super::BridgeBuilder;
use super::urls::below;
use crate::audience::ProtectedResource;
use crate::id::{Audience, ClientId, ClientSecret, Scopes, TextOr};
use crate::issue::{ResourceServer, TokenExchange};
use crate::validate::{BuildError, Setting, check_path_prefix};

impl BridgeBuilder {
    /// Turns the OAuth endpoints of [`Bridge::service`](crate::Bridge::service) on, with their URLs under the issuer and
    /// the [prefix](Self::prefix). Default: they are off, and are not advertised.
    ///
    /// With the issuer `https://gateway.example` and the default prefix:
    ///
    /// | endpoint | URL |
    /// |---|---|
    /// | [token](Self::token_endpoint) | `https://gateway.example/v1/auth/bridge/token` |
    /// | [introspection](Self::introspection_endpoint) | `…/introspect` |
    /// | [revocation](Self::revocation_endpoint) | `…/revoke` |
    /// | [public keys](Self::jwks_uri) | `…/.well-known/jwks.json` |
    /// | [authorization](Self::authorization_endpoint), with [pages](Self::pages) | `…/authorize` |
    /// | [device authorization](Self::device_authorization_endpoint), with [pages](Self::pages) | `…/device_authorization` |
    ///
    /// A path in the issuer stands before the prefix. An endpoint that is set by its own method keeps that URL. The order
    /// of the calls makes no difference. To leave an endpoint off, set the others one by one instead.
    ///
    /// ```
    /// # use bridge_auth::{Bridge, BuildError, store::Store, token::KeyRing};
    /// # fn build(keys: KeyRing, store: impl Store) -> Result<Bridge, BuildError> {
    /// Bridge::builder("https://gateway.example", keys, store).oauth().build()
    /// # }
    /// ```
    ///
    /// Clients find these URLs in the documents of
    /// [`Bridge::well_known_service`](crate::Bridge::well_known_service). Mount it too.
    pub fn oauth(mut self) -> Self {
        self.oauth = true;
        self
    }

    /// Names the endpoints that the host has turned on and has not named.
    pub(super) fn name_endpoints(&mut self) -> Result<(), BuildError> {
        if !self.oauth {
            return Ok(());
        }
        check_path_prefix(&self.prefix)?;
        let issuer = &self.settings.issuer;
        let issuer = Url::parse(issuer).map_err(|_| BuildError::Issuer(issuer.clone()))?;
        let at = |path: &str| below(&issuer, &self.prefix, path);
        let endpoints = &mut self.settings.endpoints;
        let name = |endpoint: &mut Option<Url>, path| {
            endpoint.get_or_insert_with(|| at(path));
        };
        name(&mut endpoints.token, "/token");
        name(&mut endpoints.introspection, "/introspect");
        name(&mut endpoints.revocation, "/revoke");
        name(&mut endpoints.jwks, "/.well-known/jwks.json");
        if self.sign_in.pages.is_some() {
            name(&mut endpoints.authorization, "/authorize");
            name(&mut endpoints.device_authorization, "/device_authorization");
        }
        Ok(())
    }

    /// The URL at which hook clients get their tokens. Default: none.
    ///
    /// Without it, no hook client can be provisioned, no token endpoint is advertised, and there is no authorization
    /// server metadata.
    pub fn token_endpoint(mut self, url: impl TextOr<Url>) -> Self {
        self.settings.endpoints.token = self.read("the token endpoint", url);
        self
    }

    /// Lets clients exchange a person's token for one with less power (RFC 8693), at the [token
    /// endpoint](Self::token_endpoint). Default: off, and not advertised.
    pub fn token_exchange(mut self, exchange: TokenExchange) -> Self {
        self.settings.token_exchange = Some(exchange);
        self
    }

    /// The URL of the host's page on which a person lets a bridge in. Default: none is advertised.
    ///
    /// Only the metadata shows it (RFC 8414 §2). Stock MCP clients read no metadata without it, even those that use
    /// client credentials and never open the page.
    pub fn authorization_endpoint(mut self, url: impl TextOr<Url>) -> Self {
        self.settings.endpoints.authorization = self.read("the authorization endpoint", url);
        self
    }

    /// The URL at which tokens may be introspected (RFC 7662). Default: introspection is off and is not advertised.
    pub fn introspection_endpoint(mut self, url: impl TextOr<Url>) -> Self {
        self.settings.endpoints.introspection = self.read("the introspection endpoint", url);
        self
    }

    /// The URL at which tokens may be revoked (RFC 7009). Default: the endpoint is off and is not advertised.
    pub fn revocation_endpoint(mut self, url: impl TextOr<Url>) -> Self {
        self.settings.endpoints.revocation = self.read("the revocation endpoint", url);
        self
    }

    /// The URL of the public keys (RFC 8414 §2). Default: none is advertised.
    pub fn jwks_uri(mut self, url: impl TextOr<Url>) -> Self {
        self.settings.endpoints.jwks = self.read("the JWKS URI", url);
        self
    }

    /// Adds a resource that OAuth clients can discover.
    ///
    /// May be called several times.
    ///
    /// - The metadata of the resource is served (RFC 9728).
    /// - The URL of the resource becomes an audience. A token gets it when it asks with `resource` (RFC 8707).
    /// - [`Bridge::layer`](crate::Bridge::layer) of this URL points its challenges to the metadata.
    ///
    /// The metadata is on the host of the resource and is found by its path alone. So two resources cannot share a
    /// path.
    pub fn protected_resource(mut self, resource: ProtectedResource) -> Self {
        let resource = self.keep(resource.try_into());
        self.settings.audiences.resources.extend(resource);
        self
    }

    /// Adds a server of the host that may introspect tokens for any of `audiences` (RFC 7662 §2.1).
    ///
    /// The server proves who it is with `secret`, by `client_secret_basic` or `client_secret_post`. The secret has at
    /// least 32 characters.
    ///
    /// Its calls count against a [limit of their own](crate::rate_limit::RateLimits::introspections_per_client), and not
    /// against that of its address.
    /// Raise that limit when the server introspects more than twenty times a second.
    pub fn resource_server<A: TextOr<Audience>>(
        mut self,
        client_id: impl TextOr<ClientId>,
        secret: impl TextOr<ClientSecret>,
        audiences: impl IntoIterator<Item = A>,
    ) -> Self {
        let client = self.read("the client id of the resource server", client_id);
        let secret = self.read("the secret of the resource server", secret);
        let audiences = self.read_all("the audience of the resource server", audiences);
        let (Some(client), Some(secret)) = (client, secret) else { return self };
        let length = secret.expose().len();
        if length < 32 {
            let setting =
                Setting::new("the length of a resource server's secret", "BridgeBuilder::resource_server");
            let shown = format_args!("{length} characters");
            self.malformed.get_or_insert(setting.out_of_range(shown, "at least 32 characters"));
        }
        self.settings.clients.resource_servers.push(ResourceServer {
            client,
            secret: secret.hash(None),
            audiences,
        });
        self
    }

    /// The scopes that the hooks of any person may ask for. Default: `hook:govern hook:track`.
    ///
    /// The person's own scopes make no difference. [`SignedIn::hook_scopes`](crate::SignedIn::hook_scopes) allows fewer
    /// for one person.
    pub fn hook_scopes(mut self, scopes: impl TextOr<Scopes>) -> Self {
        if let Some(scopes) = self.read("the scopes of hooks", scopes) {
            self.settings.hooks.scopes = scopes;
        }
        self
    }

    /// The scopes that the caller of `POST /oauth-client` must hold, all of them. Default: none.
    ///
    /// By default every person's bridge may provision a client for its hooks.
    pub fn provisioning_requires(mut self, scopes: impl TextOr<Scopes>) -> Self {
        if let Some(scopes) = self.read("the scopes that provisioning requires", scopes) {
            self.settings.hooks.provisioning_scopes = scopes;
        }
        self
    }

    /// How long a replaced client secret stays valid: 0 to 24 h, in whole seconds. Default: 60 s.
    ///
    /// An answer may still be on its way when the next call replaces its secret. So keep the overlap longer than the
    /// [write deadline](Self::write_deadline).
    pub fn secret_overlap(mut self, overlap: Duration) -> Self {
        self.settings.hooks.secret_overlap = overlap;
        self
    }

    /// How many devices of one person may have a hook secret or key: 1 to 128. Default: 16.
    ///
    /// A wrong credential is compared with the credentials of all devices of the person. So a higher number makes wrong
    /// attempts more expensive.
    pub fn max_devices(mut self, max: u32) -> Self {
        self.settings.hooks.max_devices = max;
        self
    }
}
