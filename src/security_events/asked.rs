//! A verified message, and what it asks for.

use std::time::Duration;

use super::decision::{Effect, action};
use super::refused::{Refused, refused_token};
use crate::external_issuer::{ExternalSubject, TrustedIssuer, Unverified};
use crate::id::AssertionHash;
use crate::rate_limit::OneLimit;
use crate::store::{EventAction, StoreError};
use crate::telemetry::note;
use crate::token::Message;

/// The protocol of a message, which names it in the log and keeps its `jti` apart.
#[derive(Clone, Copy)]
pub(super) struct Protocol {
    pub(super) name: &'static str,
    pub(super) types: [&'static str; 2],
}

pub(super) const SECURITY_EVENT: Protocol =
    Protocol { name: "security_event", types: ["secevent+jwt", "application/secevent+jwt"] };
pub(super) const GLOBAL_REVOCATION: Protocol = Protocol {
    name: "global_token_revocation",
    types: ["global-token-revocation+jwt", "application/global-token-revocation+jwt"],
};
pub(super) const BACKCHANNEL_LOGOUT: Protocol =
    Protocol { name: "backchannel_logout", types: ["logout+jwt", "application/logout+jwt"] };

/// A verified message, and what it asks for.
pub(super) struct Asked<'a> {
    pub(super) trusted: &'a TrustedIssuer,
    pub(super) protocol: Protocol,
    pub(super) message: &'a Message,
    /// How long it must be remembered.
    pub(super) life: Duration,
    pub(super) effect: Effect,
    /// The name of the event.
    pub(super) event: &'static str,
    /// One person, by each of their names.
    pub(super) who: &'a [ExternalSubject],
}

impl Asked<'_> {
    pub(super) fn hash(&self) -> AssertionHash {
        AssertionHash::of_message(self.protocol.name, self.trusted.name(), &self.message.id)
    }

    /// What is done about the person. `None`: the host does not know them.
    pub(super) async fn action(&self) -> Result<Option<EventAction>, StoreError> {
        let mut session = None;
        if self.effect == Effect::EndSession {
            for who in self.who {
                session = self.trusted.mapped_session(who).await?;
                if session.is_some() {
                    break;
                }
            }
        }
        let mut person = None;
        for who in self.who.iter().filter(|_| session.is_none()) {
            // What a workload has is the business of its own issuer.
            person = self.trusted.person(who).await?.filter(|person| !person.is_for_workload());
            if person.is_some() {
                break;
            }
        }
        Ok(action(self.effect, person, session))
    }
}

/// The message that `trusted` has signed.
pub(super) async fn verified(
    trusted: &TrustedIssuer,
    text: &str,
    protocol: Protocol,
) -> Result<Message, Refused> {
    let message = trusted.message(text, &protocol.types).await.map_err(|unverified| match unverified {
        Unverified::Token(reason) => refused_token(reason),
        Unverified::KeysUnavailable => Refused::KeysUnavailable(trusted.name().to_owned()),
    })?;
    note(|known| known.issuer = Some(trusted.name().to_owned()));
    Ok(message)
}

/// Takes one of the messages of `trusted` that end nothing.
pub(super) fn spend_idle(trusted: &TrustedIssuer) -> Result<(), Refused> {
    spend_of(trusted, &trusted.revocations.idle_limit)
}

/// An attempt that was taken of a limit. It is given back, also when the request is dropped, unless it is [kept](Self::keep).
pub(super) struct Spent<'l>(Option<&'l OneLimit>);

impl Spent<'_> {
    /// The attempt counts.
    pub(super) fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Spent<'_> {
    fn drop(&mut self) {
        if let Some(limit) = self.0 {
            limit.give_back();
        }
    }
}

/// Takes one of the revocations that `trusted` may send.
pub(super) fn spend(trusted: &TrustedIssuer) -> Result<Spent<'_>, Refused> {
    let limit = &trusted.revocations.limit;
    spend_of(trusted, limit).map(|()| Spent(Some(limit)))
}

/// Takes one of those about people who are not here.
pub(super) fn spend_on_stranger(trusted: &TrustedIssuer) -> Result<Spent<'_>, Refused> {
    let limit = &trusted.revocations.stranger_limit;
    spend_of(trusted, limit).map(|()| Spent(Some(limit)))
}

fn spend_of(trusted: &TrustedIssuer, limit: &OneLimit) -> Result<(), Refused> {
    limit.spend().map_err(|wait| Refused::TooMany(trusted.name().to_owned(), wait))
}
