//! The acting party of a delegated token (RFC 8693 §4.1).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::optional_member::never_null;
use crate::id::{ClientId, InvalidId, UserId};

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
    #[serde(default, deserialize_with = "never_null")]
    iss: Option<String>,
    #[serde(default, rename = "act", deserialize_with = "never_null")]
    earlier: Option<Box<Actor>>,
    #[serde(flatten)]
    _others: Others,
}

/// The other members. With them the form is a JSON object: serde would take an array for a struct too.
#[derive(Deserialize)]
struct Others {}

impl Actor {
    /// The most actors of one token.
    pub const MAX_DEPTH: usize = 4;

    /// An actor that acts for the person itself: `subject`, as `issuer` names it. `issuer` is `None` for this gateway.
    ///
    /// # Errors
    ///
    /// [`InvalidId`]: each of the two has 1 to 255 visible characters.
    pub fn new(subject: impl Into<String>, issuer: Option<String>) -> Result<Self, InvalidId> {
        let actor = Self { sub: subject.into(), iss: issuer, earlier: None };
        actor.check_texts()?;
        Ok(actor)
    }

    /// The client of this gateway with the id `client`, as an actor.
    ///
    /// # Errors
    ///
    /// [`InvalidId`] for an id of more than 255 characters.
    pub fn client(client: &ClientId) -> Result<Self, InvalidId> {
        Self::new(client.as_str(), None)
    }

    /// The same actor, which acts for `earlier`. `None`: the chain would have more than [`MAX_DEPTH`](Self::MAX_DEPTH)
    /// actors.
    pub(crate) fn after(self, earlier: Option<Box<Self>>) -> Option<Self> {
        let actor = Self { earlier, ..self };
        (actor.depth() <= Self::MAX_DEPTH).then_some(actor)
    }

    /// The same chain, as `issuer` means it: whoever it names without `iss` is named by `issuer`.
    pub(crate) fn said_by(self, issuer: &str) -> Self {
        let earlier = self.earlier.map(|earlier| Box::new(earlier.said_by(issuer)));
        Self { iss: self.iss.or_else(|| Some(issuer.to_owned())), earlier, ..self }
    }

    /// Whether both name one party. `issuer` is this gateway. What acted earlier makes no difference.
    pub(crate) fn is_same_party(&self, other: &Self, issuer: &str) -> bool {
        self.sub == other.sub && self.issuer().unwrap_or(issuer) == other.issuer().unwrap_or(issuer)
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

    /// About how many bytes of memory the chain takes.
    pub(crate) fn weight(&self) -> usize {
        let texts = self.sub.len() + self.issuer().map_or(0, str::len);
        // Two texts and the box have an allocation each, of at most 16 bytes more than what is in it.
        size_of::<Self>() + 48 + texts + self.actor().map_or(0, Self::weight)
    }

    fn check_texts(&self) -> Result<(), InvalidId> {
        // The rule of user ids, which holds for client ids and issuers too.
        UserId::parse(&self.sub)?;
        self.iss.as_ref().map_or(Ok(()), |issuer| UserId::parse(issuer).map(drop))
    }
}

impl TryFrom<Wire> for Actor {
    type Error = &'static str;

