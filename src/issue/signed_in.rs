//! A person whom the host has signed in.

use crate::id::{InvalidText, Scopes, SessionId, TextOr, UserId};

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
    /// The person's name, as the pages show it. `None`: the pages show the user id.
    pub name: Option<String>,
    /// What operators also know the person by, such as an e-mail address. `None`: the label that is stored stays.
    pub label: Option<String>,
    /// The session that this browser itself belongs to, if it has one. The page of the person's devices marks it.
    pub session: Option<SessionId>,
}

impl SignedIn {
    /// A person whose bridge may do `scopes`.
    ///
    /// Their hooks may do everything that the host allows hooks.
    #[must_use]
    pub fn new(user_id: UserId, scopes: Scopes) -> Self {
        Self { user_id, scopes, hook_scopes: None, name: None, label: None, session: None }
    }

    /// The same from text, such as the id that the host's own login has for the person.
    ///
    /// ```
    /// use bridge_auth::{SignedIn, scopes};
    ///
    /// # fn signed_in(email: &str) -> Result<SignedIn, bridge_auth::id::InvalidText> {
    /// SignedIn::try_new(email, scopes!("models:call"))
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidText`] when the id is not a user id, or the text of the scopes is malformed.
    pub fn try_new(user_id: impl TextOr<UserId>, scopes: impl TextOr<Scopes>) -> Result<Self, InvalidText> {
        Ok(Self::new(user_id.parsed("the user id")?, scopes.parsed("the scopes of the person")?))
    }

    /// Narrows what the person's hooks may ask for, from their next token on.
    #[must_use]
    pub fn hook_scopes(mut self, scopes: Scopes) -> Self {
        self.hook_scopes = Some(scopes);
        self
    }

    /// The name that the pages show. Default: the user id.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// What operators also find the person by, such as an e-mail address: at most 255 characters are kept.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// The session that this browser itself belongs to: "this one" among the person's devices.
    #[must_use]
    pub fn session(mut self, session: SessionId) -> Self {
        self.session = Some(session);
        self
    }
}
