//! People, as the store sees them.

use crate::id::{Scopes, UserId};

/// What a host says of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KnownUser {
    /// Who it is.
    pub id: UserId,
    /// What their bridges may do.
    pub scopes: Scopes,
    /// What their hooks may ask for, within what the host lets any hook ask for; `None` is all of that.
    pub hook_scopes: Option<Scopes>,
}
