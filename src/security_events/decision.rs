//! What a message does here, by the types of its events: the one decision about all of them.

use crate::id::{SessionId, UserId};
use crate::store::{EventAction, Revoke};

/// The type of the only event of a logout token (OpenID Connect Back-Channel Logout 1.0 §2.4).
pub(super) const LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// The event with which a transmitter shows that its stream works (SSF 1.0 §8.1.4).
pub(super) const VERIFICATION: &str = "https://schemas.openid.net/secevent/ssf/event-type/verification";
/// The event with which a transmitter says that it has paused, disabled or enabled a stream (SSF 1.0 §8.1.5).
pub(super) const STREAM_UPDATED: &str = "https://schemas.openid.net/secevent/ssf/event-type/stream-updated";

/// What is done to the person. Of several events of one message, the one that does most counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Effect {
    /// One session ends, where the host knows which. Otherwise all end.
    EndSession,
    /// All sessions end.
    EndAll,
    /// The person is disabled, and all sessions end.
    Disable,
}

/// What an event of this type does, and its short name. `None`: nothing.
pub(super) fn effect_of(event_type: &str) -> Option<(Effect, &'static str)> {
    Some(match event_type {
        "https://schemas.openid.net/secevent/caep/event-type/session-revoked" => {
            (Effect::EndSession, "session-revoked")
        }
        "https://schemas.openid.net/secevent/caep/event-type/credential-change" => {
            (Effect::EndAll, "credential-change")
        }
        "https://schemas.openid.net/secevent/caep/event-type/token-claims-change" => {
            (Effect::EndAll, "token-claims-change")
        }
        "https://schemas.openid.net/secevent/risc/event-type/account-disabled" => {
            (Effect::Disable, "account-disabled")
        }
        "https://schemas.openid.net/secevent/risc/event-type/account-purged" => {
            (Effect::Disable, "account-purged")
        }
        _ => return None,
    })
}

/// What is done, when this is whom the host knows. `None`: the host knows nobody.
pub(super) fn action(
    effect: Effect,
    person: Option<UserId>,
    session: Option<SessionId>,
) -> Option<EventAction> {
    match (effect, session, person) {
        (Effect::EndSession, Some(session), _) => Some(EventAction::Revoke(Revoke::Session(session))),
        (Effect::Disable, _, person) => person.map(EventAction::Disable),
        (_, _, person) => person.map(|person| EventAction::Revoke(Revoke::User(person))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m9_each_event_does_what_its_name_says() {
        let (alice, session) = (UserId::parse("alice").unwrap(), SessionId::random());
        let both = |effect| action(effect, Some(alice.clone()), Some(session.clone()));
        let all = Some(EventAction::Revoke(Revoke::User(alice.clone())));
        let disable = Some(EventAction::Disable(alice.clone()));
        for (event, expected) in [
            ("caep/event-type/session-revoked", Some(EventAction::Revoke(Revoke::Session(session.clone())))),
            ("caep/event-type/credential-change", all.clone()),
            ("caep/event-type/token-claims-change", all.clone()),
            ("risc/event-type/account-disabled", disable.clone()),
            ("risc/event-type/account-purged", disable),
            ("caep/event-type/device-compliance-change", None),
            ("risc/event-type/account-enabled", None),
            ("ssf/event-type/verification", None),
            ("caep/event-type/Session-Revoked", None),
        ] {
            let done = effect_of(&format!("https://schemas.openid.net/secevent/{event}"));
            assert_eq!(done.and_then(|(effect, _)| both(effect)), expected, "{event}");
        }
        assert_eq!(action(Effect::EndSession, Some(alice), None), all);
        assert_eq!(action(Effect::EndAll, None, Some(session)), None, "one session is not enough");
    }

    #[test]
    fn of_several_events_the_one_that_does_most_counts() {
        assert!(Effect::Disable > Effect::EndAll && Effect::EndAll > Effect::EndSession);
    }
}
