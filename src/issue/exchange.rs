//! The exchange: a one-time code for access.

use std::net::IpAddr;

use super::access::{Access, Grant};
use super::issuer::Issuer;
use crate::id::{Audience, CodeHash, CodeVerifier, ExchangeCode, RefreshToken, SessionId};
use crate::store::{GrantRefusal, NewSession, Origin, RedeemCode, RedeemError, StoreError, within_deadline};
use crate::telemetry::audit;
use crate::token::{KeyError, Subject};

/// What a bridge presents to be let in.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The code.
    pub code: ExchangeCode,
    /// The PKCE verifier, when the code was issued for a challenge.
    pub verifier: Option<CodeVerifier>,
    /// The session id the bridge declares, if any. Not looked at where declared ids are off.
    pub session: Option<SessionId>,
    /// Whether the session shall have a refresh token.
    pub refresh: bool,
    /// The one resource (RFC 8707) that the access token shall be for; `None` for the one that the code is bound to, else the
    /// usual audiences.
    pub resource: Option<Audience>,
    /// Where the bridge is.
    pub origin: Origin,
}

/// Why a code was not exchanged. It is not spent by this.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// The code is unknown, expired, spent or not for this bridge: the caller is not told which.
    #[error("the code is not good")]
    InvalidGrant,
    /// The declared session id is revoked, expired, or another user's.
    #[error("the session id is taken")]
    SessionTaken,
    /// The user has as many live sessions as may be.
    #[error("the user has too many sessions")]
    TooManySessions,
    /// This bridge issues no token for the resource, or the code is bound to another.
    #[error("no token is issued for this resource")]
    Resource,
    /// The token could not be signed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Issuer {
    /// Trades a code, once, for access.
    ///
    /// Of any number of exchanges of one code, on any number of nodes, exactly one succeeds. Whoever
    /// presents a spent code again revokes the session that its first use opened: one of the two is not
    /// who they should be (RFC 6749 §4.1.2).
    ///
    /// # Errors
    ///
    /// [`ExchangeError`]; the code is as it was.
    ///
    /// # Cancel safety
    ///
    /// The code is spent and its session open, or neither. When the answer is lost, link again.
    pub async fn exchange(&self, exchange: Exchange) -> Result<Access, ExchangeError> {
        let resource = exchange.resource;
        if !self.settings.audiences.knows_all(&resource) {
            return Err(ExchangeError::Resource);
        }
        let address = exchange.origin.address;
        let declared = exchange.session.filter(|_| self.settings.sessions.declared_ids);
        let hash = exchange.code.hash();
        let refresh_token = exchange.refresh.then(RefreshToken::random);
        let redeem = RedeemCode {
            hash,
            challenge: exchange.verifier.as_ref().map(CodeVerifier::challenge),
            resource: resource.clone(),
            session: NewSession {
                refresh: refresh_token.as_ref().map(RefreshToken::hash),
                ..self.new_session(declared, exchange.origin)
            },
        };
        let session = redeem.session.clone();
        let opened = within_deadline(self.settings.deadlines.write, self.store.redeem_code(redeem))
            .await
            .map_err(|error| refused(error, hash, address))?;
        let resource = opened.resource.clone().or(resource);
        let grant = Grant {
            subject: Subject::User(opened.user.clone()),
            client: session.client,
            audiences: self.audiences_of(resource.as_ref()),
            token_life: self.settings.tokens.life,
        };
        let access = Access { refresh_token, ..self.sign(opened, grant)? };
        audit!("code_redeemed", user_id = %access.user, session_id = %access.session, code = ?hash,
            renewed = access.renewed, refresh = access.refresh_token.is_some());
        Ok(access)
    }
}

/// Tells the audit log why; the caller learns less.
fn refused(error: RedeemError, code: CodeHash, address: Option<IpAddr>) -> ExchangeError {
    let address = address.map(tracing::field::display);
    match error {
        RedeemError::Refused(GrantRefusal::Replayed { user, session, first_used_at }) => {
            let first_used_at = crate::clock::since_epoch(first_used_at).as_secs();
            audit!("code_replayed", user_id = %user, session_id = %session, code = ?code, first_used_at,
                address);
            ExchangeError::InvalidGrant
        }
        RedeemError::Refused(reason) => {
            audit!("code_refused", reason = %reason, code = ?code, address);
            ExchangeError::InvalidGrant
        }
        RedeemError::SessionTaken => {
            audit!("session_id_taken", code = ?code, address);
            ExchangeError::SessionTaken
        }
        RedeemError::TooManySessions => ExchangeError::TooManySessions,
        RedeemError::WrongResource => {
            audit!("code_refused", reason = "wrong resource", code = ?code, address);
            ExchangeError::Resource
        }
        RedeemError::Store(fault) => ExchangeError::Store(fault),
    }
}
