//! Refresh tokens: what the store takes and returns.
//!
//! A refresh token is good for one use. A session is the family of its refresh tokens (RFC 9700 §4.14.2). Each token
//! knows the token that it was given for, and whether any of its successors was ever used.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use super::{Origin, SessionStatus, StoreError};
use crate::id::{Audience, ClientId, RefreshHash, Scopes, SessionId, UserId};

/// A refresh token to use, and its successor.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RefreshSession {
    /// The hash of the token that was presented.
    pub presented: RefreshHash,
    /// The hash of the successor, which is the answer.
    pub successor: RefreshHash,
    /// The client that presents it. It must be the client of the session.
    pub client: ClientId,
    /// What the access token allows; `None` is all that the session allows.
    pub scopes: Option<Scopes>,
    /// The resource that the access token is asked for, if the request named one.
    pub resource: Option<Audience>,
    /// Where the client is.
    pub origin: Origin,
    /// How long the session lives from now, unless its absolute end is nearer.
    pub life: Duration,
    /// How long after its first use a token may be used again. Programs that share a token may refresh at the same
    /// time.
    pub grace: Duration,
}

/// Why no session was refreshed. Nothing has changed, except after a reuse.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RefreshSessionError {
    /// The token is not good.
    #[error("the refresh token is not good: {0}")]
    Refused(RefreshRefusal),
    /// The request asks for a scope that the session does not have (RFC 6749 §6).
    #[error("the session does not have these scopes")]
    Scopes,
    /// The session is bound to a resource other than the one that was asked for (RFC 8707 §2.2).
    #[error("the session is for another resource")]
    WrongResource,
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a refresh token is not good. Only logs and the audit see it; the caller does not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefreshRefusal {
    /// No such token is stored.
    #[error("unknown")]
    Unknown,
    /// Two parties hold it: it was used before, and so was one of its successors; or it was retired. Its session is now
    /// revoked.
    #[error("reused")]
    Reused {
        /// The user of the session.
        user: UserId,
        /// The session that was revoked.
        session: SessionId,
        /// When the other party used it, by the database's clock. For a retired token that was never used: when the
        /// token that it was given for was used.
        used_at: SystemTime,
        /// The address that this use came from, if it is known.
        used_from: Option<IpAddr>,
    },
    /// Its session was revoked or has expired.
    #[error("session ended")]
    SessionEnded,
    /// It was given to another client.
    #[error("wrong client")]
    WrongClient,
    /// Its user is disabled.
    #[error("user disabled")]
    UserDisabled,
}

/// The state of a refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefreshStatus {
    /// The scopes of the session.
    pub session: SessionStatus,
    /// What the session allows.
    pub scopes: Scopes,
    /// Whether it is still good for its first use: it was never used, and is not retired.
    pub is_unused: bool,
    /// When it was issued.
    pub issued_at: SystemTime,
}
