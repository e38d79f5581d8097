//! OAuth scopes (RFC 6749 §3.3).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::text_or::{FromText, InvalidText};

/// Makes [`Scopes`] of texts that are known when the program is compiled. Text that is not scopes does not compile.
///
/// A text has one scope, or several with one space between them. Constants are as good as literals.
///
/// ```
/// use bridge_auth::scopes;
///
/// const ADMIN: &str = "models:admin";
///
/// assert_eq!(scopes!("models:call", ADMIN), scopes!("models:admin models:call"));
/// assert!(scopes!().is_empty());
/// ```
///
/// ```compile_fail,E0080
/// // Two spaces.
/// let scopes = bridge_auth::scopes!("models:call  models:admin");
/// ```
#[macro_export]
macro_rules! scopes {
    ($($text:expr),* $(,)?) => {{
        // An item is checked by `cargo check` too.
        const __BRIDGE_AUTH_SCOPES: $crate::id::CheckedScopes = $crate::id::CheckedScopes::new(&[$($text),*]);
        $crate::id::Scopes::checked(__BRIDGE_AUTH_SCOPES)
    }};
}

/// One scope token: 1 to 128 characters of `%x21 / %x23-5B / %x5D-7E` (RFC 6749, appendix A.4).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope(Arc<str>);

/// A set of scopes: sorted and without repeats. It has at most [`Scopes::MAX`] scopes and 1024 characters in all: so a
/// token with these scopes stays within its limit.
///
/// Its text and JSON form has a space between scopes (RFC 6749 §3.3). The empty text is the empty set.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Scopes(Arc<[Scope]>);

/// Why a text is not a set of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidScope {
    /// A scope is empty, longer than 128 characters, or has a character that RFC 6749 does not allow.
    #[error("a scope is 1 to 128 visible ASCII characters other than '\"' and '\\', separated by one space")]
    Token,
    /// There are more than [`Scopes::MAX`] scopes, or more than 1024 characters in all.
    #[error("there may be at most {} scopes, of {} characters in all", Scopes::MAX, Scopes::MAX_CHARACTERS)]
    TooMany,
}

impl Scope {
    const MAX_CHARACTERS: usize = 128;

    /// Parses one scope token.
    ///
    /// # Errors
    ///
    /// [`InvalidScope::Token`] when `text` is not a scope.
    pub fn parse(text: impl AsRef<str>) -> Result<Self, InvalidScope> {
        let text = text.as_ref();
        if matches!(text.len(), 1..=Self::MAX_CHARACTERS) && text.bytes().all(is_token) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidScope::Token)
        }
    }

    /// The scope as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Texts that were checked when the program was compiled.
///
/// [`scopes!`](crate::scopes!) makes one.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct CheckedScopes(&'static [&'static str]);

impl CheckedScopes {
    /// Checks `texts`, each with any number of scopes.
    ///
    /// # Panics
    ///
    /// When a text is not scopes, or when there are too many. So the program does not compile.
    #[must_use]
    pub const fn new(texts: &'static [&'static str]) -> Self {
        let (mut scopes, mut characters) = (0, 0);
        let mut index = 0;
        while index < texts.len() {
            let text = texts[index].as_bytes();
            if !text.is_empty() {
                scopes += count_scopes(text);
                characters += text.len() + 1;
            }
            index += 1;
        }
        assert!(scopes <= Scopes::MAX, "there are more than 32 scopes");
        assert!(characters <= Scopes::MAX_CHARACTERS, "the scopes have more than 1024 characters in all");
        Self(texts)
    }

    /// Checks `texts`, each with exactly one scope.
    ///
    /// # Panics
    ///
    /// When a text is not one scope, or when there are too many. So the program does not compile.
    #[must_use]
    pub const fn one_each(texts: &'static [&'static str]) -> Self {
        let mut index = 0;
        while index < texts.len() {
            let scopes = if texts[index].is_empty() { 0 } else { count_scopes(texts[index].as_bytes()) };
            assert!(scopes == 1, "each text is one scope: write several as [\"a\", \"b\"]");
            index += 1;
        }
        Self::new(texts)
    }
}

