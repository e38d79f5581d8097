//! Exchange codes: what the store takes and returns.

use std::time::{Duration, SystemTime};

use super::{NewSession, StoreError};
use crate::id::{AssertionHash, Audience, ClientId, CodeChallenge, CodeHash, Scopes, SessionId, UserId};

/// A code to store.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewCode {
    /// The SHA-256 of the code.
    pub hash: CodeHash,
    /// The person it is for.
    pub user: UserId,
    /// The only client that may redeem it.
    pub client: ClientId,
    /// The scopes that it passes on.
    pub scopes: Scopes,
    /// Where the code was sent (RFC 6749 §4.1.3), if it was sent through a browser.
    pub redirect_uri: Option<String>,
    /// The ticket of the person's consent, which is spent with the code, and how long it must be remembered.
    pub ticket: Option<(AssertionHash, Duration)>,
    /// The PKCE challenge that its redeemer must answer, if any.
    pub challenge: Option<CodeChallenge>,
    /// The one resource (RFC 8707) that the tokens of its session may be for; `None` allows every resource.
    pub resource: Option<Audience>,
    /// How long it lives.
    pub life: Duration,
    /// How many open codes the user may have, this one included; at least 1.
    pub max_open: u32,
}

/// Why a code was not issued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssueCodeError {
    /// The host has not made the user known with [`Store::put_user`](super::Store::put_user).
    #[error("the user is unknown: make the user known with Issuer::register_user or Store::put_user first")]
    UnknownUser,
    /// The user is disabled.
    #[error("the user is disabled")]
    UserDisabled,
    /// The user id is also the id of the client that the token would be for. No token could tell the two apart (RFC
    /// 9700 §4.15).
    #[error("the user id is reserved: a client has the same id")]
    ReservedUser,
    /// The bridge [requires PKCE](crate::BridgeBuilder::require_pkce), and the call had no challenge.
    #[error("a code challenge is required: send the S256 challenge of PKCE (BridgeBuilder::require_pkce)")]
    ChallengeRequired,
    /// The ticket was used before.
    #[error("the ticket was used before: ask the person again")]
    TicketUsed,
    /// This bridge issues no token for the resource.
    #[error("this bridge issues no token for this resource: ask for one of its audiences, or for none")]
    Resource,
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A code to spend, and the session that it opens.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RedeemCode {
    /// The SHA-256 of the code that was presented.
    pub hash: CodeHash,
    /// The challenge that the presented verifier answers, if one was presented.
    pub challenge: Option<CodeChallenge>,
    /// The redirect URI that was presented, if any.
    pub redirect_uri: Option<String>,
    /// The resource that the token is asked for, if the request named one.
    pub resource: Option<Audience>,
    /// The session to open or renew. Its client is the client that redeems.
    pub session: NewSession,
}

/// Why a code opened no session. The code stays as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedeemError {
    /// The code is not good.
    #[error("the code is not good: {0}")]
    Refused(GrantRefusal),
    /// The declared session id is revoked, expired, or of another user or client.
    #[error("the session id is taken")]
    SessionTaken,
    /// The code is bound to a resource other than the one that was asked for (RFC 8707 §2.2).
    #[error("the code is for another resource")]
    WrongResource,
    /// The user has as many live sessions as the limit allows.
    #[error("the user has too many sessions")]
    TooManySessions,
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a code is not good. Only logs and the audit see it; the caller does not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrantRefusal {
    /// No such code is stored.
    #[error("unknown")]
    Unknown,
    /// It is past its expiry, or was issued before the last revoke-all of its user.
    #[error("expired")]
    Expired,
    /// It was spent before. The session that its first use opened is now revoked.
    #[error("replayed")]
    Replayed {
        /// The user of the code.
        user: UserId,
        /// The session that its first use opened.
        session: SessionId,
        /// When it was first used, by the database's clock.
        first_used_at: SystemTime,
    },
    /// Its user is disabled.
    #[error("user disabled")]
    UserDisabled,
    /// The PKCE verifier is wrong, is missing, or was sent for a code without a challenge.
    #[error("wrong code verifier")]
    WrongVerifier,
    /// It was issued to another client.
    #[error("another client's")]
    WrongClient,
    /// It was sent to another redirect URI.
    #[error("wrong redirect URI")]
    WrongRedirect,
}
