//! How people sign programs in: the pages, the device grant, the clients that may be linked, and what operators see.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::BridgeBuilder;
#[cfg(feature = "client-metadata")]
use crate::client_metadata::ClientMetadata;
use crate::client_metadata::MetadataClients;
use crate::clock::HostClock;
use crate::id::ClientId;
use crate::issue::{AuditTrail, EndpointUrls, IssueSettings, RegisteredClient};
use crate::pages::Pages;
use crate::rejection::RejectionBody;
use crate::service::{MessagesApiError, SignInPages, client_of_gateway_login};
use crate::validate::{BuildError, check_endpoint};

/// What the host says about signing in.
#[derive(Default)]
pub(super) struct SignInSettings {
    pages: Option<Pages>,
    verification_uri: Option<Url>,
    devices_uri: Option<Url>,
    audit_trail: Option<Arc<dyn AuditTrail>>,
    gateway_login: bool,
    #[cfg(feature = "client-metadata")]
    client_metadata: Option<ClientMetadata>,
}

/// The parts of a bridge that let people sign in.
pub(super) struct SignIn {
    pub(super) pages: Option<SignInPages>,
    pub(super) documents: Option<Arc<MetadataClients>>,
    pub(super) audit_trail: Option<Arc<dyn AuditTrail>>,
    pub(super) gateway_login: Option<ClientId>,
    /// How layers write rejections, unless the host says so itself.
    pub(super) rejection_body: Option<Arc<dyn RejectionBody>>,
}

impl SignInSettings {
    pub(super) fn check(&self, endpoints: &EndpointUrls) -> Result<(), BuildError> {
        check_endpoint("the verification URI", self.verification_uri.as_ref())?;
        check_endpoint("the URL of the devices page", self.devices_uri.as_ref())?;
        if let Some(pages) = &self.pages {
            pages.check()?;
        }
        let needs = |needs| Err(BuildError::DeviceGrant { needs });
        match &endpoints.device_authorization {
            Some(_) if self.pages.is_none() => {
                needs("the pages: name the login with BridgeBuilder::pages(Pages::new(\"/login\"))")
            }
            Some(_) if endpoints.token.is_none() => needs("BridgeBuilder::token_endpoint"),
            _ => Ok(()),
        }
    }

    pub(super) fn configure(
        self,
        settings: &IssueSettings,
        issuer: &Url,
        prefix: &str,
        clock: &HostClock,
    ) -> Result<SignIn, BuildError> {
        let below = |page: &str| {
            let mut url = issuer.clone();
            url.set_path(&format!("{}{prefix}{page}", issuer.path().trim_end_matches('/')));
            url
        };
        #[cfg(feature = "client-metadata")]
        let documents = match self.client_metadata {
            Some(accepted) => Some(Arc::new(MetadataClients::new(accepted, clock.clone())?)),
            None => None,
        };
        #[cfg(not(feature = "client-metadata"))]
        let (documents, _) = (None, clock);
        let gateway_login = self.gateway_login.then(|| client_of_gateway_login(settings)).transpose()?;
        let rejection_body =
            gateway_login.as_ref().map(|_| Arc::new(MessagesApiError) as Arc<dyn RejectionBody>);
        let pages = self.pages.map(|pages| SignInPages {
            pages,
            verification_uri: self.verification_uri.unwrap_or_else(|| below("/device")),
            devices_uri: self.devices_uri.unwrap_or_else(|| below("/devices")),
        });
        Ok(SignIn { pages, documents, audit_trail: self.audit_trail, gateway_login, rejection_body })
    }
}

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
    pub fn device_authorization_endpoint(mut self, url: Url) -> Self {
        self.settings.endpoints.device_authorization = Some(url);
        self
    }

    /// The URL of the page on which a person types the code of a program (RFC 8628 §3.2). Default: `/device` under the
    /// issuer and the [prefix](Self::prefix).
    ///
    /// People type this URL. So mount the service at a short path too, and name it here.
    pub fn verification_uri(mut self, url: Url) -> Self {
        self.sign_in.verification_uri = Some(url);
        self
    }

    /// The URL of the page of a person's devices. Default: `/devices` under the issuer and the [prefix](Self::prefix).
    pub fn devices_uri(mut self, url: Url) -> Self {
        self.sign_in.devices_uri = Some(url);
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
        match client.try_into() {
            Ok(client) => self.settings.clients.registered.push(client),
            Err(malformed) => drop(self.malformed.get_or_insert(malformed)),
        }
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
