//! Refresh tokens, as the store sees them.
//!
//! A session is the family of its refresh tokens (RFC 9700 §4.14.2): each use makes the next generation, and the row of the
//! session says which generation is the newest.

use std::time::{Duration, SystemTime};

use super::{Origin, SessionStatus, StoreError};
use crate::id::{ClientId, RefreshHash, Scopes, SessionId, UserId};

/// A refresh token to use, and the one that takes its place.
#[derive(Debug, Clone)]
pub struct RefreshSession {
    /// The hash of the token that was presented.
    pub presented: RefreshHash,
    /// The hash of the token that takes its place.
    pub successor: RefreshHash,
    /// The client that presents it, which must be the session's.
    pub client: ClientId,
    /// What the access token shall allow: `None` is all that the session does.
    pub scopes: Option<Scopes>,
    /// Where the client is.
    pub origin: Origin,
    /// How long the session lives from now, unless its absolute end is nearer.
    pub life: Duration,
    /// How long after it was used a token may be used again: for answers that were lost, and for refreshes side by side.
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
    /// It is of a generation that was replaced; its session is now revoked.
    #[error("reused")]
    Reused {
        /// Whose session it is.
        user: UserId,
        /// The session that was revoked.
        session: SessionId,
        /// When the newest generation was made, by the database's clock.
        rotated_at: SystemTime,
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
pub struct RefreshStatus {
    /// Its session, judged now.
    pub session: SessionStatus,
    /// What the session allows.
    pub scopes: Scopes,
    /// Whether it is of the newest generation: one that was used is not.
    pub is_newest: bool,
    /// When it was issued.
    pub issued_at: SystemTime,
}
