//! Exchange codes: how a signed-in person begins to link a bridge.

use std::time::SystemTime;

use super::issuer::{Issuer, is_client};
use super::signed_in::SignedIn;
use crate::id::{Audience, CodeChallenge, ExchangeCode};
use crate::store::{IssueCodeError, NewCode, within_deadline};
use crate::telemetry::audit;

/// What a code is bound to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CodeRequest {
    /// The PKCE challenge (`S256`, RFC 7636). Only a client that knows the verifier can exchange the code.
    pub challenge: Option<CodeChallenge>,
    /// The one resource (RFC 8707) of all tokens of the session: the refreshed ones and those of its hooks too.
    pub resource: Option<Audience>,
}

/// An exchange code, shown once.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct IssuedCode {
    /// The code itself.
    pub code: ExchangeCode,
    /// When it expires, by the database's clock.
    pub expires_at: SystemTime,
}

impl Issuer {
    /// Issues a one-time exchange code to a signed-in person, and makes the person known.
    ///
    /// A person has a limited number of open codes. When there are more, the oldest become invalid.
    ///
    /// # Errors
    ///
    /// [`IssueCodeError`].
    ///
    /// # Cancel safety
    ///
    /// Nobody knows a code that was stored but not returned. It expires by itself.
    pub async fn issue_code(
        &self,
        signed_in: &SignedIn,
        request: CodeRequest,
    ) -> Result<IssuedCode, IssueCodeError> {
        let SignedIn { user_id, scopes, .. } = signed_in;
        let CodeRequest { challenge, resource } = request;
        if is_client(user_id, &self.settings.bridge_client) {
            return Err(IssueCodeError::ReservedUser);
        }
        if challenge.is_none() && self.settings.codes.require_pkce {
            return Err(IssueCodeError::ChallengeRequired);
        }
        if !self.settings.audiences.knows_all(&resource) {
            return Err(IssueCodeError::Resource);
        }
        self.register_user(signed_in).await?;
        let code = ExchangeCode::random();
        let (pkce, bound_to) = (challenge.is_some(), resource.clone());
        let new = NewCode {
            hash: code.hash(),
            user: user_id.clone(),
            client: self.settings.bridge_client.clone(),
            scopes: scopes.clone(),
            redirect_uri: None,
            ticket: None,
            challenge,
            resource,
            life: self.settings.codes.life,
            max_open: self.settings.codes.max_open,
        };
        let expires_at = within_deadline(self.settings.deadlines.write, self.store.issue_code(new)).await?;
        audit!("code_issued", user_id = %user_id, code = ?code.hash(), pkce,
            resource = bound_to.as_ref().map(tracing::field::display));
        Ok(IssuedCode { code, expires_at })
    }
}

impl CodeRequest {
    /// Binds the code to a PKCE challenge.
    #[must_use]
    pub fn challenge(mut self, challenge: CodeChallenge) -> Self {
        self.challenge = Some(challenge);
        self
    }

    /// Binds the code to a resource, one of the audiences that the bridge issues tokens for.
    #[must_use]
    pub fn resource(mut self, resource: Audience) -> Self {
        self.resource = Some(resource);
        self
    }
}
