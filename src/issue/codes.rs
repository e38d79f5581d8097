//! Exchange codes: how a signed-in person begins to link a bridge.

use std::time::{Duration, SystemTime};

use super::issuer::{Issuer, is_client};
use super::signed_in::SignedIn;
use crate::id::{AssertionHash, Audience, ClientId, CodeChallenge, ExchangeCode, Scopes};
use crate::store::{IssueCodeError, NewCode, within_deadline};
use crate::telemetry::audit;

/// What a code is bound to. By default it is for the bridge itself, and passes on all scopes of the person's bridges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CodeRequest {
    /// The PKCE challenge (`S256`, RFC 7636). Only a client that knows the verifier can exchange the code.
    pub challenge: Option<CodeChallenge>,
    /// The one resource (RFC 8707) of all tokens of the session: the refreshed ones and those of its hooks too.
    pub resource: Option<Audience>,
    /// The only client that can exchange the code. `None`: the bridge itself.
    pub client: Option<ClientId>,
    /// The scopes that the person allows, of those that their bridges may have. `None`: all.
    pub scopes: Option<Scopes>,
    /// Where the code is sent. The client may have to show it again (RFC 6749 §4.1.3).
    pub redirect_uri: Option<String>,
    /// The ticket of the person's consent, which is spent with the code, and how long it must be remembered.
    pub(crate) ticket: Option<(AssertionHash, Duration)>,
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
        let CodeRequest { challenge, resource, client, scopes: allowed, redirect_uri, ticket } = request;
        let client = client.unwrap_or_else(|| self.settings.bridge_client.clone());
        if is_client(user_id, &client) {
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
        let (pkce, bound_to, for_client) = (challenge.is_some(), resource.clone(), client.clone());
        let new = NewCode {
            hash: code.hash(),
            user: user_id.clone(),
            scopes: allowed.map_or_else(|| scopes.clone(), |allowed| allowed.intersection(scopes)),
            client,
            redirect_uri,
            ticket,
            challenge,
            resource,
            life: self.settings.codes.life,
            max_open: self.settings.codes.max_open,
        };
        let expires_at = within_deadline(self.settings.deadlines.write, self.store.issue_code(new)).await?;
        audit!("code_issued", user_id = %user_id, client_id = %for_client, code = ?code.hash(), pkce,
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

    /// Binds the code to a client. Default: the bridge itself.
    #[must_use]
    pub fn client(mut self, client: ClientId) -> Self {
        self.client = Some(client);
        self
    }

    /// Passes on only these of the person's scopes. Default: all.
    #[must_use]
    pub fn scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = Some(scopes);
        self
    }

    /// Where the code is sent. Default: to no redirect URI.
    #[must_use]
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.redirect_uri = Some(uri.into());
        self
    }

    /// Spends the ticket of the person's consent together with the code.
    pub(crate) fn ticket(mut self, ticket: AssertionHash, life: Duration) -> Self {
        self.ticket = Some((ticket, life));
        self
    }

    /// Binds the code to a resource, one of the audiences that the bridge issues tokens for.
    #[must_use]
    pub fn resource(mut self, resource: Audience) -> Self {
        self.resource = Some(resource);
        self
    }
}
