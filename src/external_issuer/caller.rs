//! A caller with an external issuer's token and no session here.

use std::fmt;
use std::sync::Arc;

use super::token::ExternalToken;
use crate::caller::Authority;
use crate::id::{Audience, Scopes};
use crate::rejection::InvalidCredential;
use crate::request_context::RequestContext;
use crate::token::ExternalClaims;

/// A caller with a verified token of an external issuer, and no session of this gateway.
///
/// It is not a person of this gateway. Its subject is the name that its issuer has for a person or a program. Only the
/// guard makes an `ExternalCaller`, and only layers with [`admit_external`](crate::BridgeAuthLayer::admit_external) let
/// one in. As an extractor it refuses every other request. Cloning is cheap.
#[derive(Clone)]
pub struct ExternalCaller {
    token: Arc<ExternalToken>,
    /// What the layer that let the caller in left for the request.
    request_context: Option<RequestContext>,
}

impl ExternalCaller {
    pub(crate) const fn new(token: Arc<ExternalToken>) -> Self {
        Self { token, request_context: None }
    }

    /// The same caller, let in by a layer.
    pub(crate) fn passing(self, request_context: RequestContext) -> Self {
        Self { request_context: Some(request_context), ..self }
    }

    /// The same caller without the request context. A handler gets this one, and may keep it.
    #[cfg(feature = "axum")]
    pub(crate) fn for_handler(&self) -> Self {
        Self::new(self.token.clone())
    }

    pub(crate) const fn request_context(&self) -> Option<&RequestContext> {
        self.request_context.as_ref()
    }

    /// The issuer of the token.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.claims().issuer()
    }

    /// The subject of the token, as its issuer names it.
    ///
    /// The name is unique only together with the issuer.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.claims().subject()
    }

    /// The OAuth client that calls, as the issuer names it.
    ///
    /// `None` when the token names none.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.claims().client_id()
    }

    /// The scopes that the token grants and that the host allows for its issuer.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        self.claims().scopes()
    }

    /// The claims of the verified token.
    #[must_use]
    pub fn claims(&self) -> &ExternalClaims {
        &self.token.claims
    }

    /// Checks what may have changed after the token was verified: the time, and the keys of its issuer.
    pub(crate) fn check(&self) -> Result<(), InvalidCredential> {
        self.token.check()
    }

    pub(crate) fn is_vouched_for_by(&self, authority: &Authority) -> bool {
        self.token.authority.is(authority)
    }

    pub(crate) fn is_for(&self, audience: &Audience) -> bool {
        self.claims().audiences().contains(audience)
    }
}

impl fmt::Debug for ExternalCaller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalCaller")
            .field("issuer", &self.issuer())
            .field("subject", &self.subject())
            .field("client_id", &self.client_id())
            .field("scopes", self.scopes())
            .finish_non_exhaustive()
    }
}
