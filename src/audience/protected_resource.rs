//! Resources that OAuth clients discover (RFC 9728), and the paths of metadata documents.

use url::Url;

use crate::id::{Audience, FirstInvalid, Scopes, TextOr};
use crate::validate::{BuildError, is_quotable, is_safe};

/// A resource of this gateway that OAuth clients can discover (RFC 9728).
///
/// Give it to [`BridgeBuilder::protected_resource`](crate::BridgeBuilder::protected_resource).
#[derive(Debug, Clone)]
#[must_use = "hand it to BridgeBuilder::protected_resource"]
pub struct ProtectedResource {
    resource: String,
    scopes: Scopes,
    name: Option<String>,
    invalid: FirstInvalid,
}

impl ProtectedResource {
    /// Describes the resource at this URL, such as `https://gateway.example/mcp`.
    ///
    /// The URL is the audience of its tokens.
    ///
    /// Clients compare the URL byte for byte with the URL that they call (RFC 9728 §3.3). So the metadata shows the URL
    /// exactly as you write it here. When the resource is a whole host, write its URL without a slash at the end.
    pub fn new(resource: impl Into<String>) -> Self {
        Self {
            resource: resource.into(),
            scopes: Scopes::default(),
            name: None,
            invalid: FirstInvalid::default(),
        }
    }

    /// The scopes that a client needs for ordinary use: name few. Default: none.
    ///
    /// A client that does not know which scopes to ask for asks for these. Challenges name them too, unless the layer
    /// requires other scopes.
    pub fn scopes(mut self, scopes: impl TextOr<Scopes>) -> Self {
        if let Some(scopes) = self.invalid.read("the scopes of the protected resource", scopes) {
            self.scopes = scopes;
        }
        self
    }

    /// The name that people see. Default: none.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

/// A protected resource whose URL was checked.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    pub(crate) resource: Audience,
    pub(crate) scopes: Scopes,
    pub(crate) name: Option<String>,
    /// The URL of its metadata. It is on the host of the resource, not on the host of the issuer (RFC 9728 §3.1).
    pub(crate) metadata: Url,
    path: String,
}

impl Resource {
    /// The path at which the metadata URLs of all resources begin.
    pub(crate) const WELL_KNOWN: &'static str = "/.well-known/oauth-protected-resource";

    /// Whether `path` leads to the metadata of this resource. `path` is what follows [`WELL_KNOWN`](Self::WELL_KNOWN).
    pub(crate) fn is_at(&self, path: &str) -> bool {
        is_inserted(&self.path, path)
    }

    /// Whether one path would lead to the metadata of both resources.
    pub(super) fn hides(&self, other: &Self) -> bool {
        without_slash(&self.path) == without_slash(&other.path)
    }
}

impl TryFrom<ProtectedResource> for Resource {
    type Error = BuildError;

    fn try_from(given: ProtectedResource) -> Result<Self, BuildError> {
        let ProtectedResource { resource: text, scopes, name, invalid } = given;
        let url = Url::parse(&text).ok().filter(|url| is_safe(url) && url.query().is_none());
        let audience = Audience::parse(&text).ok().filter(|_| is_quotable(&text));
        let (Some(url), Some(resource)) = (url, audience) else {
            return Err(BuildError::Text {
                what: "the protected resource",
                value: text,
                allowed: "an https URL without query, fragment and user (http is allowed for loopback only)",
            });
        };
        let path = url.path().to_owned();
        let mut metadata = url;
        metadata.set_path(&format!("{}{}", Self::WELL_KNOWN, if path == "/" { "" } else { &path }));
        invalid.check()?;
        Ok(Self { resource, scopes, name, metadata, path })
    }
}

/// Whether `inserted` is `path` as it stands behind a well-known path.
///
/// The slash at the end is cut off (RFC 8414 §3.1). Some clients do not cut it off, so the unchanged path is accepted
/// too.
pub(crate) fn is_inserted(path: &str, inserted: &str) -> bool {
    inserted == without_slash(path) || (inserted == path && path != "/")
}

fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(resource: &str) -> Option<String> {
        Resource::try_from(ProtectedResource::new(resource)).ok().map(|found| found.metadata.into())
    }

    #[test]
    fn the_metadata_are_on_the_resources_own_host_with_the_path_inserted() {
        for (resource, expected) in [
            ("https://g.example", "https://g.example/.well-known/oauth-protected-resource"),
            ("https://g.example/", "https://g.example/.well-known/oauth-protected-resource"),
            ("https://g.example:8443/mcp", "https://g.example:8443/.well-known/oauth-protected-resource/mcp"),
            ("https://g.example/a/b/", "https://g.example/.well-known/oauth-protected-resource/a/b/"),
            ("http://127.0.0.1:1/mcp", "http://127.0.0.1:1/.well-known/oauth-protected-resource/mcp"),
        ] {
            assert_eq!(metadata(resource).as_deref(), Some(expected), "{resource}");
        }
    }

    #[test]
    fn a_resource_that_clients_could_not_trust_or_compare_is_refused() {
        for bad in [
            "",
            "mcp",
            "/mcp",
            "http://g.example/mcp",
            "https://g.example/mcp?tenant=1",
            "https://g.example/mcp#x",
            "https://u@g.example/mcp",
            "https://g.example/m\"cp",
            "https://g.example/m cp",
            "urn:example:mcp",
        ] {
            assert_eq!(metadata(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_slash_at_the_end_leads_to_the_same_metadata_and_any_other_path_does_not() {
        for (path, inserted, leads) in [
            ("/", "", true),
            ("/", "/", false),
            ("/mcp", "/mcp", true),
            ("/mcp", "/mcp/", false),
            ("/mcp/", "/mcp", true),
            ("/mcp/", "/mcp/", true),
            ("/mcp", "", false),
            ("/mcp", "/mcpx", false),
            ("/mcp", "/MCP", false),
        ] {
            assert_eq!(is_inserted(path, inserted), leads, "{path} {inserted}");
        }
    }
}
