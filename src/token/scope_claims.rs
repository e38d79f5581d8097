//! The claims that hold the scopes of an external issuer's token.

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Where an issuer writes the scopes of its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ScopeClaims {
    /// In `scope`, a text (RFC 9068 §2.2.3).
    Standard,
    /// In these claims. Each is a text or a list of texts.
    Named(Vec<String>),
}

impl ScopeClaims {
    /// Claims that say something else.
    const OTHERS: [&str; 14] = [
        "iss",
        "sub",
        "aud",
        "exp",
        "iat",
        "nbf",
        "jti",
        "client_id",
        "auth_time",
        "nonce",
        "at_hash",
        "c_hash",
        "events",
        "cnf",
    ];

    /// Whether a claim of this name may hold scopes.
    pub(crate) fn may_be(name: &str) -> bool {
        matches!(name.len(), 1..=255) && !Self::OTHERS.contains(&name)
    }

    /// Whether the claim holds scopes, and may then be a list.
    fn takes(&self, name: &str) -> Option<bool> {
        match self {
            Self::Standard => (name == "scope").then_some(false),
            Self::Named(names) => names.iter().any(|named| named == name).then_some(true),
        }
    }
}

/// Reads a JSON object whose members all have different names. The value is what its scope claims grant.
impl<'de> DeserializeSeed<'de> for &ScopeClaims {
    type Value = Vec<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &ScopeClaims {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut seen, mut granted) = (HashSet::new(), Vec::new());
        while let Some(name) = map.next_key::<String>()? {
            match self.takes(&name) {
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
                Some(false) => granted.extend(split(&map.next_value::<String>()?)),
                Some(true) => granted.extend(map.next_value::<TextOrList>()?.0),
            }
            if !seen.insert(name) {
                return Err(A::Error::custom("a member is repeated"));
            }
        }
        Ok(granted)
    }
}

fn split(text: &str) -> impl Iterator<Item = String> {
    text.split(' ').map(ToOwned::to_owned)
}

/// A text with a space between scopes, or a list of texts with one scope each.
struct TextOrList(Vec<String>);

impl<'de> Deserialize<'de> for TextOrList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scopes;

        impl<'de> Visitor<'de> for Scopes {
            type Value = TextOrList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<TextOrList, E> {
                Ok(TextOrList(split(text).collect()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<TextOrList, A::Error> {
                let mut scopes = Vec::new();
                while let Some(scope) = list.next_element()? {
                    scopes.push(scope);
                }
                Ok(TextOrList(scopes))
            }
        }

        deserializer.deserialize_any(Scopes)
    }
}
