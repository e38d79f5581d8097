//! Client ids that are URLs.

use std::net::IpAddr;

use url::{Host, Url};

use super::error::ClientDocumentError;
use crate::id::ClientId;

/// The URL of a client metadata document, which is the id of the client. It is kept and fetched as it was sent: there is
/// one spelling of each client.
#[derive(Debug, Clone)]
pub(super) struct ClientUrl {
    id: ClientId,
    url: Url,
}

impl ClientUrl {
    /// Parses a client id (draft-ietf-oauth-client-id-metadata-document, section "Client Identifier URL").
    pub(super) fn parse(id: &ClientId) -> Result<Self, ClientDocumentError> {
        Self::read(id).map_err(ClientDocumentError::NotAClientUrl)
    }

    fn read(id: &ClientId) -> Result<Self, &'static str> {
        let text = id.as_str();
        let rest = text.strip_prefix("https://").ok_or("it does not begin with https://")?;
        if text.contains('#') {
            return Err("it has a fragment");
        }
        // The path ends at the query. A `\` never passes the comparison below.
        let before_query = rest.split_once('?').map_or(rest, |(before, _)| before);
        let (authority, path) = before_query.split_once('/').ok_or("it has no path")?;
        if authority.contains('@') {
            return Err("it has a user or a password");
        }
        if path.split('/').any(is_dot_segment) {
            return Err("its path has a segment `.` or `..`");
        }
        let url = Url::parse(text).map_err(|_| "it is not a URL")?;
        // The parser rewrites much: hosts in upper case, addresses in hex, `\`, the port 443. What it rewrites would be
        // one client under several ids, and a person could not tell where it leads.
        if url.as_str() != text {
            return Err("it is not in normal form");
        }
        if !is_uri(text) {
            return Err("it has a character that a URI does not allow");
        }
        if !is_plain_host(&url) {
            return Err("its host is not a plain host name");
        }
        Ok(Self { id: id.clone(), url })
    }

    pub(super) fn id(&self) -> &ClientId {
        &self.id
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Its host, and its port if that is not 443.
    pub(super) fn host(&self) -> String {
        authority(&self.url)
    }

    /// The address that stands in the URL itself.
    pub(super) fn address(&self) -> Option<IpAddr> {
        match self.url.host()? {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
        }
    }
}

/// The host of a URL, and its port if the scheme has another one.
pub(super) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Whether the host is an address, or a name of letters, digits, `-`, `_` and `.` that does not end with a dot. A URL may
/// have others, such as `claude.ai;app.example`, which a person takes for another host.
pub(super) fn is_plain_host(url: &Url) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    url.domain().is_none_or(|name| name.bytes().all(is_plain) && !name.ends_with('.'))
}

/// Whether a server could take `segment` for `.` or `..`.
fn is_dot_segment(segment: &str) -> bool {
    matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
}

/// Whether `text` has only characters of a URI, and no `%` without two hex digits behind it (RFC 3986, appendix A).
pub(super) fn is_uri(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
    let is_escape =
        |after: &str| after.as_bytes().get(..2).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
    text.bytes().all(is_allowed) && text.split('%').skip(1).all(is_escape)
}
