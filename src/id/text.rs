//! The rules for identifiers that people and hosts choose, and the macro that makes a type for a rule.

use http::HeaderValue;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// Why a piece of text is not an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidId {
    /// The text is empty.
    #[error("must not be empty")]
    Empty,
    /// It has more characters than its kind allows.
    #[error("must have at most {max} characters")]
    TooLong {
        /// The most characters this kind of identifier may have.
        max: usize,
    },
    /// It has a character that its kind does not allow.
    #[error("must hold only {allowed}")]
    Character {
        /// The characters that this kind of identifier may have, in words.
        allowed: &'static str,
    },
}

/// All characters except visible ASCII, and `%` itself: so two identifiers never have the same encoded form.
const NOT_VISIBLE_ASCII: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// Encodes `text` as visible ASCII. Other characters and `%` are percent-encoded. Two texts never have the same form.
pub(crate) fn to_visible_ascii(text: &str) -> String {
    utf8_percent_encode(text, NOT_VISIBLE_ASCII).to_string()
}

/// The header form of an identifier (see [`to_visible_ascii`]).
pub(crate) fn to_header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(&to_visible_ascii(text)).expect("percent-encoding leaves visible ASCII only")
}

/// Checks for 1 to `max` visible characters: no control, format, separator, private or unassigned ones.
pub(crate) fn visible(text: &str, max: usize) -> Result<(), InvalidId> {
    let is_visible = |c: char| {
        if c.is_ascii() {
            c.is_ascii_graphic()
        } else {
            !matches!(
                c.general_category_group(),
                GeneralCategoryGroup::Other | GeneralCategoryGroup::Separator
            )
        }
    };
    check(text, max, "visible characters", is_visible)
}

/// Checks for 1 to `max` visible ASCII characters.
pub(crate) fn visible_ascii(text: &str, max: usize) -> Result<(), InvalidId> {
    check(text, max, "visible ASCII characters", |c| c.is_ascii_graphic())
}

/// Checks for 1 to `max` characters of `[A-Za-z0-9_-]`.
pub(crate) fn url_safe(text: &str, max: usize) -> Result<(), InvalidId> {
    check(text, max, "A-Z, a-z, 0-9, '_' and '-'", |c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// Makes free text from outside fit to store and to show: at most `max` characters, without those that are not shown as
/// themselves. `None`: nothing is left.
pub(crate) fn shown_text(text: &str, max: usize) -> Option<String> {
    let kept: String = text.chars().filter(|c| is_shown(*c)).take(max).collect();
    let trimmed = kept.trim();
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}

/// Whether a reader sees `c` where it stands. A character that turns the text around or is invisible makes one name
/// look like another.
pub(crate) fn is_shown(c: char) -> bool {
    let breaks_line =
        matches!(c.general_category(), GeneralCategory::LineSeparator | GeneralCategory::ParagraphSeparator);
    !breaks_line && c.general_category_group() != GeneralCategoryGroup::Other
}

fn check(
    text: &str,
    max: usize,
    allowed: &'static str,
    is_allowed: impl Fn(char) -> bool,
) -> Result<(), InvalidId> {
    if text.is_empty() {
        return Err(InvalidId::Empty);
    }
    // A character takes at most four bytes: so a very long text is refused without reading it.
    if text.len() > max * 4 || text.chars().count() > max {
        return Err(InvalidId::TooLong { max });
    }
    if text.chars().all(is_allowed) { Ok(()) } else { Err(InvalidId::Character { allowed }) }
}

/// Makes a newtype over shared text that can only have a text that `$check` accepts.
macro_rules! text_id {
    ($(#[$meta:meta])* $name:ident, $check:expr) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Parses `text`. Identifiers are equal only when they are equal byte for byte: nothing is normalised.
            ///
            /// # Errors
            ///
            /// [`InvalidId`](crate::id::InvalidId) says which rule of this kind `text` breaks.
            pub fn parse(text: impl AsRef<str>) -> Result<Self, $crate::id::InvalidId> {
                let text = text.as_ref();
                let check: fn(&str) -> Result<(), $crate::id::InvalidId> = $check;
                check(text)?;
                Ok(Self(text.into()))
            }

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The identifier as a header value. Visible ASCII stays as it is. Other characters and `%` are
            /// percent-encoded UTF-8: so two identifiers never have the same header value.
            #[must_use]
            pub fn to_header_value(&self) -> http::HeaderValue {
                $crate::id::text::to_header_value(&self.0)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), &*self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::id::InvalidId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }

        impl $crate::id::text_or::FromText for $name {
            fn from_text(what: &'static str, text: &str) -> Result<Self, $crate::id::InvalidText> {
                Self::parse(text).map_err(|reason| $crate::id::InvalidText::new(what, text, reason))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                Self::parse(text).map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use text_id;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visible_refuses_what_the_eye_cannot_see() {
        for hidden in ["", "a b", "a\u{200b}", "a\u{202e}b", "a\n", "\0", "\u{feff}a", "\u{a0}"] {
            assert!(visible(hidden, 255).is_err(), "{hidden:?}");
        }
        for seen in ["alice", "a@b.c", "josé", "日本", "%41", "ſ"] {
            assert_eq!(visible(seen, 255), Ok(()), "{seen:?}");
        }
    }

    #[test]
    fn length_counts_characters() {
        assert_eq!(visible(&"é".repeat(255), 255), Ok(()));
        assert_eq!(visible(&"é".repeat(256), 255), Err(InvalidId::TooLong { max: 255 }));
    }

    #[test]
    fn header_form_is_injective() {
        assert_eq!(to_header_value("alice@example.com"), "alice@example.com");
        assert_eq!(to_header_value("é"), "%C3%A9");
        assert_eq!(to_header_value("%C3%A9"), "%25C3%25A9");
    }
}
