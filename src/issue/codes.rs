//! Exchange codes: how a signed-in person starts to link a bridge.

use std::time::SystemTime;

use super::{Issuer, is_client};
use crate::id::{CodeChallenge, ExchangeCode, Scopes, UserId};
use crate::observe::audit;
use crate::store::{IssueCodeError, NewCode, within_deadline};

/// A person whom the host's own login has signed in.
///
/// The host puts it into the extensions of a request for `POST /code`; that is all the endpoint believes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// Who it is.
    pub user_id: UserId,
    /// What the bridge that is linked may do.
    pub scopes: Scopes,
}

/// A code, shown once.
#[derive(Debug, Clone)]
pub struct IssuedCode {
    /// The code itself.
    pub code: ExchangeCode,
    /// When it expires, by the database's clock.
    pub expires_at: SystemTime,
}

impl Issuer {
    /// Issues a one-time exchange code to a signed-in person, who is made known by this.
    ///
    /// With a `challenge` (PKCE `S256`, RFC 7636) only who knows its verifier can exchange the code. A
    /// person has a bounded number of open codes: beyond that the oldest die.
    ///
    /// # Errors
    ///
    /// [`IssueCodeError::UserDisabled`], [`IssueCodeError::ReservedUser`], or [`IssueCodeError::Store`] when the store cannot answer.
    ///
    /// # Cancel safety
    ///
    /// A code that was stored but not returned is known to nobody and expires by itself.
    pub async fn issue_code(
        &self,
        signed_in: &SignedIn,
        challenge: Option<CodeChallenge>,
    ) -> Result<IssuedCode, IssueCodeError> {
        let SignedIn { user_id, scopes } = signed_in;
        if is_client(user_id, &self.settings.bridge_client) {
            return Err(IssueCodeError::ReservedUser);
        }
        self.register_user(user_id, scopes).await?;
        let code = ExchangeCode::random();
        let bound = challenge.is_some();
        let new = NewCode {
            hash: code.hash(),
            user: user_id.clone(),
            scopes: scopes.clone(),
            challenge,
            life: self.settings.code_life,
            max_open: self.settings.max_open_codes,
        };
        let expires_at = within_deadline(self.settings.store_deadline, self.store.issue_code(new)).await?;
        audit!("code_issued", user_id = %user_id, code = ?code.hash(), pkce = bound);
        Ok(IssuedCode { code, expires_at })
    }
}
