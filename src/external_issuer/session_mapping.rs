//! The session that an external token stands for.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::id::SessionId;
use crate::store::StoreError;
use crate::token::ExternalClaims;

/// Whether callers with external tokens have sessions of this gateway.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ExternalSessions {
    /// They have none. Each is an [`ExternalCaller`](super::ExternalCaller) until its token expires.
    None,
    /// The host maps each of them to a session. Each is a [`Caller`](crate::Caller) as long as that session is live.
    Mapped(Arc<dyn SessionMapper>),
}

/// Finds the session of this gateway for a caller with an external token.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not map external callers to sessions",
    label = "give the mapper itself: `ExternalSessions::mapped` puts it behind an `Arc`"
)]
#[async_trait]
pub trait SessionMapper: fmt::Debug + Send + Sync + 'static {
    /// The session for a verified token with these claims. `None` refuses the caller with 401, like any bad token.
    ///
    /// The row of the session then decides. The caller is the user and client of the row, and is refused when the
    /// session is no longer live. A session that was returned is remembered for the token, as long as the session is
    /// live. `None` is not remembered. So access ends when the session is revoked, or when the token expires.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the session cannot be found out: the request is refused with 503. The same happens when the
    /// answer takes longer than [`store_deadline`](crate::BridgeBuilder::store_deadline).
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when the request is dropped, and when it takes too long.
    async fn session(&self, claims: &ExternalClaims) -> Result<Option<SessionId>, StoreError>;
}

impl ExternalSessions {
    /// Sessions as `mapper` finds them.
    pub fn mapped(mapper: impl SessionMapper) -> Self {
        Self::Mapped(Arc::new(mapper))
    }
}
