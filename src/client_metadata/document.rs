//! What a client says about itself.

use serde::Deserialize;
use serde::de::IgnoredAny;
use url::Url;

use super::client_url::{ClientUrl, authority, is_uri};
use super::error::Refusal;
use crate::id::{ClientId, Scopes, shown_text};
use crate::validate::is_safe;

/// A client metadata document that breaks no rule.
///
/// What it says is the client's own word. Only [`host`](Self::host) is known to be true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientDocument {
    pub(crate) client_id: ClientId,
    /// Fit to be shown: see `shown_text`.
    pub(crate) name: Option<String>,
    /// Its home page, if that is https on the same host as the client id.
    pub(crate) site: Option<Url>,
    /// As they are written, to be compared byte for byte. There is at least one.
    pub(crate) redirect_uris: Vec<String>,
    /// The most that it may ask for. `None`: it does not say.
    pub(crate) scopes: Option<Scopes>,
    host: String,
}

impl ClientDocument {
    const MAX_NAME: usize = 80;

    /// The host that the document was fetched from, with its port if that is not 443. A consent page shows it.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Reads the document that was fetched from `url`.
    pub(super) fn read(url: &ClientUrl, json: &[u8]) -> Result<Self, Refusal> {
        // Serde would take an array for the members in order.
        if !json.trim_ascii_start().starts_with(b"{") {
            return Err(Refusal::Malformed);
        }
        let members: Members = serde_json::from_slice(json).map_err(|_| Refusal::Malformed)?;
        if members.client_id.as_deref() != Some(url.id().as_str()) {
            return Err(Refusal::OtherClientId);
        }
        if members.has_secret() || !members.can_be_public() {
            return Err(Refusal::Secret);
        }
        if !is_listed(members.grant_types.as_deref(), "authorization_code") {
            return Err(Refusal::GrantTypes);
        }
        if !is_listed(members.response_types.as_deref(), "code") {
            return Err(Refusal::ResponseTypes);
        }
        let scopes = members.scope.filter(|scope| !scope.is_empty()).map(Scopes::parse);
        Ok(Self {
            client_id: url.id().clone(),
            name: members.client_name.and_then(|name| shown_text(&name, Self::MAX_NAME)),
            site: members.client_uri.and_then(|uri| site(&uri, url)),
            redirect_uris: usable(members.redirect_uris)?,
            scopes: scopes.transpose().map_err(|_| Refusal::Scope)?,
            host: url.host(),
        })
    }
}

/// The members that count here (RFC 7591 §2). Serde refuses a member that is there twice.
#[derive(Deserialize)]
struct Members {
    client_id: Option<String>,
    client_name: Option<String>,
    client_uri: Option<String>,
    #[serde(default)]
    redirect_uris: Vec<String>,
    token_endpoint_auth_method: Option<String>,
    /// OpenID Connect RP Metadata Choices: the methods that the server may choose from.
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    client_secret: Option<IgnoredAny>,
    client_secret_expires_at: Option<IgnoredAny>,
    jwks: Option<Jwks>,
    grant_types: Option<Vec<String>>,
    response_types: Option<Vec<String>>,
    scope: Option<String>,
}

/// The public keys of the client. They are not used here.
#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Jwk>,
}

/// The members of a key that nobody else may know (RFC 7518 §6).
#[derive(Deserialize)]
struct Jwk {
    d: Option<IgnoredAny>,
    k: Option<IgnoredAny>,
}

impl Members {
    /// Everybody can read the document, so it can hold no secret, and no private or symmetric key.
    fn has_secret(&self) -> bool {
        let mut keys = self.jwks.iter().flat_map(|jwks| &jwks.keys);
        self.client_secret.is_some()
            || self.client_secret_expires_at.is_some()
            || keys.any(|key| key.d.is_some() || key.k.is_some())
    }

    /// Whether the client may use the token endpoint without authentication. A client that has a key must say that it
    /// can do without it.
    fn can_be_public(&self) -> bool {
        let can_choose_none =
            || self.token_endpoint_auth_methods_supported.iter().flatten().any(|method| method == "none");
        match self.token_endpoint_auth_method.as_deref() {
            None | Some("none") => true,
            Some("private_key_jwt") => can_choose_none(),
            Some(_) => false,
        }
    }
}

/// Whether `wanted` is in the list, or there is no list.
fn is_listed(list: Option<&[String]>, wanted: &str) -> bool {
    list.is_none_or(|list| list.iter().any(|value| value == wanted))
}

/// A home page on another host would borrow the name of that host.
fn site(uri: &str, client: &ClientUrl) -> Option<Url> {
    let site = Url::parse(uri).ok()?;
    let is_own = site.scheme() == "https" && authority(&site) == client.host();
    (is_own && is_safe(&site)).then_some(site)
}

/// The redirect URIs that can be used here.
fn usable(uris: Vec<String>) -> Result<Vec<String>, Refusal> {
    let mut usable = Vec::new();
    for uri in uris {
        match judge(&uri) {
            RedirectUri::Good => usable.push(uri),
            RedirectUri::Unused => {}
            RedirectUri::Bad => return Err(Refusal::RedirectUri),
        }
    }
    if usable.is_empty() { Err(Refusal::NoRedirectUris) } else { Ok(usable) }
}

enum RedirectUri {
    Good,
    /// Other servers may redirect there. This one never does.
    Unused,
    Bad,
}

fn judge(uri: &str) -> RedirectUri {
    // `https:host` and `https:///host` lead to one place in one program, and to another in another.
    let is_plain = |scheme| uri.strip_prefix(scheme).is_some_and(|rest| !rest.starts_with('/'));
    match Url::parse(uri) {
        Ok(url) if !is_uri(uri) || url.fragment().is_some() || NEVER.contains(&url.scheme()) => {
            RedirectUri::Bad
        }
        Ok(url) if matches!(url.scheme(), "https" | "http") => {
            let is_good = is_safe(&url) && (is_plain("https://") || is_plain("http://"));
            if is_good { RedirectUri::Good } else { RedirectUri::Bad }
        }
        // RFC 8252 §7.1: a private-use scheme is a domain name in reverse. Any program could claim one without a dot.
        Ok(url) if url.scheme().contains('.') => RedirectUri::Good,
        Ok(_) => RedirectUri::Unused,
        Err(_) => RedirectUri::Bad,
    }
}

/// Schemes that a browser runs, or that read what is on the machine. A client that names one is not to be trusted.
const NEVER: [&str; 8] =
    ["javascript", "vbscript", "data", "file", "blob", "about", "filesystem", "view-source"];