/// Counts the scopes of a text that is not empty.
const fn count_scopes(text: &[u8]) -> usize {
    let (mut scopes, mut length) = (1, 0);
    let mut index = 0;
    while index < text.len() {
        if text[index] == b' ' {
            assert!(length > 0, "a scope is empty: write one space between two scopes, and none around them");
            scopes += 1;
            length = 0;
        } else {
            assert!(
                is_token(text[index]),
                "a scope has only visible ASCII characters other than '\"' and '\\'"
            );
            length += 1;
            assert!(length <= Scope::MAX_CHARACTERS, "a scope has more than 128 characters");
        }
        index += 1;
    }
    assert!(length > 0, "a scope is empty: write one space between two scopes, and none around them");
    scopes
}

/// Whether a scope may have this byte (RFC 6749, appendix A.4).
const fn is_token(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)
}

impl Scopes {
    /// The most scopes that a set may have.
    pub const MAX: usize = 32;
    const MAX_CHARACTERS: usize = 1024;

    /// Parses scopes that are separated by one space (RFC 6749 §3.3).
    ///
    /// # Errors
    ///
    /// [`InvalidScope`] when a scope is malformed or there are too many.
    pub fn parse(text: impl AsRef<str>) -> Result<Self, InvalidScope> {
        match text.as_ref() {
            "" => Ok(Self::default()),
            text => Self::collect(text.split(' ')),
        }
    }

    /// Makes a set from texts with one scope each.
    ///
    /// # Errors
    ///
    /// [`InvalidScope`] when a scope is malformed or there are too many.
    pub fn collect<T: AsRef<str>>(tokens: impl IntoIterator<Item = T>) -> Result<Self, InvalidScope> {
        let mut scopes = Vec::new();
        let mut characters = 0;
        for token in tokens {
            let scope = Scope::parse(token)?;
            if let Err(place) = scopes.binary_search(&scope) {
                characters += scope.as_str().len() + 1;
                if scopes.len() == Self::MAX || characters > Self::MAX_CHARACTERS {
                    return Err(InvalidScope::TooMany);
                }
                scopes.insert(place, scope);
            }
        }
        Ok(Self(scopes.into()))
    }

    /// What [`scopes!`](crate::scopes!) calls.
    #[doc(hidden)]
    #[must_use]
    pub fn checked(checked: CheckedScopes) -> Self {
        let tokens = checked.0.iter().flat_map(|text| text.split(' ')).filter(|token| !token.is_empty());
        // The check when the program was compiled is no weaker than this one.
        Self::collect(tokens).expect("the scopes were checked when the program was compiled")
    }

    /// Whether `scope` is in the set, compared byte for byte.
    #[must_use]
    pub fn contains(&self, scope: &str) -> bool {
        self.0.binary_search_by(|held| held.as_str().cmp(scope)).is_ok()
    }

    /// Whether every scope of `other` is in the set.
    #[must_use]
    pub fn contains_all(&self, other: &Self) -> bool {
        other.0.is_empty() || other.iter().all(|scope| self.contains(scope.as_str()))
    }

    /// The scopes that are in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.iter().filter(|scope| other.contains(scope.as_str())).cloned().collect())
    }

    /// The scopes in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Scope> {
        self.0.iter()
    }

    /// Whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> IntoIterator for &'a Scopes {
    type Item = &'a Scope;
    type IntoIter = std::slice::Iter<'a, Scope>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, scope) in self.iter().enumerate() {
            if place > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scopes({:?})", self.to_string())
    }
}

