//! One external issuer that a bridge trusts.

use std::sync::Arc;
use std::time::Duration;

use super::identity_assertions::Assertions;
use super::jwks_fetch::{Keys, KeysUnavailable};
use super::people::PeopleMapper;
use super::session_mapping::ExternalSessions;
use crate::id::SessionId;
use crate::rejection::Rejection;
use crate::store::{StoreErrorKind, log_fault, within_deadline};
use crate::telemetry::Known;
use crate::token::{ExternalClaims, ExternalVerifier, InvalidToken};

#[derive(Debug)]
pub(crate) struct TrustedIssuer {
    pub(super) verifier: ExternalVerifier,
    pub(super) keys: Keys,
    pub(super) sessions: ExternalSessions,
    pub(super) people: Option<Arc<dyn PeopleMapper>>,
    pub(super) assertions: Assertions,
    pub(super) mapping_deadline: Duration,
}

impl TrustedIssuer {
    /// Whether its callers have sessions.
    pub(crate) fn is_mapped(&self) -> bool {
        matches!(self.sessions, ExternalSessions::Mapped(_))
    }

    /// What its tokens have as `iss`.
    pub(crate) fn name(&self) -> &str {
        &self.verifier.issuer
    }

    /// What is known of `token`, which was refused for `reason`. The gateway trusts the issuers `all`.
    pub(crate) fn explain(&self, token: &str, reason: InvalidToken, all: &[&str]) -> Known {
        self.verifier.explain(token, reason, all)
    }

    /// The session of a verified token. `None`: its caller has no session.
    pub(crate) async fn session(&self, claims: &ExternalClaims) -> Result<Option<SessionId>, StoreErrorKind> {
        let ExternalSessions::Mapped(mapper) = &self.sessions else { return Ok(None) };
        within_deadline(self.mapping_deadline, mapper.session(claims)).await.map_err(|fault| {
            log_fault(&fault, "an external token could not be mapped to a session");
            fault.kind()
        })
    }
}

impl From<KeysUnavailable> for Rejection {
    fn from(_: KeysUnavailable) -> Self {
        Self::IssuerUnavailable
    }
}
