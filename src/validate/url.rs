//! URLs in a configuration.

use url::Url;

use super::error::BuildError;
use super::text::is_quotable;

/// RFC 8414 §2: https, no query, no fragment. Plain http is allowed only where nobody else can listen.
pub(crate) fn check_issuer(issuer: &str) -> Result<(), BuildError> {
    let refused = || BuildError::Issuer(issuer.to_owned());
    let url = Url::parse(issuer).map_err(|_| refused())?;
    // `Url` drops white space, but the issuer is compared as it was written.
    let is_verbatim = issuer.bytes().all(|b| b.is_ascii_graphic()) && issuer.len() <= 255;
    if is_safe(&url) && url.query().is_none() && is_verbatim { Ok(()) } else { Err(refused()) }
}

/// Refuses a URL that would send a secret, or the place to get one, unencrypted. Also refuses a URL that cannot be in a
/// challenge.
pub(crate) fn check_endpoint(what: &'static str, url: Option<&Url>) -> Result<(), BuildError> {
    match url {
        Some(url) if !is_safe(url) || !is_quotable(url.as_str()) => Err(BuildError::Text {
            what,
            value: url.to_string(),
            allowed: "an https URL without fragment, user and '\\' (http is for loopback only)",
        }),
        _ => Ok(()),
    }
}

/// Refuses a URL that is more than an origin, and an origin whose pages others could change on the way.
pub(crate) fn check_origin(url: &Url) -> Result<(), BuildError> {
    if is_safe(url) && url.path() == "/" && url.query().is_none() {
        return Ok(());
    }
    Err(BuildError::Text {
        what: "the trusted origin",
        value: url.to_string(),
        allowed: "an https URL without path, query, fragment and user (http is for loopback only)",
    })
}

/// Whether nobody else can listen at `url`, and `url` has no fragment, user or password.
pub(crate) fn is_safe(url: &Url) -> bool {
    let is_loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let is_private = url.scheme() == "https" || (url.scheme() == "http" && is_loopback);
    is_private && url.fragment().is_none() && url.username().is_empty() && url.password().is_none()
}
