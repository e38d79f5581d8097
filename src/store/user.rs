//! People: what the store takes.

use crate::id::{Scopes, UserId};

/// What a host says about a person.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KnownUser {
    /// The user id of the person.
    pub id: UserId,
    /// What the person's bridges may do.
    pub scopes: Scopes,
    /// What the person's hooks may ask for, within what the host lets any hook ask for; `None` is all of that.
    pub hook_scopes: Option<Scopes>,
}
