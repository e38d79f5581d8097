//! Refresh tokens, as the store sees them.
//!
//! A refresh token is good once. A session is the family of its refresh tokens (RFC 9700 §4.14.2): each token knows the one
//! that it was given for, and whether anything that it was answered with was ever used.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use super::{Origin, SessionStatus, StoreError};
use crate::id::{Audience, ClientId, RefreshHash, Scopes, SessionId, UserId};

/// A refresh token to use, and the one to answer with.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RefreshSession {
    /// The hash of the token that was presented.
    pub presented: RefreshHash,
    /// The hash of the token to answer with.
    pub successor: RefreshHash,
    /// The client that presents it, which must be the session's.
    pub client: ClientId,
    /// What the access token shall allow: `None` is all that the session does.
    pub scopes: Option<Scopes>,
    /// The resource that the access token is asked for, if one was named.
    pub resource: Option<Audience>,
    /// Where the client is.
    pub origin: Origin,
    /// How long the session lives from now, unless its absolute end is nearer.
    pub life: Duration,
    /// How long after its use a token may be used again beside it: by programs that share it and refresh at once.
    pub grace: Duration,
}

/// Why no session was refreshed. But for a reuse, nothing has changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RefreshSessionError {
    /// The token is not good.
    #[error("the refresh token is not good: {0}")]
    Refused(RefreshRefusal),
    /// A scope is asked for that the session does not have (RFC 6749 §6).
    #[error("the session does not have these scopes")]
    Scopes,
    /// The session is bound to another resource than the one that was asked for (RFC 8707 §2.2).
    #[error("the session is for another resource")]
    WrongResource,
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a refresh token is not good: for logs and audit alone, the caller is told nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefreshRefusal {
    /// No such token is stored.
    #[error("unknown")]
    Unknown,
    /// Two hold it: it was used before, and so was what it was answered with; or it was retired. Its session is now revoked.
    #[error("reused")]
    Reused {
        /// Whose session it is.
        user: UserId,
        /// The session that was revoked.
        session: SessionId,
        /// When the other one used it (of a retired token, the one it was given for), by the database's clock.
        used_at: SystemTime,
        /// From where, as far as it is known.
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

/// What is to say of a refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefreshStatus {
    /// Its session, judged now.
    pub session: SessionStatus,
    /// What the session allows.
    pub scopes: Scopes,
    /// Whether it is still good for its one use: never used, and not retired.
    pub is_unused: bool,
    /// When it was issued.
    pub issued_at: SystemTime,
}
