//! What a token of another issuer means here.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::id::SessionId;
use crate::store::StoreError;
use crate::token::ExternalClaims;

/// Whether callers with tokens of another issuer have sessions of this gateway.
#[derive(Debug, Clone)]
pub enum ExternalSessions {
    /// They have none: each is a [`ExternalCaller`](super::ExternalCaller) until its token expires.
    None,
    /// The host maps each to one: each is a [`Caller`](crate::Caller) as long as that session is live.
    Mapped(Arc<dyn SessionMapper>),
}

/// Finds the session of this gateway that the caller with a token of another issuer belongs to.
#[async_trait]
pub trait SessionMapper: fmt::Debug + Send + Sync + 'static {
    /// The session for a verified token of these claims; `None` refuses the caller as with any bad token (401).
    ///
    /// The session's row then decides: the caller is its user and client, and is refused once it is not live. What was
    /// answered is remembered for the token as long as the session is live; `None` is not. So access ends by revoking
    /// the session, or with the token.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it cannot be told: the request is refused with 503. So it is when the answer takes longer
    /// than [`store_deadline`](crate::BridgeBuilder::store_deadline).
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when the request is, or takes too long.
    async fn session(&self, claims: &ExternalClaims) -> Result<Option<SessionId>, StoreError>;
}

impl ExternalSessions {
    /// Sessions as `mapper` finds them.
    pub fn mapped(mapper: impl SessionMapper) -> Self {
        Self::Mapped(Arc::new(mapper))
    }
}
