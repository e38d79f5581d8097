//! Renewal: a refresh token for access, and for the next refresh token.

use std::net::IpAddr;

use super::Issuer;
use super::access::{Access, Grant};
use crate::id::{Audience, ClientId, RefreshHash, RefreshToken, Scopes};
use crate::observe::audit;
use crate::store::{
    Origin, RefreshRefusal, RefreshSession, RefreshSessionError, StoreError, within_deadline,
};
use crate::token::{KeyError, Subject};

/// What a client presents to go on without its person (RFC 6749 §6).
#[derive(Debug, Clone)]
pub struct Refresh {
    /// The refresh token.
    pub token: RefreshToken,
    /// The client that presents it.
    pub client: ClientId,
    /// What the access token shall allow: `None` is all that its session does.
    pub scopes: Option<Scopes>,
    /// Whom the access token shall be for: 1 to 16 of those the bridge issues tokens for, `None` for the usual ones.
    pub audiences: Option<Vec<Audience>>,
    /// Where the client is.
    pub origin: Origin,
}

/// Why access was not renewed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RefreshError {
    /// The token is unknown, used too often, another client's, or its session has ended: the caller is not told which
    /// (RFC 6749 §5.2 `invalid_grant`). Sign in again.
    #[error("the refresh token is not good")]
    InvalidGrant,
    /// A scope is asked for that the session does not have (RFC 6749 §5.2 `invalid_scope`). The token is as it was.
    #[error("the session does not have these scopes")]
    InvalidScope,
    /// This bridge issues no token for the audience, or for none at all. The refresh token is as it was.
    #[error("this bridge issues no token for these audiences")]
    Audience,
    /// The token could not be signed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Issuer {
    /// Trades a refresh token for access and for the token that takes its place, and extends its session up to the
    /// absolute end.
    ///
    /// A token may be used again for as long as the grace lasts, by a client whose answer was lost or which refreshes twice at
    /// once. Whoever comes with it later, or with an older one, revokes the session: it was copied (RFC 9700 §4.14.2).
    ///
    /// # Errors
    ///
    /// [`RefreshError`].
    ///
    /// # Cancel safety
    ///
    /// The token is used or not. When the answer is lost, use it again: within the grace that gives another successor.
    pub async fn refresh(&self, refresh: Refresh) -> Result<Access, RefreshError> {
        let audiences = self.audiences(refresh.audiences.as_deref()).ok_or(RefreshError::Audience)?;
        let address = refresh.origin.address;
        let (presented, successor) = (refresh.token.hash(), RefreshToken::random());
        let wish = RefreshSession {
            presented,
            successor: successor.hash(),
            client: refresh.client.clone(),
            scopes: refresh.scopes,
            origin: refresh.origin,
            life: self.settings.session_life,
            grace: self.settings.refresh.grace,
        };
        let opened = within_deadline(self.settings.store_deadline, self.store.refresh_session(wish))
            .await
            .map_err(|error| refused(error, presented, &refresh.client, address))?;
        let grant = Grant {
            subject: Subject::User(opened.user.clone()),
            client: refresh.client,
            audiences,
            token_life: self.settings.token_life,
        };
        let access = Access { refresh_token: Some(successor), ..self.sign(opened, grant)? };
        audit!("refreshed", user_id = %access.user, session_id = %access.session, client_id = %access.client,
            token = ?presented);
        Ok(access)
    }
}

/// Tells the audit log why; the caller learns less.
fn refused(
    error: RefreshSessionError,
    token: RefreshHash,
    client: &ClientId,
    address: Option<IpAddr>,
) -> RefreshError {
    let address = address.map(tracing::field::display);
    match error {
        RefreshSessionError::Refused(RefreshRefusal::Reused { user, session, rotated_at }) => {
            let rotated_at = crate::clock::since_epoch(rotated_at).as_secs();
            audit!("refresh_reused", user_id = %user, session_id = %session, client_id = %client, token = ?token,
                rotated_at, address);
            RefreshError::InvalidGrant
        }
        RefreshSessionError::Refused(reason) => {
            audit!("refresh_refused", reason = %reason, client_id = %client, token = ?token, address);
            RefreshError::InvalidGrant
        }
        RefreshSessionError::Scopes => {
            audit!("refresh_refused", reason = "scopes", client_id = %client, token = ?token, address);
            RefreshError::InvalidScope
        }
        RefreshSessionError::Store(fault) => RefreshError::Store(fault),
    }
}
