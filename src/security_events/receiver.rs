//! From the text of a message to what is done.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use super::asked::{
    Asked, BACKCHANNEL_LOGOUT, GLOBAL_REVOCATION, SECURITY_EVENT, spend, spend_idle, spend_on_stranger,
    verified,
};
use super::decision::{Effect, LOGOUT, effect_of};
use super::refused::{Refused, RefusedMessage, malformed, no_access, no_audience_yet, refuse, refused_token};
use super::subject::Subject;
use super::{event_subject, stream_updated, verification};
use crate::external_issuer::{ExternalSubject, TrustedEvents, TrustedIssuer, TrustedIssuers};
use crate::issue::Admin;
use crate::store::{EventAction, EventOutcome, Revoke, SecurityEvent, StoreError};
use crate::telemetry::{audit, quoted, quoted_list};
use crate::token::{InvalidToken, Message, unverified_issuer};

/// Takes the messages of external issuers.
#[derive(Clone)]
pub(crate) struct Receiver {
    trusted: Option<Arc<TrustedIssuers>>,
    admin: Admin,
}

/// How a security event has come.
#[derive(Clone, Copy)]
pub(crate) enum Delivery<'d> {
    /// Its sender called this gateway, with these values of the header `Authorization`.
    Push(&'d [&'d [u8]]),
    /// This gateway asked this issuer for its events.
    #[cfg_attr(not(feature = "jwks-http"), allow(dead_code, reason = "nothing polls"))]
    Poll(&'d str),
}

/// What became of a message that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is done, and was not done before.
    Done,
    /// It was done before.
    DoneBefore,
    /// The host does not know whom it is about.
    Unmapped,
    /// The host knows whom it is about, and that person or session was never here. It is remembered as done.
    Unknown,
    /// It asks for nothing that is done here.
    Ignored,
}

/// How old a logout token or the JWT of a request may be. It is sent as soon as it is issued.
const PROMPT: Duration = Duration::from_secs(300);

impl Receiver {
    pub(crate) const fn new(trusted: Option<Arc<TrustedIssuers>>, admin: Admin) -> Self {
        Self { trusted, admin }
    }

    /// Whether security events of any issuer are taken.
    pub(crate) fn takes_events(&self) -> bool {
        self.any(|issuer| issuer.revocations.events.is_some())
    }

    /// Whether logout tokens of any issuer are taken.
    pub(crate) fn takes_logout_tokens(&self) -> bool {
        self.any(|issuer| issuer.revocations.logout_client.is_some())
    }

    /// The URL at which issuers ask for global revocations. `None`: none may.
    pub(crate) fn revocation_endpoint(&self) -> Option<&str> {
        let mut issuers = self.trusted.iter().flat_map(|trusted| trusted.iter());
        issuers.find_map(|issuer| Some(issuer.revocations.global.as_ref()?.endpoint.as_str()))
    }

    fn any(&self, takes: impl Fn(&TrustedIssuer) -> bool) -> bool {
        self.trusted.iter().flat_map(|trusted| trusted.iter()).any(|issuer| takes(issuer))
    }

    /// Takes a security event token (RFC 8417 §2.2). When this returns `Ok`, what it asks for is done.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves it done or not done, never half done.
    pub(crate) async fn security_event(
        &self,
        text: &str,
        delivery: Delivery<'_>,
    ) -> Result<Outcome, Refused> {
        let trusted = self.issuer(text)?;
        let taken = trusted.revocations.events.as_ref().ok_or_else(|| no_access(trusted))?;
        check_sender(trusted, taken, delivery)?;
        let message = verified(trusted, text, SECURITY_EVENT).await?;
        match trusted.is_for_gateway(&message, taken) {
            Some(true) => {}
            // Another gateway may have set the stream up anew. A sender that is told 400 does not come again (RFC 8935 §2.4).
            Some(false) if taken.audience.is_none() && matches!(delivery, Delivery::Push(_)) => {
                return Err(no_audience_yet());
            }
            Some(false) => return Err(refuse(RefusedMessage::Audience, "aud does not name this gateway")),
            None => return Err(no_audience_yet()),
        }
        let life = message.check(trusted.times(taken.max_age)).map_err(refused_token)?;
        let Message { events: Some(events), .. } = &message else {
            return Err(malformed("events is missing"));
        };
        if message.has_nonce || events.is_empty() || !events.values().all(|event| is_object(event)) {
            return Err(malformed("events is empty or no event, or there is a nonce"));
        }
        let sub_id = message.subject_id.as_deref().map(read_sub_id).transpose()?;
        let Some((effect, event)) = events.keys().filter_map(|name| effect_of(name)).max_by_key(|one| one.0)
        else {
            spend_idle(trusted)?;
            let who = sub_id.map(|subject| names(subject, trusted)).unwrap_or_default();
            if !verification::check(trusted, events, &who)? && !stream_updated::check(trusted, events, &who)?
            {
                let events = quoted_list(events.keys().map(String::as_str));
                audit!("security_event_ignored", issuer = trusted.name(), events);
            }
            return Ok(Outcome::Ignored);
        };
        // SSF 1.0 §4.1.2: a subject in two places could be two people.
        if message.subject.is_some() {
            return Err(malformed("the subject is in sub"));
        }
        let who = names(event_subject::subject_of(sub_id, events)?, trusted);
        let asked =
            Asked { trusted, protocol: SECURITY_EVENT, message: &message, life, effect, event, who: &who };
        self.apply(&asked).await
    }

