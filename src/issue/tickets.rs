//! Tickets of the pages: made when a person is asked, and spent when they decide.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::issuer::Issuer;
use crate::clock::Clock;
use crate::id::{AssertionHash, UserId};
use crate::store::{StoreError, within_deadline};
use crate::token::{KeyError, Ticket};

impl Issuer {
    /// A ticket of what `person` is shown.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when it holds too much, or cannot be signed.
    pub(crate) fn ticket<T>(&self, person: &UserId, shown: T) -> Result<String, KeyError>
    where
        T: Serialize + DeserializeOwned,
    {
        Ticket::new(&self.settings.issuer, person, self.clock.now(), shown).sign(&self.keys)
    }

    /// What `person` was shown. `None`: the ticket is another person's, has expired, or is not of this issuer.
    pub(crate) fn read_ticket<T>(&self, text: &str, person: &UserId) -> Option<ReadTicket<T>>
    where
        T: Serialize + DeserializeOwned,
    {
        let ticket = Ticket::open(text, &self.keys, &self.settings.issuer, person, self.clock.now())?;
        Some(ReadTicket { hash: AssertionHash::of_ticket(ticket.id()), shown: ticket.into_shown() })
    }

    /// Spends a ticket. `false` when it was spent before.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer. It is not known whether the ticket is spent.
    pub(crate) async fn spend_ticket(&self, ticket: &AssertionHash) -> Result<bool, StoreError> {
        let spent = self.store.spend_assertion(ticket, SPENT_FOR);
        within_deadline(self.settings.deadlines.write, spent).await
    }
}

/// A good ticket.
pub(crate) struct ReadTicket<T> {
    pub(crate) hash: AssertionHash,
    pub(crate) shown: T,
}

/// How long a spent ticket is remembered: as long as it is good, also by the clock of another gateway.
pub(crate) const SPENT_FOR: std::time::Duration =
    Ticket::<()>::LIFE.saturating_add(std::time::Duration::from_secs(120));
