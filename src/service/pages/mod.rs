//! The pages for people: they let a program in, and see what they have let in.
//!
//! The host's login says who the person is. A person who is not signed in is sent there, and comes back to the same page.

pub(super) mod authorize;
mod consent;
pub(super) mod device;
pub(super) mod devices;
pub(super) mod operators;
mod query;
mod redirect;
mod visit;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::id::{Audience, ClientId, CodeChallenge, Scopes, UserCode};
use crate::pages::Pages;

/// The pages, and where they are.
#[derive(Debug)]
pub(crate) struct SignInPages {
    pub(crate) pages: Pages,
    /// The page on which a person types a user code.
    pub(crate) verification_uri: Url,
    /// The page of a person's devices.
    pub(crate) devices_uri: Url,
}

/// What a person is shown before they decide. It stands in a ticket, and comes back with the decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "snake_case")]
enum Shown {
    Device {
        #[serde(with = "as_text")]
        user_code: UserCode,
        client: ClientId,
        scopes: Scopes,
    },
    Consent(Box<AskedConsent>),
}

/// A request for authorization, as the person is shown it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct AskedConsent {
    client: ClientId,
    redirect_uri: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scopes: Option<Scopes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resource: Option<Audience>,
    #[serde(with = "as_text")]
    challenge: CodeChallenge,
}

/// Writes a value in a ticket as its text.
mod as_text {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::id::{CodeChallenge, InvalidSecret, UserCode};

    pub(super) trait Text: Sized {
        fn text(&self) -> &str;
        fn parse(text: &str) -> Result<Self, InvalidSecret>;
    }

    impl Text for UserCode {
        fn text(&self) -> &str {
            self.as_letters()
        }

        fn parse(text: &str) -> Result<Self, InvalidSecret> {
            Self::parse(text)
        }
    }

    impl Text for CodeChallenge {
        fn text(&self) -> &str {
            self.as_str()
        }

        fn parse(text: &str) -> Result<Self, InvalidSecret> {
            Self::parse(text)
        }
    }

    pub(super) fn serialize<T: Text, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(value.text())
    }

    pub(super) fn deserialize<'de, T: Text, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        T::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