    /// Takes the logout token `text` (OpenID Connect Back-Channel Logout 1.0 §2.6). When this returns `Ok`, the person
    /// is logged out.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves it done or not done, never half done.
    pub(crate) async fn logout_token(&self, text: &str) -> Result<Outcome, Refused> {
        let trusted = self.issuer(text)?;
        let client = trusted.revocations.logout_client.as_ref().ok_or_else(|| no_access(trusted))?;
        let message = verified(trusted, text, BACKCHANNEL_LOGOUT).await?;
        if !message.is_for(client.as_str()) {
            return Err(refuse(RefusedMessage::Audience, "aud is not the client id of this gateway"));
        }
        if message.expires_at.is_none() {
            return Err(malformed("exp is missing"));
        }
        let life = message.check(trusted.times(PROMPT)).map_err(refused_token)?;
        let is_logout =
            |message: &Message| message.events.as_ref()?.get(LOGOUT).map(|event| is_object(event));
        if message.has_nonce || is_logout(&message) != Some(true) {
            return Err(malformed("the logout event is missing, or there is a nonce"));
        }
        if message.subject.is_none() && message.session.is_none() {
            return Err(malformed("sub and sid are missing"));
        }
        let who = ExternalSubject {
            issuer: trusted.name().to_owned(),
            subject: message.subject.clone(),
            session: message.session.clone(),
            ..ExternalSubject::default()
        };
        let (protocol, effect) = (BACKCHANNEL_LOGOUT, Effect::EndSession);
        let who = &[who];
        let asked = Asked { trusted, protocol, message: &message, life, effect, event: "logout", who };
        self.apply(&asked).await
    }

    /// Who asks for a global revocation with the JWT `text` (draft-parecki-oauth-global-token-revocation §3.5).
    ///
    /// # Cancel safety
    ///
    /// It changes nothing.
    pub(crate) async fn revoker(&self, text: &str) -> Result<Revoker<'_>, Refused> {
        let trusted = self.issuer(text)?;
        let taken = trusted.revocations.global.as_ref().ok_or_else(|| no_access(trusted))?;
        let message = verified(trusted, text, GLOBAL_REVOCATION).await?;
        if !message.is_only_for(taken.endpoint.as_str()) {
            return Err(refuse(
                RefusedMessage::Audience,
                "aud is not the URL of the endpoint, and that alone",
            ));
        }
        let is_caller =
            message.subject.is_some() && taken.caller.iter().all(|one| Some(one) == message.subject.as_ref());
        if !is_caller || message.events.is_some() || message.has_nonce {
            return Err(malformed("sub is not the caller, or there are events or a nonce"));
        }
        let times = trusted.times(PROMPT * 2);
        let Some(expires_at) = message.expires_at.map(Duration::from_secs) else {
            return Err(malformed("exp is missing"));
        };
        if expires_at.saturating_sub(times.now) > times.max_age + times.leeway {
            return Err(refused_token(InvalidToken::TooLongLived));
        }
        let life = message.check(times).map_err(refused_token)?;
        Ok(Revoker { trusted, message, life })
    }

    /// Ends all that the person has whom `identifier` names (RFC 9493). The JWT of the request is good once.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves it done or not done, never half done.
    pub(crate) async fn revoke_globally(
        &self,
        revoker: &Revoker<'_>,
        identifier: &RawValue,
    ) -> Result<Outcome, Refused> {
        let Revoker { trusted, message, life } = revoker;
        let who = names(read_sub_id(identifier)?, trusted);
        let (protocol, effect, event) = (GLOBAL_REVOCATION, Effect::EndAll, "global-token-revocation");
        let asked = Asked { trusted, protocol, message, life: *life, effect, event, who: &who };
        let outcome = self.apply(&asked).await?;
        if outcome == Outcome::Unmapped {
            // Otherwise the JWT would be good for another person too.
            let spent = self.admin.spend_message(&asked.hash(), asked.life).await;
            return Ok(if spent.map_err(Refused::Unavailable)? { outcome } else { Outcome::DoneBefore });
        }
        Ok(outcome)
    }

    /// The issuer that the JWT `text` claims to be from. Nothing is proven by it.
    fn issuer(&self, text: &str) -> Result<&TrustedIssuer, Refused> {
        let Some(name) = unverified_issuer(text) else {
            return Err(malformed("it is no JWT with an issuer"));
        };
        let mut all = self.trusted.iter().flat_map(|trusted| trusted.iter());
        let found = all.find(|issuer| issuer.name() == name).map(|issuer| &**issuer);
        found.ok_or_else(|| {
            let detail = format!("iss is {}, which is not trusted", quoted(&name));
            Refused::Message(RefusedMessage::Issuer, detail)
        })
    }

    /// Whether `action` is about somebody who was ever here.
    async fn was_here(&self, action: &EventAction) -> Result<bool, StoreError> {
        Ok(match action {
            EventAction::Revoke(Revoke::User(user)) | EventAction::Disable(user) => {
                self.admin.user(user).await?.is_some()
            }
            EventAction::Revoke(Revoke::Session(session)) => self.admin.owner_of(session).await?.is_some(),
            EventAction::Revoke(_) => true,
        })
    }

    /// Does what was asked, and tells of it.
    async fn apply(&self, asked: &Asked<'_>) -> Result<Outcome, Refused> {
        let Asked { trusted, event, protocol, .. } = asked;
        let spent = spend(trusted)?;
        let (issuer, protocol) = (trusted.name(), protocol.name);
        let Some(action) = asked.action().await.map_err(Refused::Unavailable)? else {
            spend_idle(trusted)?;
            let subject = asked.who.iter().find_map(|who| who.subject.as_deref()).map(quoted);
            audit!("revocation_unmapped", issuer, protocol, caused_by = event, subject);
            return Ok(Outcome::Unmapped);
        };
        // Until it is done nobody knows of which limit it is. Beyond the one for strangers, only those are done who were here.
        let on_stranger = match spend_on_stranger(trusted) {
            Ok(spent) => Some(spent),
            Err(_) if self.was_here(&action).await.map_err(Refused::Unavailable)? => None,
            Err(too_many) => return Err(too_many),
        };
        let event_to_apply = SecurityEvent::new(asked.hash(), asked.life, action);
        let outcome = self.admin.apply_event(&event_to_apply).await;
        match (&outcome, on_stranger) {
            // Anybody may send a copy. The address has paid for it.
            (Ok(EventOutcome::DoneBefore), _) => {}
            // A flood about strangers must not use up what the issuer may say of people who are here.
            (Ok(EventOutcome::Done(None)), Some(on_stranger)) => on_stranger.keep(),
            _ => spent.keep(),
        }
        let outcome = outcome.map_err(Refused::Unavailable)?;
        Ok(tell(asked, &event_to_apply.action, outcome))
    }
}