impl FromStr for Scopes {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl FromText for Scope {
    fn from_text(what: &'static str, text: &str) -> Result<Self, InvalidText> {
        let one = "must be one scope of 1 to 128 visible ASCII characters other than '\"' and '\\'";
        Self::parse(text).map_err(|_| InvalidText::new(what, text, one))
    }
}

impl FromText for Scopes {
    fn from_text(what: &'static str, text: &str) -> Result<Self, InvalidText> {
        Self::parse(text).map_err(|invalid| {
            let allowed = match invalid {
                InvalidScope::Token => {
                    "must be scopes of 1 to 128 visible ASCII characters other than '\"' and '\\', separated by one \
                     space"
                }
                InvalidScope::TooMany => "must be at most 32 scopes, of 1024 characters in all",
            };
            InvalidText::new(what, text, allowed)
        })
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn malformed_sets_are_refused() {
        for text in [" ", "a  b", " a", "a ", "\"a\"", "a\\b", "é", "a\tb", "a\0"] {
            assert_eq!(Scopes::parse(text), Err(InvalidScope::Token), "{text:?}");
        }
        let many = (0..33).map(|n| format!("s{n}")).collect::<Vec<_>>().join(" ");
        assert_eq!(Scopes::parse(many), Err(InvalidScope::TooMany));
        let long = (0..10).map(|n| format!("{n}{}", "s".repeat(120))).collect::<Vec<_>>().join(" ");
        assert_eq!(Scopes::parse(long), Err(InvalidScope::TooMany));
    }

    #[test]
    fn scopes_that_are_known_when_compiled_are_those_that_are_parsed() {
        const ADMIN: &str = "models:admin";
        assert_eq!(crate::scopes!("b a b"), Scopes::parse("a b").unwrap());
        assert_eq!(crate::scopes!(ADMIN, "a b",), Scopes::parse("a b models:admin").unwrap());
        assert_eq!(crate::scopes!(), Scopes::default());
        assert_eq!(crate::scopes!(""), Scopes::default());
    }

    #[test]
    fn what_is_no_scope_does_not_compile() {
        let compiles = |texts: &'static [&'static str]| {
            std::panic::catch_unwind(|| (CheckedScopes::new(texts), CheckedScopes::one_each(texts))).is_ok()
        };
        for bad in [" ", "a  b", " a", "a ", "\"a\"", "a\\b", "é", "a\tb", "a\0", "", "a b"] {
            assert!(!compiles(Box::leak(Box::new([bad]))), "{bad:?}");
        }
        assert!(!compiles(&["s"; 33]));
        assert!(!compiles(Box::leak(Box::new([&*"s".repeat(129).leak()]))));
        assert!(compiles(&["a", "b"]));
    }

    #[test]
    fn a_set_has_no_order_and_no_repeats() {
        let scopes = Scopes::parse("b a b").unwrap();
        assert_eq!(scopes.to_string(), "a b");
        assert!(scopes.contains("a") && !scopes.contains("A") && !scopes.contains(""));
        assert!(scopes.contains_all(&Scopes::parse("a").unwrap()));
        assert_eq!(scopes.intersection(&Scopes::parse("b c").unwrap()).to_string(), "b");
    }

    proptest! {
        #[test]
        fn what_passes_when_compiled_is_parsed(text in "([a-c\"\\\\é]{0,129} ?){0,40}", more in "[a-c ]{0,5}") {
            let texts: &'static [&'static str] = Box::leak(Box::new([&*text.leak(), &*more.leak()]));
            if let Ok(checked) = std::panic::catch_unwind(|| CheckedScopes::new(texts)) {
                let joined = texts.iter().filter(|text| !text.is_empty()).copied().collect::<Vec<_>>().join(" ");
                prop_assert_eq!(Scopes::parse(joined), Ok(Scopes::checked(checked)));
            }
        }

        #[test]
        fn parsing_never_panics_and_round_trips(text in any::<String>()) {
            if let Ok(scopes) = Scopes::parse(&text) {
                prop_assert_eq!(Scopes::parse(scopes.to_string()), Ok(scopes));
            }
        }
    }
}
