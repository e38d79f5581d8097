//! Where a person goes after the login: a page of this gateway, and never another site.

use axum::response::Redirect;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use url::Url;

/// A path of this gateway, with its query.
///
/// A login that leads anywhere is an open redirect: a link that names the gateway would end at the page of a thief.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReturnTo(String);

impl ReturnTo {
    /// Takes a path on the own origin alone: one `/` in front and not two, no backslash (browsers read it as `/`), and
    /// nothing that a browser strips before it reads the address, such as a tab.
    pub fn parse(text: &str) -> Option<Self> {
        let good = text.starts_with('/')
            && !text.starts_with("//")
            && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        // The rules above are few, so the browser's own rules are asked too.
        let own = Url::parse("https://gateway.invalid").ok()?;
        let stays =
            own.join(text).is_ok_and(|url| url.origin() == own.origin() && !url.path().starts_with("//"));
        (good && stays).then(|| Self(text.to_owned()))
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `303 See Other`: whatever the method was, the next one is `GET`.
    pub fn redirect(&self) -> Redirect {
        Redirect::to(&self.0)
    }
}

impl Default for ReturnTo {
    fn default() -> Self {
        Self("/".to_owned())
    }
}

impl<'de> Deserialize<'de> for ReturnTo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| D::Error::custom("return_to must be a path of this gateway, such as /devices"))
    }
}
