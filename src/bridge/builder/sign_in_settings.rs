//! What the host says about signing in, and what a bridge makes of it.

use std::sync::Arc;

use url::Url;

use super::oauth::below;
#[cfg(feature = "client-metadata")]
use crate::client_metadata::ClientMetadata;
use crate::client_metadata::MetadataClients;
use crate::clock::HostClock;
use crate::id::ClientId;
use crate::issue::{AuditTrail, EndpointUrls, IssueSettings};
use crate::pages::Pages;
use crate::rejection::RejectionBody;
use crate::service::{MessagesApiError, SignInPages, client_of_gateway_login};
use crate::validate::{BuildError, check_endpoint};

/// What the host says about signing in.
#[derive(Default)]
pub(super) struct SignInSettings {
    pub(super) pages: Option<Pages>,
    pub(super) verification_uri: Option<Url>,
    pub(super) devices_uri: Option<Url>,
    pub(super) audit_trail: Option<Arc<dyn AuditTrail>>,
    pub(super) gateway_login: bool,
    #[cfg(feature = "client-metadata")]
    pub(super) client_metadata: Option<ClientMetadata>,
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
        let below = |page: &str| below(issuer, prefix, page);
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
