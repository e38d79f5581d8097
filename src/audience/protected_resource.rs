//! Resources that OAuth clients find by themselves (RFC 9728), and the paths of metadata documents.

use url::Url;

use crate::id::{Audience, Scopes};
use crate::validate::{BuildError, is_quotable, is_safe};

/// A resource of this gateway that OAuth clients may find by themselves (RFC 9728).
///
/// [`BridgeBuilder::protected_resource`](crate::BridgeBuilder::protected_resource) takes it.
#[derive(Debug, Clone)]
#[must_use = "hand it to BridgeBuilder::protected_resource"]
pub struct ProtectedResource {
    resource: String,
    scopes: Scopes,
    name: Option<String>,
}

impl ProtectedResource {
    /// The resource at this URL, which is the audience of its tokens: `https://gateway.example/mcp`.
    ///
    /// Clients compare it byte for byte with the URL they call (RFC 9728 §3.3), so it stands in the metadata as it is written
    /// here. A resource that is a whole host is best written without a slash at its end.
    pub fn new(resource: impl Into<String>) -> Self {
        Self { resource: resource.into(), scopes: Scopes::default(), name: None }
    }

    /// The scopes that a client needs for what is usual there, which a client asks for that has no better idea: name few.
    /// Challenges name them too, where the layer requires no others. Default: none are named.
    pub fn scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = scopes;
        self
    }

    /// What to call it before people. Default: nothing.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

/// A protected resource whose URL holds.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    pub(crate) resource: Audience,
    pub(crate) scopes: Scopes,
    pub(crate) name: Option<String>,
    /// Where its metadata are: on its own host, not on the issuer's (RFC 9728 §3.1).
    pub(crate) metadata: Url,
    path: String,
}

impl Resource {
    /// Where the metadata of all of them begin.
    pub(crate) const WELL_KNOWN: &'static str = "/.well-known/oauth-protected-resource";

    /// Whether the metadata are those for `path`, what follows [`WELL_KNOWN`](Self::WELL_KNOWN).
    pub(crate) fn is_at(&self, path: &str) -> bool {
        is_inserted(&self.path, path)
    }

    /// Whether one path would lead to the metadata of both.
    pub(super) fn hides(&self, other: &Self) -> bool {
        without_slash(&self.path) == without_slash(&other.path)
    }
}

impl TryFrom<ProtectedResource> for Resource {
    type Error = BuildError;

    fn try_from(given: ProtectedResource) -> Result<Self, BuildError> {
        let ProtectedResource { resource: text, scopes, name } = given;
        let url = Url::parse(&text).ok().filter(|url| is_safe(url) && url.query().is_none());
        let audience = Audience::parse(&text).ok().filter(|_| is_quotable(&text));
        let (Some(url), Some(resource)) = (url, audience) else {
            return Err(BuildError::Text {
                what: "the protected resource",
                value: text,
                allowed: "an https URL without query and fragment (http is for loopback alone)",
            });
        };
        let path = url.path().to_owned();
        let mut metadata = url;
        metadata.set_path(&format!("{}{}", Self::WELL_KNOWN, if path == "/" { "" } else { &path }));
        Ok(Self { resource, scopes, name, metadata, path })
    }
}

/// Whether `inserted` is `path` as it stands behind a well-known path: without a slash at its end (RFC 8414 §3.1), or as
/// it is, for clients that cut off none.
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
