//! A caller with a token of another issuer and no session here, and the token behind it.

use std::fmt;
use std::sync::Arc;

use super::token::ExternalToken;
use crate::caller::Authority;
use crate::id::{Audience, Scopes};
use crate::rejection::InvalidCredential;
use crate::request_context::RequestContext;
use crate::token::ExternalClaims;

/// A caller with a verified token of another issuer, and no session of this gateway.
///
/// It is no person of this gateway: its subject is the issuer's name for somebody, or something. Only the guard makes
/// one, and only layers with [`admit_external`](crate::BridgeAuthLayer::admit_external) let one in. As an extractor it
/// refuses everyone else. Cloning is cheap.
#[derive(Clone)]
pub struct ExternalCaller {
    token: Arc<ExternalToken>,
    /// What the layer that let it in left for the request.
    request_context: Option<RequestContext>,
}

impl ExternalCaller {
    pub(crate) const fn new(token: Arc<ExternalToken>) -> Self {
        Self { token, request_context: None }
    }

    /// The same, let in by a layer.
    pub(crate) fn passing(self, request_context: RequestContext) -> Self {
        Self { request_context: Some(request_context), ..self }
    }

    /// The same, without what the layer left: for a handler, which may keep it.
    #[cfg(feature = "axum")]
    pub(crate) fn for_handler(&self) -> Self {
        Self::new(self.token.clone())
    }

    pub(crate) const fn request_context(&self) -> Option<&RequestContext> {
        self.request_context.as_ref()
    }

    /// Who issued the token.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.claims().issuer()
    }

    /// Whom the token speaks for, as its issuer names them: unique only together with the issuer.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.claims().subject()
    }

    /// The OAuth client that calls, as the issuer names it.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.claims().client_id()
    }

    /// The scopes granted to the token, of those that the host allows for its issuer.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        self.claims().scopes()
    }

    /// The claims of the verified token.
    #[must_use]
    pub fn claims(&self) -> &ExternalClaims {
        &self.token.claims
    }

    /// What may have changed since the token was verified: the time, and its issuer's keys.
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
