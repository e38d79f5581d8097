//! Tickets: what a page of this gateway shows to a person, signed, until the person decides.
//!
//! A ticket comes back with the decision. So a page needs no session of its own, and another gateway may take the
//! decision. A ticket is a JWT with a type of its own: no token passes for a ticket, and no ticket for a token.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::algorithm::Scheme;
use super::compact::{Compact, TICKET_TYPE, json_object};
use super::{KeyError, KeyRing, numeric_date};
use crate::id::{UserId, random_hex};

/// What a ticket says beside what it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ticket<T> {
    iss: String,
    /// No API has this audience. So not even a server that looks at nothing else takes a ticket for a token.
    aud: String,
    sub: UserId,
    #[serde(deserialize_with = "numeric_date::down")]
    exp: u64,
    jti: String,
    /// What the person was shown.
    shown: T,
}

impl<T: Serialize + DeserializeOwned> Ticket<T> {
    /// How long a person may take to decide.
    pub(crate) const LIFE: Duration = Duration::from_secs(600);

    /// A ticket of `issuer` for `person`, made at `now`.
    pub(crate) fn new(issuer: &str, person: &UserId, now: Duration, shown: T) -> Self {
        Self {
            iss: issuer.to_owned(),
            aud: audience(issuer),
            sub: person.clone(),
            exp: now.saturating_add(Self::LIFE).as_secs(),
            jti: random_hex::<16>().to_string(),
            shown,
        }
    }

    /// Signs the ticket.
    ///
    /// # Errors
    ///
    /// [`KeyError::TokenTooLong`] when it holds too much. [`KeyError::Crypto`] when the cryptographic library fails.
    pub(crate) fn sign(&self, keys: &KeyRing) -> Result<String, KeyError> {
        let payload = serde_json::to_vec(self).map_err(|_| KeyError::Crypto)?;
        keys.sign_compact(TICKET_TYPE, &payload)
    }

    /// Reads a ticket that one of `keys` signed, when it is of `issuer`, for `person`, and good at `now`. `None` for any
    /// other text.
    pub(crate) fn open(
        text: &str,
        keys: &KeyRing,
        issuer: &str,
        person: &UserId,
        now: Duration,
    ) -> Option<Self> {
        let compact = Compact::parse(text).ok()?;
        let header = compact.ticket_header().ok()?;
        let key = keys.find(&header.kid)?;
        let is_signed = Scheme::from_name(&header.alg).is_some_and(|scheme| key.scheme() == scheme)
            && key.verifies(compact.signed, &compact.signature);
        let ticket: Self = json_object(&compact.payload).filter(|_| is_signed)?;
        let is_for_us = ticket.iss == issuer && ticket.aud == audience(issuer);
        let is_good = is_for_us && ticket.sub == *person && now.as_secs() < ticket.exp;
        is_good.then_some(ticket)
    }

    /// The id of the ticket. It is spent once.
    pub(crate) fn id(&self) -> &str {
        &self.jti
    }

    /// What the person was shown.
    pub(crate) fn into_shown(self) -> T {
        self.shown
    }
}

fn audience(issuer: &str) -> String {
    format!("{issuer}#ticket")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{Algorithm, SigningKey};
    use proptest::prelude::*;

    const ISSUER: &str = "https://gateway.example";
    const NOW: Duration = Duration::from_secs(1_800_000_000);

    fn ring() -> KeyRing {
        KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap()
    }

    fn alice() -> UserId {
        UserId::parse("alice").unwrap()
    }

    #[test]
    fn a_ticket_is_good_for_its_person_and_issuer_alone_and_for_ten_minutes() {
        let keys = ring();
        let ticket = Ticket::new(ISSUER, &alice(), NOW, "shown".to_owned());
        let text = ticket.sign(&keys).unwrap();
        let open = |issuer, person: &UserId, now| Ticket::<String>::open(&text, &keys, issuer, person, now);
        assert_eq!(open(ISSUER, &alice(), NOW), Some(ticket.clone()));
        let last = NOW + Duration::from_secs(599);
        assert!(open(ISSUER, &alice(), last).is_some());
        assert!(open(ISSUER, &alice(), last + Duration::from_secs(1)).is_none());
        assert!(open(ISSUER, &UserId::parse("bob").unwrap(), NOW).is_none());
        assert!(open("https://other.example", &alice(), NOW).is_none());
        assert!(Ticket::<String>::open(&text, &ring(), ISSUER, &alice(), NOW).is_none());
        assert!(Ticket::<u64>::open(&text, &keys, ISSUER, &alice(), NOW).is_none());
    }

    #[test]
    fn no_token_is_a_ticket_and_no_ticket_a_token() {
        let keys = ring();
        let text = Ticket::new(ISSUER, &alice(), NOW, ()).sign(&keys).unwrap();
        assert!(Compact::parse(&text).unwrap().header().is_err());
        let payload = serde_json::to_vec(&Ticket::new(ISSUER, &alice(), NOW, ())).unwrap();
        let token = keys.sign_compact(crate::token::compact::TYPE, &payload).unwrap();
        assert!(Ticket::<()>::open(&token, &keys, ISSUER, &alice(), NOW).is_none());
    }

    proptest! {
        #[test]
        fn a_changed_ticket_is_none(place in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let keys = ring();
            let text = Ticket::new(ISSUER, &alice(), NOW, ()).sign(&keys).unwrap();
            let mut changed = text.clone().into_bytes();
            changed[place.index(text.len())] = byte;
            if let Ok(changed) = String::from_utf8(changed) && changed != text {
                prop_assert!(Ticket::<()>::open(&changed, &keys, ISSUER, &alice(), NOW).is_none());
            }
        }
    }
}
