//! The challenge of a rejection (RFC 6750 §3, RFC 9728 §5.1).

use std::time::Duration;

use http::HeaderValue;
use url::Url;

use crate::id::Scopes;
use crate::validate::{BuildError, check_endpoint, check_realm};

/// What every challenge of a host has.
#[derive(Debug, Clone)]
pub(crate) struct Challenge {
    pub(crate) realm: Option<String>,
    pub(crate) resource_metadata: Option<Url>,
    /// The scopes to ask for. They are sent when a request has no token or a bad one.
    pub(crate) scopes: Scopes,
    pub(crate) retry_after: Duration,
}

impl Default for Challenge {
    fn default() -> Self {
        Self {
            realm: None,
            resource_metadata: None,
            scopes: Scopes::default(),
            retry_after: Duration::from_secs(1),
        }
    }
}

impl Challenge {
    pub(crate) fn check(&self) -> Result<(), BuildError> {
        check_realm(self.realm.as_deref())?;
        check_endpoint("the resource metadata", self.resource_metadata.as_ref())
    }

    /// The challenge for a request without a credential. It has no `error` (RFC 6750 §3.1).
    pub(crate) fn bare(&self) -> HeaderValue {
        self.write(None, &self.scopes)
    }

    /// The challenge for a token that is no good (RFC 6750 §3.1).
    pub(crate) fn invalid_token(&self) -> HeaderValue {
        self.write(Some("invalid_token"), &Scopes::default())
    }

    /// The challenge for a client that did not prove itself (RFC 7617 §2). Its realm is required.
    pub(crate) fn basic(&self) -> HeaderValue {
        let realm = self.realm.as_deref().unwrap_or("oauth");
        HeaderValue::from_str(&format!("Basic realm=\"{realm}\", charset=\"UTF-8\""))
            .expect("a realm is printable ASCII without quotes")
    }

    pub(super) fn write(&self, error: Option<&str>, scopes: &Scopes) -> HeaderValue {
        let scopes = (!scopes.is_empty()).then(|| scopes.to_string());
        let realm = self.realm.as_deref().map(|realm| ("realm", realm));
        let metadata = self.resource_metadata.as_ref().map(|url| ("resource_metadata", url.as_str()));
        let parameters: Vec<String> = realm
            .into_iter()
            .chain(metadata)
            .chain(error.map(|error| ("error", error)))
            .chain(scopes.as_deref().map(|scopes| ("scope", scopes)))
            .map(|(name, value)| format!("{name}=\"{value}\""))
            .collect();
        let text = if parameters.is_empty() {
            "Bearer".to_owned()
        } else {
            format!("Bearer {}", parameters.join(", "))
        };
        HeaderValue::from_str(&text).expect("realm, URL, code and scopes are visible ASCII without quotes")
    }
}
