//! The resource that a token is asked for (RFC 8707).

use url::Url;

use super::error::INVALID_TARGET;
use super::form::Form;
use crate::id::Audience;
use crate::service::answer::EndpointError;
use crate::settings::Settings;

/// The audience of the resource that was named; `None` when none was. A token has one resource (RFC 9700 §2.3), so two
/// different ones are one too many.
pub(in crate::service) fn audience(
    settings: &Settings,
    form: &Form,
) -> Result<Option<Audience>, EndpointError> {
    let mut named = form.values("resource").map(|text| find(settings, text).ok_or(INVALID_TARGET));
    let Some(first) = named.next().transpose()? else { return Ok(None) };
    match named.all(|other| other.is_ok_and(|other| other == first)) {
        true => Ok(Some(first)),
        false => Err(INVALID_TARGET),
    }
}

/// The audience that this URI is a spelling of: what does not tell two resources apart (the case of scheme and host, a
/// default port, the slash of an empty path) may be written either way (RFC 3986 §6.2).
pub(in crate::service) fn find(settings: &Settings, resource: &str) -> Option<Audience> {
    let asked = absolute(resource)?;
    let described = settings.protected_resources.iter().map(|found| &found.resource);
    let mut known = settings.audiences.iter().chain(&settings.other_audiences).chain(described);
    known.find(|audience| absolute(audience.as_str()).as_ref() == Some(&asked)).cloned()
}

/// An absolute URI without a fragment. `Url` repairs what is none, so the text must hold only what may stand in one
/// (RFC 3986 §2).
fn absolute(text: &str) -> Option<Url> {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&b);
    let url = Url::parse(text).ok()?;
    (text.bytes().all(is_allowed) && url.fragment().is_none()).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(resource: &str) -> Option<String> {
        let mut settings = Settings::new("https://gateway.example".to_owned());
        settings.other_audiences =
            ["https://gateway.example/mcp", "https://api.example", "urn:example:tools"]
                .map(|name| Audience::parse(name).unwrap())
                .to_vec();
        find(&settings, resource).map(|audience| audience.to_string())
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
