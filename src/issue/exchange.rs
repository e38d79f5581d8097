//! The exchange: a bridge exchanges a one-time code for access.

use std::net::IpAddr;

use super::access::Access;
use super::issuer::Issuer;
use crate::id::{Audience, ClientId, CodeHash, CodeVerifier, ExchangeCode, RefreshToken, SessionId};
use crate::store::{GrantRefusal, NewSession, Origin, RedeemCode, RedeemError, StoreError, within_deadline};
use crate::telemetry::{audit, note, note_reason};
use crate::token::KeyError;

/// What a bridge presents to get access.
#[derive(Debug, Clone)]
#[must_use = "hand it to Issuer::exchange"]
#[non_exhaustive]
pub struct Exchange {
    /// The exchange code.
    pub code: ExchangeCode,
    /// The PKCE verifier, when the code was issued with a challenge.
    pub verifier: Option<CodeVerifier>,
    /// The client that presents the code. `None`: the bridge itself.
    pub client: Option<ClientId>,
    /// The redirect URI that the client presents, if any. It must be the one that the code was sent to.
    pub redirect_uri: Option<String>,
    /// The session id that the bridge declares. It is ignored where declared ids are off.
    pub session: Option<SessionId>,
    /// Whether the session gets a refresh token.
    pub refresh: bool,
    /// The one resource (RFC 8707) of the access token. `None`: the resource that the code is bound to, else the
    /// default audiences.
    pub resource: Option<Audience>,
    /// The address and program of the bridge.
    pub origin: Origin,
}

/// Why a code was not exchanged.
///
/// The code is not spent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// The code is unknown, expired, spent or not for this bridge. The caller is not told which.
    #[error(
        "the code is unknown, expired or spent, its user is disabled, or the verifier does not fit it: issue a new code"
    )]
    InvalidGrant,
    /// The declared session id is revoked, expired, or belongs to another user.
    #[error("the declared session id is revoked, expired, or another user's: declare another id, or none")]
    SessionTaken,
    /// The user has as many live sessions as the limit allows.
    #[error(
        "the user has as many live sessions as BridgeBuilder::session_limit allows: end one of them first"
    )]
    TooManySessions,
    /// This bridge issues no token for the resource, or the code is bound to another resource.
    #[error(
        "this bridge issues no token for the resource, or the code is bound to another one: ask for the resource of \
        the code, or for none"
    )]
    Resource,
    /// The token could not be signed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Issuer {
    /// Exchanges a code for access, once.
    ///
    /// When a code is exchanged several times, on any gateways, exactly one exchange succeeds. A second use of a spent
    /// code revokes the session that the first use opened, because one of the two users of the code is an attacker (RFC
    /// 6749 §4.1.2).
    ///
    /// # Errors
    ///
    /// [`ExchangeError`]. The code is unchanged.
    ///
    /// # Cancel safety
    ///
    /// Either the code is spent and its session is open, or neither. When the answer is lost, link again.
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
            redirect_uri: exchange.redirect_uri,
            resource: resource.clone(),
            session: NewSession {
                client: exchange.client.unwrap_or_else(|| self.settings.bridge_client.clone()),
                refresh: refresh_token.as_ref().map(RefreshToken::hash),
                ..self.new_session(declared, exchange.origin)
            },
        };
        let session = redeem.session.clone();
        let opened = within_deadline(self.settings.deadlines.write, self.store.redeem_code(redeem))
            .await
            .map_err(|error| refused(error, hash, address))?;
        let access = self.sign_for_person(opened, session.client, resource, refresh_token)?;
        audit!("code_redeemed", user_id = %access.user, session_id = %access.session, code = ?hash,
            renewed = access.renewed, refresh = access.refresh_token.is_some());
        Ok(access)
    }
}

impl Exchange {
    /// A bridge presents `code`.
    pub fn new(code: ExchangeCode) -> Self {
        Self {
            code,
            verifier: None,
            client: None,
            redirect_uri: None,
            session: None,
            refresh: false,
            resource: None,
            origin: Origin::unknown(),
        }
    }

    /// The PKCE verifier. Default: none, for a code without a challenge.
    pub fn verifier(mut self, verifier: CodeVerifier) -> Self {
        self.verifier = Some(verifier);
        self
    }

    /// The client that presents the code. Default: the bridge itself.
    pub fn client(mut self, client: ClientId) -> Self {
        self.client = Some(client);
        self
    }

    /// The redirect URI that the client presents. Default: none.
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.redirect_uri = Some(uri.into());
        self
    }

    /// The session id that the bridge declares. Default: none, the gateway makes one.
    pub fn session(mut self, session: SessionId) -> Self {
        self.session = Some(session);
        self
    }

    /// Whether the session gets a refresh token. Default: no.
    pub fn refresh(mut self, refresh: bool) -> Self {
        self.refresh = refresh;
        self
    }

    /// The one resource that the access token is for. Default: the one that the code is bound to, else the usual
    /// audiences.
    pub fn resource(mut self, resource: Audience) -> Self {
        self.resource = Some(resource);
        self
    }

    /// Where the bridge is. Default: unknown.
    pub fn origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }
}

/// Notes for the line of the refused request what exactly is wrong.
fn note_refusal(error: &RedeemError) {
    match error {
        RedeemError::Refused(GrantRefusal::Replayed { user, session, .. }) => {
            note_reason(
                "code_replayed",
                "the code was spent before: the session that its first use opened is ended",
            );
            note(|known| (known.user, known.session) = (Some(user.clone()), Some(session.clone())));
        }
        RedeemError::Refused(reason) => note_reason("code_refused", format!("the code is refused: {reason}")),
        RedeemError::SessionTaken => note_reason("session_id_taken", "the declared session id is taken"),
        RedeemError::WrongResource => note_reason("wrong_resource", "the code is bound to another resource"),
        RedeemError::TooManySessions | RedeemError::Store(_) => {}
    }
}

/// Tells the audit log why. The caller learns less.
fn refused(error: RedeemError, code: CodeHash, address: Option<IpAddr>) -> ExchangeError {
    note_refusal(&error);
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
