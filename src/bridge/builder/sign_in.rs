//! How people sign programs in: the pages, the device grant, the clients that may be linked, and what operators see.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::BridgeBuilder;
#[cfg(feature = "client-metadata")]
use crate::client_metadata::ClientMetadata;
use crate::id::TextOr;
use crate::issue::{AuditTrail, RegisteredClient};
use crate::pages::Pages;

impl BridgeBuilder {
    /// The pages on which people let programs in. Default: none, and the host writes its own.
    ///
    /// With them `/devices` is on. `/authorize` is on when [`authorization_endpoint`](Self::authorization_endpoint) is
    /// set too, and `/device` when [`device_authorization_endpoint`](Self::device_authorization_endpoint) is.
    pub fn pages(mut self, pages: Pages) -> Self {
        self.sign_in.pages = Some(pages);
        self
    }

    /// The URL at which programs without a browser ask for codes (RFC 8628). Default: the device grant is off and is not
    /// advertised.
    ///
    /// It needs the [pages](Self::pages), and the [token endpoint](Self::token_endpoint).
    pub fn device_authorization_endpoint(mut self, url: impl TextOr<Url>) -> Self {
        self.settings.endpoints.device_authorization = self.read("the device authorization endpoint", url);
        self
    }

    /// The URL of the page on which a person types the code of a program (RFC 8628 §3.2). Default: `/device` under the
    /// issuer and the [prefix](Self::prefix).
    ///
    /// People type this URL. So mount the service at a short path too, and name it here.
    pub fn verification_uri(mut self, url: impl TextOr<Url>) -> Self {
        self.sign_in.verification_uri = self.read("the verification URI", url);
        self
    }

    /// The URL of the page of a person's devices. Default: `/devices` under the issuer and the [prefix](Self::prefix).
    pub fn devices_uri(mut self, url: impl TextOr<Url>) -> Self {
        self.sign_in.devices_uri = self.read("the URL of the devices page", url);
        self
    }

    /// Where the host keeps audit events. Default: nowhere, and operators see none.
    ///
    /// The operators' page shows the last 100 events of a person.
    pub fn audit_trail(mut self, trail: impl AuditTrail) -> Self {
        self.sign_in.audit_trail = Some(Arc::new(trail));
        self
    }

    /// How long a device code and its user code live: 1 to 1800 s, in whole seconds. Default: 600 s.
    pub fn device_code_life(mut self, life: Duration) -> Self {
        self.settings.devices.life = life;
        self
    }

    /// Registers an OAuth client that people may link.
    ///
    /// May be called several times. There is no dynamic registration (RFC 7591): anybody could fill the database. A client
    /// that the host does not know brings a metadata document instead (feature `client-metadata`).
    pub fn client(mut self, client: RegisteredClient) -> Self {
        let client = self.keep(client.try_into());
        self.settings.clients.registered.extend(client);
        self
    }

    /// Lets Claude Code sign in with its "Cloud gateway" login (`"forceLoginMethod": "gateway"`). Default: off.
    ///
    /// It is the device grant with rotating refresh tokens, and these differences from the standards:
    ///
    /// - A request that names no client, or names `claude-code`, and proves none is of the client `claude-code` if you
    ///   [registered](Self::client) it, and otherwise of the bridge itself. Without this setting such a request gets 401
    ///   `invalid_client`. It may start the device grant without a body.
    /// - Its refused refresh is 401 `invalid_grant`. All other clients get 400.
    /// - The metadata have `gateway_protocol_version`. They are also found at `/.well-known/oauth-authorization-server`
    ///   behind a router that has cut off the path of the issuer.
    /// - The rejections of all [layers](crate::Bridge::layer) are errors of the Messages API
    ///   (`{"type":"error","error":{"type":"authentication_error",…}}`), unless [`rejection_body`](Self::rejection_body)
    ///   is set. Status and headers are the same. Give a layer for other clients its own body
    ///   ([`BridgeAuthLayer::rejection_body`](crate::BridgeAuthLayer::rejection_body)).
    ///
    /// It needs the [device authorization endpoint](Self::device_authorization_endpoint) and the [token
    /// endpoint](Self::token_endpoint), both on the origin of the issuer. Turn on
    /// [`refresh_tokens`](Self::refresh_tokens), so that people sign in once and not every hour, and the [revocation
    /// endpoint](Self::revocation_endpoint), so that `/logout` ends the session.
    pub fn gateway_login(mut self, on: bool) -> Self {
        self.sign_in.gateway_login = on;
        self
    }

    /// Accepts clients whose id is the URL of a document about them. Default: none are accepted, and this is not
    /// advertised.
    #[cfg(feature = "client-metadata")]
    #[cfg_attr(docsrs, doc(cfg(feature = "client-metadata")))]
    pub fn client_metadata(mut self, accepted: ClientMetadata) -> Self {
        self.sign_in.client_metadata = Some(accepted);
        self
    }
}
