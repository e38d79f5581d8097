//! The acting party of a delegated token (RFC 8693 §4.1).

use std::fmt;

use serde::{Deserialize, Serialize};

/// Who acts for the person: the claim `act` of a delegated token (RFC 8693 §4.1).
///
/// The newest actor is the outermost one. [`actor`](Self::actor) is the one that acted before it. Only the outermost
/// actor acts now; those within say how the token came about, and nothing should be decided by them.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Wire")]
pub struct Actor {
    sub: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
    #[serde(rename = "act", skip_serializing_if = "Option::is_none")]
    earlier: Option<Box<Actor>>,
}

/// The JSON form. Members with other names are not identity, and are ignored.
#[derive(Deserialize)]
struct Wire {
    sub: String,
    #[serde(default, deserialize_with = "super::never_null")]
    iss: Option<String>,
    #[serde(default, rename = "act", deserialize_with = "super::never_null")]
    earlier: Option<Box<Actor>>,
}

impl Actor {
    /// The most actors of one token.
    pub const MAX_DEPTH: usize = 4;

    /// An actor that acts for the person itself. `None`: the subject or issuer is empty, longer than 255 bytes, or has a control character.
    #[must_use]
    pub fn new(subject: impl Into<String>, issuer: Option<String>) -> Option<Self> {
        let actor = Self { sub: subject.into(), iss: issuer, earlier: None };
        actor.is_plain().then_some(actor)
    }

    /// The same actor, which acts for `earlier`. `None`: the chain would have more than [`MAX_DEPTH`](Self::MAX_DEPTH) actors.
    pub(crate) fn after(self, earlier: Option<Box<Self>>) -> Option<Self> {
        let actor = Self { earlier, ..self };
        (actor.depth() <= Self::MAX_DEPTH).then_some(actor)
    }

    /// Who acts, as its issuer names it: `sub`. For a client of this gateway, the client id.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.sub
    }

    /// Who says so: `iss`. `None`: this gateway.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.iss.as_deref()
    }

    /// The actor that acted before this one.
    #[must_use]
    pub fn actor(&self) -> Option<&Self> {
        self.earlier.as_deref()
    }

    /// How many actors the chain has: 1 to [`MAX_DEPTH`](Self::MAX_DEPTH).
    #[must_use]
    pub fn depth(&self) -> usize {
        std::iter::successors(Some(self), |actor| actor.actor()).count()
    }

    fn is_plain(&self) -> bool {
        let is_plain = |text: &str| matches!(text.len(), 1..=255) && !text.chars().any(char::is_control);
        is_plain(&self.sub) && self.iss.as_deref().is_none_or(is_plain)
    }
}

impl TryFrom<Wire> for Actor {
    type Error = &'static str;

    fn try_from(wire: Wire) -> Result<Self, Self::Error> {
        let actor = Self { sub: wire.sub, iss: wire.iss, earlier: wire.earlier };
        if !actor.is_plain() {
            return Err("an actor has a subject of 1 to 255 bytes without control characters");
        }
        if actor.depth() > Self::MAX_DEPTH { Err("there are too many actors") } else { Ok(actor) }
    }
}

/// The chain from the newest actor to the first: `agent < planner`.
impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sub)?;
        match &self.earlier {
            Some(earlier) => write!(f, " < {earlier}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Actor({self})")
    }
}
