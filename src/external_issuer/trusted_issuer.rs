//! One external issuer that a bridge trusts.

use std::sync::Arc;
use std::time::Duration;

use super::identity_assertions::Assertions;
use super::jwks_fetch::{Keys, KeysUnavailable};
use super::people::{ExternalSubject, PeopleMapper};
use super::revocation_settings::{Revocations, TrustedEvents};
use super::session_mapping::ExternalSessions;
use crate::clock::Clock;
#[cfg(feature = "jwks-http")]
use crate::event_stream::{Announced, VerificationStates};
use crate::id::{SessionId, UserId};
use crate::rejection::Rejection;
use crate::store::{StoreError, StoreErrorKind, log_fault, within_deadline};
use crate::telemetry::Known;
use crate::token::{ExternalClaims, ExternalVerifier, InvalidToken, Message, Times};

#[derive(Debug)]
pub(crate) struct TrustedIssuer {
    pub(super) verifier: ExternalVerifier,
    pub(super) keys: Keys,
    pub(super) sessions: ExternalSessions,
    pub(super) people: Option<Arc<dyn PeopleMapper>>,
    pub(crate) revocations: Revocations,
    pub(super) assertions: Assertions,
    pub(super) mapping_deadline: Duration,
    /// The states that gateways send to it to have a stream verified.
    #[cfg(feature = "jwks-http")]
    pub(crate) verification: Arc<VerificationStates>,
    /// What it says about its stream.
    #[cfg(feature = "jwks-http")]
    pub(crate) announced: Arc<Announced>,
}

/// Why what an issuer is said to have signed is not verified.
#[derive(Debug)]
pub(crate) enum Unverified {
    /// It is not good.
    Token(InvalidToken),
    /// It is not known now which keys the issuer has.
    KeysUnavailable,
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

impl TrustedIssuer {
    /// The message that the JWT `text` is, if the issuer has signed it and its type is one of `types`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub(crate) async fn message(&self, text: &str, types: &[&str]) -> Result<Message, Unverified> {
        let parsed = self.verifier.parse_as(text, types)?;
        let found = self.keys.find(&parsed.key_id).await?;
        let (key, _) = found.ok_or(InvalidToken::UnknownKey)?;
        Ok(Message::read(&parsed.signed_by(&key)?, self.name())?)
    }

    /// Whether a verification event for `stream` may have this `state` (SSF 1.0 §8.1.4.2): a gateway has sent it, or the
    /// event answers no request. When no gateway asks for a stream, people do, and any state may be theirs.
    #[cfg_attr(not(feature = "jwks-http"), allow(unused_variables, reason = "nothing asks for a stream"))]
    pub(crate) fn expects(&self, stream: Option<&str>, state: Option<&str>) -> bool {
        #[cfg(feature = "jwks-http")]
        if let (Some(_), Some(state)) =
            (self.revocations.events.as_ref().and_then(|events| events.stream.as_ref()), state)
        {
            return stream.is_some_and(|stream| self.verification.is_expected(stream, state));
        }
        true
    }

    /// Whether its event `message` is for this gateway, which takes `events`. `None`: it is not known yet, because the issuer
    /// assigns the audience with the stream, and the stream is not set up.
    pub(crate) fn is_for_gateway(&self, message: &Message, events: &TrustedEvents) -> Option<bool> {
        match &events.audience {
            Some(audience) => Some(message.is_for(audience.as_str())),
            #[cfg(feature = "jwks-http")]
            None => self.announced.is_audience(|audience| message.is_for(audience)),
            #[cfg(not(feature = "jwks-http"))]
            None => Some(false),
        }
    }

    /// By which times its messages are judged, which are good until `max_age` after they were issued.
    pub(crate) fn times(&self, max_age: Duration) -> Times {
        Times { now: self.verifier.clock.now(), leeway: self.verifier.leeway, max_age }
    }

    /// The person of this gateway whom it names. `None`: the host does not know them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops that of the host's mapper.
    pub(crate) async fn person(&self, who: &ExternalSubject) -> Result<Option<UserId>, StoreError> {
        let Some(people) = &self.people else { return Ok(None) };
        within_deadline(self.mapping_deadline, people.person(who)).await
    }

    /// The session of this gateway that its session stands for. `None`: the host does not know it.
    ///
    /// # Cancel safety
    ///
    /// The same as for [`person`](Self::person).
    pub(crate) async fn mapped_session(
        &self,
        who: &ExternalSubject,
    ) -> Result<Option<SessionId>, StoreError> {
        let Some(people) = self.people.as_ref().filter(|_| who.session.is_some()) else { return Ok(None) };
        within_deadline(self.mapping_deadline, people.session(who)).await
    }
}

impl From<InvalidToken> for Unverified {
    fn from(reason: InvalidToken) -> Self {
        Self::Token(reason)
    }
}

impl From<KeysUnavailable> for Unverified {
    fn from(_: KeysUnavailable) -> Self {
        Self::KeysUnavailable
    }
}

impl From<KeysUnavailable> for Rejection {
    fn from(_: KeysUnavailable) -> Self {
        Self::IssuerUnavailable
    }
}
