//! Text in the place of what it stands for.

use std::borrow::Cow;
use std::fmt;

use http::HeaderName;
use ipnet::IpNet;
use url::Url;

/// A `T`, or the text of one. This is what builders take.
///
/// `&str`, `String`, `&String` and `Cow<str>` are text. `T` and `&T` need no check.
///
/// A builder keeps the first text that is not a `T`, and goes on. Its `build` returns an error with the setting, the value
/// and what to write instead.
///
/// ```
/// use bridge_auth::id::Audience;
/// # fn set_up(builder: bridge_auth::BridgeBuilder) -> Result<(), Box<dyn std::error::Error>> {
/// let builder = builder
///     .token_endpoint("https://gateway.example/token")
///     .hook_scopes("hook:govern")
///     .audiences([Audience::parse("bridge")?]);
/// # Ok(())
/// # }
/// ```
///
/// A host may implement it for a type of its own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither text nor `{T}`",
    label = "give text (`&str` or `String`), or the type `{T}`"
)]
pub trait TextOr<T> {
    /// Parses the text. `what` is the name of the setting, such as `the token endpoint`.
    ///
    /// # Errors
    ///
    /// [`InvalidText`] when the text is not a `T`.
    fn parsed(self, what: &'static str) -> Result<T, InvalidText>;
}

/// A text that is not what it should be. It says which text, its value, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidText {
    what: &'static str,
    /// `None`: it is a secret.
    value: Option<String>,
    reason: String,
}

impl InvalidText {
    /// How much of a value is kept.
    const MAX_CHARACTERS: usize = 300;

    /// An error about `value`, the text of `what`. `reason` goes on with the sentence, such as `must not be empty`.
    pub fn new(what: &'static str, value: impl AsRef<str>, reason: impl fmt::Display) -> Self {
        let value = value.as_ref().chars().take(Self::MAX_CHARACTERS).collect();
        Self { what, value: Some(value), reason: reason.to_string() }
    }

    /// The same without the value.
    pub(crate) fn secret(what: &'static str, reason: impl fmt::Display) -> Self {
        Self { what, value: None, reason: reason.to_string() }
    }
}

impl fmt::Display for InvalidText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{} {value:?} {}", self.what, self.reason),
            None => write!(f, "{} {}", self.what, self.reason),
        }
    }
}

impl std::error::Error for InvalidText {}

/// What has a text form.
///
/// No other crate can implement it. So the compiler can tell a text from what it stands for.
pub(crate) trait FromText: Sized {
    /// Parses `text`.
    fn from_text(what: &'static str, text: &str) -> Result<Self, InvalidText>;
}

macro_rules! texts {
    ($($text:ty),+) => {$(
        impl<T: FromText> TextOr<T> for $text {
            fn parsed(self, what: &'static str) -> Result<T, InvalidText> {
                T::from_text(what, &self)
            }
        }
    )+};
}

texts!(&str, &&str, String, &String, Cow<'_, str>);

impl<T: FromText> TextOr<T> for T {
    fn parsed(self, _: &'static str) -> Result<T, InvalidText> {
        Ok(self)
    }
}

impl<T: FromText + Clone> TextOr<T> for &T {
    fn parsed(self, _: &'static str) -> Result<T, InvalidText> {
        Ok(self.clone())
    }
}

impl FromText for Url {
    fn from_text(what: &'static str, text: &str) -> Result<Self, InvalidText> {
        let whole = "must be a whole URL, such as https://gateway.example/path";
        Self::parse(text).map_err(|_| InvalidText::new(what, text, whole))
    }
}

impl FromText for IpNet {
    fn from_text(what: &'static str, text: &str) -> Result<Self, InvalidText> {
        let network = "must be a network with its prefix length, such as 10.0.0.0/8 or 10.1.2.3/32";
        text.parse().map_err(|_| InvalidText::new(what, text, network))
    }
}

impl FromText for HeaderName {
    fn from_text(what: &'static str, text: &str) -> Result<Self, InvalidText> {
        text.parse()
            .map_err(|_| InvalidText::new(what, text, "must be the name of a header, such as x-api-key"))
    }
}

/// The first text that a builder could not read. The builder tells of it in the end.
#[derive(Debug, Clone, Default)]
pub(crate) struct FirstInvalid(Option<InvalidText>);

impl FirstInvalid {
    /// Reads one text. `None`: it is not a `T`, and this was noted.
    pub(crate) fn read<T>(&mut self, what: &'static str, text: impl TextOr<T>) -> Option<T> {
        let keep = |invalid| {
            self.0.get_or_insert(invalid);
        };
        text.parsed(what).map_err(keep).ok()
    }

    /// Refuses a builder that got a text that it could not read.
    pub(crate) fn check(&self) -> Result<(), InvalidText> {
        self.0.clone().map_or(Ok(()), Err)
    }
}

/// A `T` that a configuration file holds as text.
#[cfg(feature = "serde")]
#[derive(Debug, Clone)]
pub(crate) struct TextOf<T>(pub(crate) T);

#[cfg(feature = "serde")]
impl<T: FromText> TextOr<T> for TextOf<T> {
    fn parsed(self, _: &'static str) -> Result<T, InvalidText> {
        Ok(self.0)
    }
}

#[cfg(feature = "serde")]
impl<'de, T: FromText> serde::Deserialize<'de> for TextOf<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        T::from_text("the value", &text).map(Self).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ClientSecret, Scopes, UserId};

