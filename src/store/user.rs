//! People: what the store takes and returns.

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
    /// What operators also know the person by, such as an e-mail address. `None` keeps the label that is stored, and an
    /// empty text removes it. Characters that are not shown are dropped, as from [`Origin::user_agent`]. What is longer
    /// than 256 characters is cut.
    ///
    /// [`Origin::user_agent`]: super::Origin::user_agent
    pub label: Option<String>,
}

/// Which people to list.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserQuery {
    /// The beginning of the id (byte for byte), or of the label (letter case does not matter). An empty text finds
    /// everyone. No character is special.
    ///
    /// Of the people whose label begins with the text, the first thousand are found, in the order of their labels. When
    /// there are more, a longer text finds the others.
    pub text: String,
    /// Only people whose id comes after this one, byte for byte.
    pub after: Option<UserId>,
    /// The most people in the answer, at least 1.
    pub limit: u32,
}

/// A person, as operators see them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserRecord {
    /// The user id.
    pub id: UserId,
    /// The label that the host gave, if any.
    pub label: Option<String>,
    /// Whether the person is disabled.
    pub disabled: bool,
}

/// Some of the people, in the order of their ids, byte for byte.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserPage {
    /// The people.
    pub users: Vec<UserRecord>,
    /// Where the next page begins; `None` on the last page.
    pub next: Option<UserId>,
}

impl UserQuery {
    /// The first hundred people whose id or label begins with `text`.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), after: None, limit: 100 }
    }

    /// Only people after this one. Default: from the first.
    #[must_use]
    pub fn after(mut self, user: UserId) -> Self {
        self.after = Some(user);
        self
    }

    /// The most people in the answer. Default: 100.
    #[must_use]
    pub const fn limit(mut self, people: u32) -> Self {
        self.limit = people;
        self
    }
}

impl UserRecord {
    /// A person who is enabled and has no label.
    #[must_use]
    pub const fn new(id: UserId) -> Self {
        Self { id, label: None, disabled: false }
    }

    /// The label. Default: none.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Whether the person is disabled. Default: no.
    #[must_use]
    pub const fn disabled(mut self, disabled: bool) -> Self {
        self.disabled = disabled;
        self
    }
}

impl UserPage {
    /// These people, and where the next page begins.
    #[must_use]
    pub const fn new(users: Vec<UserRecord>, next: Option<UserId>) -> Self {
        Self { users, next }
    }
}
