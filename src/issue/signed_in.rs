//! A person whom the host has signed in.

use crate::id::{Scopes, UserId};

/// A person whom the host's own login has signed in.
///
/// The host puts it into the extensions of a request for `POST /code`. The endpoint trusts nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignedIn {
    /// The id of the person.
    pub user_id: UserId,
    /// What the bridge of this person may do.
    pub scopes: Scopes,
    /// What the hooks of this person may ask for, within
    /// [`BridgeBuilder::hook_scopes`](crate::BridgeBuilder::hook_scopes).
    ///
    /// `None`: all of `BridgeBuilder::hook_scopes`.
    pub hook_scopes: Option<Scopes>,
}

impl SignedIn {
    /// A person whose bridge may do `scopes`.
    ///
    /// Their hooks may do everything that the host allows hooks.
    #[must_use]
    pub fn new(user_id: UserId, scopes: Scopes) -> Self {
        Self { user_id, scopes, hook_scopes: None }
    }

    /// Narrows what the person's hooks may ask for, from their next token on.
    #[must_use]
    pub fn hook_scopes(mut self, scopes: Scopes) -> Self {
        self.hook_scopes = Some(scopes);
        self
    }
}