    fn refused<T: fmt::Debug>(text: impl TextOr<T>) -> String {
        text.parsed("the setting").unwrap_err().to_string()
    }

    #[test]
    fn every_kind_of_text_and_the_type_itself_are_taken() {
        let alice = UserId::parse("alice").unwrap();
        let text = "alice".to_owned();
        let all: [Result<UserId, _>; 7] = [
            "alice".parsed("a"),
            (&"alice").parsed("a"),
            (&text).parsed("a"),
            Cow::Borrowed("alice").parsed("a"),
            text.parsed("a"),
            (&alice).parsed("a"),
            alice.clone().parsed("a"),
        ];
        assert!(all.into_iter().all(|read| read.as_ref() == Ok(&alice)));
    }

    #[test]
    fn an_error_says_the_setting_the_value_and_what_to_write() {
        assert_eq!(refused::<UserId>("a b"), "the setting \"a b\" must hold only visible characters");
        assert_eq!(
            refused::<Scopes>("a  b"),
            "the setting \"a  b\" must be scopes of 1 to 128 visible ASCII characters other than '\"' and '\\', \
             separated by one space"
        );
        assert_eq!(
            refused::<Url>("gateway.example"),
            "the setting \"gateway.example\" must be a whole URL, such as https://gateway.example/path"
        );
        assert!(
            refused::<IpNet>("10.0.0.1").contains("\"10.0.0.1\" must be a network with its prefix length")
        );
        assert!(refused::<HeaderName>("x api").contains("\"x api\" must be the name of a header"));
    }

    #[test]
    fn an_error_shows_no_secret_and_no_endless_value() {
        let shown = refused::<ClientSecret>("not a secret, or is it");
        assert_eq!(shown, "the setting must be 1 to 128 characters of A-Z, a-z, 0-9, '_' and '-'");
        assert!(refused::<UserId>("é".repeat(100_000)).len() < 1000);
    }

    #[test]
    fn a_builder_tells_of_the_first_text_that_it_could_not_read() {
        let mut first = FirstInvalid::default();
        assert!(first.read::<UserId>("the zeroth", "alice").is_some());
        assert_eq!(first.read::<UserId>("the first", "b b"), None);
        assert_eq!(first.read::<UserId>("the second", "d d"), None);
        assert!(first.check().unwrap_err().to_string().starts_with("the first \"b b\""));
        assert_eq!(FirstInvalid::default().check(), Ok(()));
    }
}
