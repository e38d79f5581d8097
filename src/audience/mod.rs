//! For whom tokens are issued: the audiences of a bridge, and the resources that OAuth clients discover.

mod protected_resource;

pub use protected_resource::ProtectedResource;
pub(crate) use protected_resource::{Resource, is_inserted};

use url::Url;

use crate::id::Audience;
use crate::validate::BuildError;

/// All audiences that tokens are issued for.
#[derive(Debug, Clone)]
pub(crate) struct Audiences {
    /// The audiences of a token that asks for none.
    pub(crate) of_bridges: Vec<Audience>,
    /// Audiences that a token has only when it asks for them.
    pub(crate) others: Vec<Audience>,
    /// Protected resources. Their URLs are audiences too.
    pub(crate) resources: Vec<Resource>,
}

impl Default for Audiences {
    fn default() -> Self {
        let of_bridges = ["bridge", "mcp"].map(|name| Audience::parse(name).expect("it is well-formed"));
        Self { of_bridges: of_bridges.to_vec(), others: Vec::new(), resources: Vec::new() }
    }
}

impl Audiences {
    /// Whether tokens are issued for `audience`.
    pub(crate) fn knows(&self, audience: &Audience) -> bool {
        self.iter().any(|known| known == audience)
    }

    /// Whether tokens are issued for every one of `audiences`. Yes when there are none.
    pub(crate) fn knows_all<'a>(&self, audiences: impl IntoIterator<Item = &'a Audience>) -> bool {
        audiences.into_iter().all(|audience| self.knows(audience))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Audience> {
        let resources = self.resources.iter().map(|resource| &resource.resource);
        self.of_bridges.iter().chain(&self.others).chain(resources)
    }

    /// The audience that the URI `resource` names.
    ///
    /// One audience has several spellings. The case of scheme and host, a default port and the slash of an empty path
    /// make no difference (RFC 3986 §6.2).
    pub(crate) fn named_by(&self, resource: &str) -> Option<&Audience> {
        let asked = absolute(resource)?;
        self.iter().find(|audience| absolute(audience.as_str()).as_ref() == Some(&asked))
    }

    /// The protected resource whose URL is `audience`.
    pub(crate) fn protected_resource(&self, audience: &Audience) -> Option<&Resource> {
        self.resources.iter().find(|found| found.resource == *audience)
    }

    /// The first audience of bridges.
    pub(crate) fn first(&self) -> Result<&Audience, BuildError> {
        let setter = "BridgeBuilder::audiences";
        self.of_bridges.first().ok_or(BuildError::Audiences { count: 0, characters: 0, setter })
    }

    pub(crate) fn check(&self) -> Result<(), BuildError> {
        for (audiences, least, setter) in [
            (&self.of_bridges, 1, "BridgeBuilder::audiences"),
            (&self.others, 0, "BridgeBuilder::other_audiences"),
        ] {
            let characters = audiences.iter().map(|audience| audience.as_str().len()).sum();
            if !(least..=16).contains(&audiences.len()) || characters > 1024 {
                return Err(BuildError::Audiences { count: audiences.len(), characters, setter });
            }
        }
        self.check_resources()
    }

    /// Refuses two resources with the same metadata path. The path alone tells resources apart, because the client
    /// chooses `Host`.
    fn check_resources(&self) -> Result<(), BuildError> {
        let resources = &self.resources;
        let hidden = resources
            .iter()
            .enumerate()
            .find(|(index, resource)| resources[..*index].iter().any(|before| before.hides(resource)));
        match hidden {
            Some((_, resource)) => Err(BuildError::Text {
                what: "the protected resource",
                value: resource.resource.to_string(),
                allowed: "at a path that no other protected resource has (a trailing slash makes no difference)",
            }),
            None => Ok(()),
        }
    }
}

/// Parses an absolute URI without a fragment.
///
/// `Url` repairs malformed text. So the text may hold only the characters of a URI (RFC 3986 §2).
fn absolute(text: &str) -> Option<Url> {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&b);
    let url = Url::parse(text).ok()?;
    (text.bytes().all(is_allowed) && url.fragment().is_none()).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(resource: &str) -> Option<String> {
        let others = ["https://gateway.example/mcp", "https://api.example", "urn:example:tools"]
            .map(|name| Audience::parse(name).unwrap())
            .to_vec();
        Audiences { others, ..Audiences::default() }.named_by(resource).map(ToString::to_string)
    }

    #[test]
    fn one_resource_has_several_spellings() {
        for same in
            ["https://gateway.example/mcp", "HTTPS://Gateway.EXAMPLE/mcp", "https://gateway.example:443/mcp"]
        {
            assert_eq!(found(same).as_deref(), Some("https://gateway.example/mcp"), "{same}");
        }
        for same in ["https://api.example", "https://api.example/", "https://API.example:443"] {
            assert_eq!(found(same).as_deref(), Some("https://api.example"), "{same}");
        }
        assert_eq!(found("urn:example:tools").as_deref(), Some("urn:example:tools"));
    }

    #[test]
    fn what_is_another_resource_or_none_is_not_found() {
        for other in [
            "mcp",
            "bridge",
            "/mcp",
            "//gateway.example/mcp",
            "https://gateway.example/mcp#",
            "https://gateway.example/mcp#x",
            "https://gateway.example/MCP",
            "https://gateway.example/mcp/",
            "https://gateway.example/mcp?x",
            "https://gateway.example:8443/mcp",
            "http://gateway.example/mcp",
            "https://u@gateway.example/mcp",
            "https:\\\\gateway.example\\mcp",
            "https://gateway.example/m\tcp",
            " https://gateway.example/mcp",
            "https://evil.example/mcp",
            "https://",
            "\u{0}",
        ] {
            assert_eq!(found(other), None, "{other:?}");
        }
    }
}