    fn try_from(wire: Wire) -> Result<Self, Self::Error> {
        let actor = Self { sub: wire.sub, iss: wire.iss, earlier: wire.earlier };
        if actor.check_texts().is_err() {
            return Err("the subject and the issuer of an actor have 1 to 255 visible characters");
        }
        if actor.depth() > Self::MAX_DEPTH { Err("there are too many actors") } else { Ok(actor) }
    }
}

/// The chain from the newest actor to the first: `agent < planner`.
impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sub)?;
        if let Some(issuer) = &self.iss {
            write!(f, "@{issuer}")?;
        }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const US: &str = "https://us.example";

    fn actor(name: &str) -> Actor {
        Actor::new(name, None).unwrap()
    }

    /// The actors of these names, the newest first.
    fn chain(names: &[&str]) -> Option<Actor> {
        names
            .iter()
            .rev()
            .try_fold(None, |earlier, name| actor(name).after(earlier.map(Box::new)).map(Some))?
    }

    #[test]
    fn m6_the_newest_actor_is_outermost_and_a_fifth_has_no_place() {
        let four = chain(&["d", "c", "b", "a"]).unwrap();
        let written =
            json!({ "sub": "d", "act": { "sub": "c", "act": { "sub": "b", "act": { "sub": "a" } } } });
        assert_eq!(serde_json::to_value(&four).unwrap(), written);
        assert_eq!(serde_json::from_value::<Actor>(written.clone()).unwrap(), four);
        assert_eq!((four.depth(), four.to_string().as_str()), (4, "d < c < b < a"));
        assert!(chain(&["e", "d", "c", "b", "a"]).is_none());
        assert!(serde_json::from_value::<Actor>(json!({ "sub": "e", "act": written })).is_err());
    }

    #[test]
    fn an_actor_without_a_name_that_can_be_seen_is_refused() {
        for odd in [
            json!({}),
            json!({ "sub": "" }),
            json!({ "sub": 7 }),
            json!({ "sub": null }),
            json!({ "sub": "a b" }),
            json!({ "sub": "a\n" }),
            json!({ "sub": "a\u{202e}b" }),
            json!({ "sub": "a".repeat(256) }),
            json!({ "sub": "a", "iss": null }),
            json!({ "sub": "a", "iss": "" }),
            json!({ "sub": "a", "act": null }),
            json!({ "sub": "a", "act": {} }),
            json!({ "sub": "a", "act": "b" }),
            json!("a"),
            json!(["a"]),
        ] {
            assert!(serde_json::from_value::<Actor>(odd.clone()).is_err(), "{odd}");
        }
        assert!(serde_json::from_str::<Actor>(r#"{"sub":"a","sub":"b"}"#).is_err());
        assert!(Actor::new("", None).is_err() && Actor::new("a", Some("\u{200b}".to_owned())).is_err());
        let known = serde_json::from_value::<Actor>(json!({ "sub": "a", "client_id": "b" })).unwrap();
        assert_eq!(known, actor("a"));
    }

    #[test]
    fn a_party_is_its_subject_and_its_issuer() {
        let theirs = |name: &str| Actor::new(name, Some("https://them.example".to_owned())).unwrap();
        let named = Actor::new("a", Some(US.to_owned())).unwrap();
        assert!(actor("a").is_same_party(&named, US) && named.is_same_party(&actor("a"), US));
        assert!(chain(&["a", "b"]).unwrap().is_same_party(&actor("a"), US));
        assert!(!actor("a").is_same_party(&theirs("a"), US) && !actor("a").is_same_party(&actor("A"), US));
        let said = chain(&["a", "b"]).unwrap().said_by("https://them.example");
        assert_eq!(
            (said.issuer(), said.actor().and_then(Actor::issuer)),
            (theirs("b").issuer(), theirs("b").issuer())
        );
        assert_eq!(theirs("a").said_by(US), theirs("a"));
    }

    #[test]
    fn a_chain_weighs_as_much_as_its_actors_and_their_texts() {
        let one = actor("a").weight();
        assert!((size_of::<Actor>()..256).contains(&one), "{one}");
        assert_eq!(actor("abc").weight(), one + 2);
        assert_eq!(Actor::new("a", Some(US.to_owned())).unwrap().weight(), one + US.len());
        assert_eq!(chain(&["a", "b"]).unwrap().weight(), 2 * one);
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_again_and_is_never_too_deep(text in any::<String>(), depth in 1..9_usize) {
            let json = (1..depth).fold(json!({ "sub": text }), |act, _| json!({ "sub": "agent", "act": act }));
            if let Ok(actor) = serde_json::from_value::<Actor>(json.clone()) {
                prop_assert!(actor.depth() == depth && depth <= Actor::MAX_DEPTH);
                prop_assert_eq!(serde_json::to_value(&actor).unwrap(), json);
            }
        }
    }
}
