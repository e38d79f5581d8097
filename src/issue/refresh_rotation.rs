//! Refresh rotation: a client exchanges a refresh token for access and for the next refresh token.

use std::net::IpAddr;

use super::access::Access;
use super::issuer::Issuer;
use crate::id::{Audience, ClientId, RefreshHash, RefreshToken, Scopes};
use crate::store::{
    Origin, RefreshRefusal, RefreshSession, RefreshSessionError, StoreError, within_deadline,
};
use crate::telemetry::{audit, note, note_reason};
use crate::token::KeyError;

/// What a client presents to renew its access without the person (RFC 6749 §6).
#[derive(Debug, Clone)]
#[must_use = "hand it to Issuer::refresh"]
#[non_exhaustive]
pub struct Refresh {
    /// The refresh token.
    pub token: RefreshToken,
    /// The client that presents it.
    pub client: ClientId,
    /// The scopes of the access token. `None`: all scopes of its session.
    pub scopes: Option<Scopes>,
    /// The one resource (RFC 8707) of the access token. `None`: the resource that the session is bound to, else the
    /// default audiences.
    pub resource: Option<Audience>,
    /// The address and program of the client.
    pub origin: Origin,
}

/// Why access was not renewed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RefreshError {
    /// The token is unknown, reused or another client's, or its session has ended (RFC 6749 §5.2 `invalid_grant`). The
    /// caller is not told which. The person must sign in again.
    #[error("the refresh token is unknown, reused or another client's, or its session has ended: link again")]
    InvalidGrant,
    /// The client asks for a scope that the session does not have (RFC 6749 §5.2 `invalid_scope`). The token is
    /// unchanged.
    #[error("the client asks for a scope that the session does not have")]
    InvalidScope,
    /// This bridge issues no token for the resource, or the session is bound to another resource. The refresh token is
    /// unchanged.
    #[error("this bridge issues no token for the resource, or the session is bound to another resource")]
    Resource,
    /// The token could not be signed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why access was not renewed, for the endpoint. The caller learns less.
#[derive(Debug)]
pub(crate) struct RefusedRefresh {
    pub(crate) error: RefreshError,
    /// Whether the store knows the token: then it was issued here, and nobody has guessed it.
    pub(crate) was_issued: bool,
}

impl From<RefreshError> for RefusedRefresh {
    fn from(error: RefreshError) -> Self {
        Self { error, was_issued: false }
    }
}

impl Issuer {
    /// Exchanges a refresh token for access and for the next refresh token, and extends the session up to its absolute
    /// end.
    ///
    /// A refresh token may be used once. A second use is answered again in two cases:
    ///
    /// - within the [grace](crate::BridgeBuilder::refresh_grace), for programs that share the token and refresh at the
    ///   same time;
    /// - at any later time, while nothing from the earlier answers was used, for a client that lost the answer. The
    ///   earlier answers are retired by this.
    ///
    /// In every other case a second use means that two programs hold the token, and so does the use of a retired token.
    /// Then the session is revoked (RFC 9700 §4.14.2).
    ///
    /// # Errors
    ///
    /// [`RefreshError`].
    ///
    /// # Cancel safety
    ///
    /// The token is used or not. When the answer is lost, use the token again, however late.
    pub async fn refresh(&self, refresh: Refresh) -> Result<Access, RefreshError> {
        self.try_refresh(refresh).await.map_err(|refused| refused.error)
    }

    /// The same. A refusal also says whether the token was issued here.
    pub(crate) async fn try_refresh(&self, refresh: Refresh) -> Result<Access, RefusedRefresh> {
        let resource = refresh.resource;
        if !self.settings.audiences.knows_all(&resource) {
            return Err(RefreshError::Resource.into());
        }
        let address = refresh.origin.address;
        let (presented, successor) = (refresh.token.hash(), RefreshToken::random());
        let wish = RefreshSession {
            presented,
            successor: successor.hash(),
            client: refresh.client.clone(),
            scopes: refresh.scopes,
            resource: resource.clone(),
            origin: refresh.origin,
            life: self.settings.session_life(),
            grace: self.settings.refresh.grace,
        };
        let opened = within_deadline(self.settings.deadlines.write, self.store.refresh_session(wish))
            .await
            .map_err(|error| refused(error, presented, &refresh.client, address))?;
        let access = self
            .sign_for_person(opened, refresh.client, resource, Some(successor))
            .map_err(RefreshError::from)?;
        audit!("refreshed", user_id = %access.user, session_id = %access.session, client_id = %access.client,
            token = ?presented);
        Ok(access)
    }
}

impl Refresh {
    /// `client` presents `token`.
    pub fn new(token: RefreshToken, client: ClientId) -> Self {
        Self { token, client, scopes: None, resource: None, origin: Origin::unknown() }
    }

    /// What the access token allows. Default: all that its session does.
    pub fn scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = Some(scopes);
        self
    }

    /// The one resource that the access token is for. Default: the one that its session is bound to, else the usual
    /// audiences.
    pub fn resource(mut self, resource: Audience) -> Self {
        self.resource = Some(resource);
        self
    }

    /// Where the client is. Default: unknown.
    pub fn origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }
}

/// Notes for the line of the refused request what exactly is wrong.
fn note_refusal(error: &RefreshSessionError) {
    match error {
        RefreshSessionError::Refused(RefreshRefusal::Reused { user, session, .. }) => {
            note_reason("refresh_reused", "two programs hold the refresh token: its session is ended");
            note(|known| (known.user, known.session) = (Some(user.clone()), Some(session.clone())));
        }
        RefreshSessionError::Refused(reason) => {
            note_reason("refresh_refused", format!("the refresh token is refused: {reason}"));
        }
        RefreshSessionError::Scopes => note_reason("scopes", "its session does not have all of the scopes"),
        RefreshSessionError::WrongResource => {
            note_reason("wrong_resource", "its session is bound to another resource");
        }
        RefreshSessionError::Store(_) => {}
    }
}

/// Tells the audit log why. The caller learns less.
fn refused(
    error: RefreshSessionError,
    token: RefreshHash,
    client: &ClientId,
    address: Option<IpAddr>,
) -> RefusedRefresh {
    note_refusal(&error);
    let address = address.map(tracing::field::display);
    let was_issued =
        matches!(&error, RefreshSessionError::Refused(reason) if *reason != RefreshRefusal::Unknown);
    let error = match error {
        RefreshSessionError::Refused(RefreshRefusal::Reused { user, session, used_at, used_from }) => {
            let used_at = crate::clock::since_epoch(used_at).as_secs();
            let used_from = used_from.map(tracing::field::display);
            audit!("refresh_reused", user_id = %user, session_id = %session, client_id = %client, token = ?token,
                used_at, used_from, address);
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
        RefreshSessionError::WrongResource => {
            audit!("refresh_refused", reason = "wrong resource", client_id = %client, token = ?token, address);
            RefreshError::Resource
        }
        RefreshSessionError::Store(fault) => RefreshError::Store(fault),
    };
    RefusedRefresh { error, was_issued }
}