/// Tells the auditor what became of `action`.
fn tell(asked: &Asked<'_>, action: &EventAction, outcome: EventOutcome) -> Outcome {
    let Asked { trusted, event, protocol, .. } = asked;
    let (issuer, protocol) = (trusted.name(), protocol.name);
    let (user, session) = match action {
        EventAction::Revoke(Revoke::User(user)) | EventAction::Disable(user) => (Some(user), None),
        EventAction::Revoke(Revoke::Session(session)) => (None, Some(session)),
        EventAction::Revoke(_) => (None, None),
    };
    let (user, session) = (user.map(tracing::field::display), session.map(tracing::field::display));
    match outcome {
        EventOutcome::DoneBefore => {
            audit!(
                "revocation_repeated",
                issuer,
                protocol,
                caused_by = event,
                user_id = user,
                session_id = session
            );
            Outcome::DoneBefore
        }
        EventOutcome::Done(sessions) => {
            let disabled = asked.effect == Effect::Disable;
            audit!(
                "revocation_received",
                issuer,
                protocol,
                caused_by = event,
                user_id = user,
                session_id = session,
                disabled,
                found = sessions.is_some(),
                sessions
            );
            if sessions.is_some() { Outcome::Done } else { Outcome::Unknown }
        }
    }
}

fn read_sub_id(identifier: &RawValue) -> Result<Subject, Refused> {
    Subject::read(identifier).map_err(|_| malformed("sub_id is not a subject identifier (RFC 9493)"))
}

/// Whom `subject` names, when `trusted` says it.
fn names(subject: Subject, trusted: &TrustedIssuer) -> Vec<ExternalSubject> {
    subject.names(trusted.name(), &trusted.revocations.speaks_for)
}

/// An issuer that may ask for global revocations, and the JWT that proves it.
pub(crate) struct Revoker<'r> {
    trusted: &'r TrustedIssuer,
    message: Message,
    life: Duration,
}

/// Refuses an event whose sender has not shown who they are, or which is of another issuer than that of its stream.
fn check_sender(
    trusted: &TrustedIssuer,
    taken: &TrustedEvents,
    delivery: Delivery<'_>,
) -> Result<(), Refused> {
    match delivery {
        Delivery::Push(shown) if !taken.admits(shown.iter().copied()) => {
            Err(refuse(RefusedMessage::Authentication, "the header Authorization is missing or wrong"))
        }
        Delivery::Poll(issuer) if issuer != trusted.name() => {
            let detail = format!("the stream is of {}, iss is {}", quoted(issuer), quoted(trusted.name()));
            Err(Refused::Message(RefusedMessage::Issuer, detail))
        }
        _ => Ok(()),
    }
}

fn is_object(json: &RawValue) -> bool {
    json.get().starts_with('{')
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}
