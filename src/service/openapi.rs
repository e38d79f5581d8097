//! The OpenAPI document of all endpoints.

use http::request::Parts;
use serde_json::{Map, Value};
use url::Url;

use super::answer::Answer;
use super::endpoint::AUTHORIZATION_SERVER;
use super::state::ServiceState;
use super::well_known;
use crate::audience::Resource;
use crate::issue::IssueSettings;

/// Kept by hand. `tests/openapi.rs` compares it with the endpoints.
const DOCUMENT: &str = include_str!("openapi.json");

pub(super) fn answer(state: &ServiceState, parts: &Parts) -> Answer {
    well_known::public(parts, &document(&state.settings, &state.prefix))
}

/// The document with the paths of the endpoints that are on.
fn document(settings: &IssueSettings, prefix: &str) -> Value {
    let mut document: Value = serde_json::from_str(DOCUMENT).expect("it is JSON: the tests read it");
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    if let Ok(issuer) = Url::parse(&settings.issuer) {
        document["servers"][0]["url"] = issuer.origin().ascii_serialization().into();
    }
    if let Some(paths) = document["paths"].as_object_mut() {
        *paths = std::mem::take(paths)
            .into_iter()
            .flat_map(|(path, item)| real_paths(settings, prefix, &path).zip(copies(item)))
            .collect::<Map<_, _>>();
    }
    document
}

/// The real paths of what is documented at `path`: none when it is off, and several when each resource has one.
fn real_paths(settings: &IssueSettings, prefix: &str, path: &str) -> std::vec::IntoIter<String> {
    let paths = match path {
        AUTHORIZATION_SERVER => settings.endpoints.token.iter().map(|_| server_metadata(settings)).collect(),
        Resource::WELL_KNOWN => {
            settings.audiences.resources.iter().map(|resource| resource.metadata.path().to_owned()).collect()
        }
        _ if path.starts_with("/.well-known/") || path.starts_with("/admin/") => vec![path.to_owned()],
        _ if is_off(settings, path) => Vec::new(),
        _ => vec![format!("{prefix}{path}")],
    };
    paths.into_iter()
}

fn server_metadata(settings: &IssueSettings) -> String {
    let path = Url::parse(&settings.issuer).map(|issuer| issuer.path().to_owned()).unwrap_or_default();
    format!("{AUTHORIZATION_SERVER}{}", path.strip_suffix('/').unwrap_or(&path))
}

fn is_off(settings: &IssueSettings, path: &str) -> bool {
    match path {
        "/token" | "/oauth-client" => settings.endpoints.token.is_none(),
        "/introspect" => settings.endpoints.introspection.is_none(),
        "/revoke" => settings.endpoints.revocation.is_none(),
        _ => false,
    }
}

/// The item, again and again, one for each path. Each operation has its own name (OpenAPI 3.1 §4.8.10).
fn copies(item: Value) -> impl Iterator<Item = Value> {
    (1..).map(move |number| {
        let mut item = item.clone();
        if number > 1
            && let Some(Value::String(name)) = item.pointer_mut("/get/operationId")
        {
            name.push_str(&number.to_string());
        }
        item
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::audience::ProtectedResource;
    use crate::service::endpoint::Endpoint;

    /// The path of an endpoint in the document. The compiler asks for a new endpoint here. Add its path to [`PATHS`].
    fn path_of(endpoint: &Endpoint) -> &'static str {
        match endpoint {
            Endpoint::Code => "/code",
            Endpoint::Session => "/session",
            Endpoint::OauthClient => "/oauth-client",
            Endpoint::Capabilities => "/capabilities",
            Endpoint::Sessions => "/sessions",
            Endpoint::OneSession(_) => "/sessions/{id}",
            Endpoint::Logout => "/logout",
            Endpoint::Token => "/token",
            Endpoint::Introspect => "/introspect",
            Endpoint::Revoke => "/revoke",
            Endpoint::Jwks => "/.well-known/jwks.json",
            Endpoint::AuthorizationServer(_) => AUTHORIZATION_SERVER,
            Endpoint::ProtectedResource(_) => Resource::WELL_KNOWN,
            // It does not document itself.
            Endpoint::OpenApi => "",
        }
    }

    const PATHS: [&str; 13] = [
        "/code",
        "/session",
        "/oauth-client",
        "/capabilities",
        "/sessions",
        "/sessions/{id}",
        "/logout",
        "/token",
        "/introspect",
        "/revoke",
        "/.well-known/jwks.json",
        AUTHORIZATION_SERVER,
        Resource::WELL_KNOWN,
    ];

    #[test]
    fn every_endpoint_is_documented_with_its_methods_and_nothing_else_is() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let documented = document["paths"].as_object().unwrap();
        for (path, item) in documented.iter().filter(|(path, _)| !path.starts_with("/admin/")) {
            let endpoint = Endpoint::at(path).unwrap_or_else(|| panic!("no endpoint at {path}"));
            assert_eq!(path_of(&endpoint), path);
            let methods: BTreeSet<_> =
                item.as_object().unwrap().keys().map(|name| name.to_uppercase()).collect();
            let implied = ["HEAD", "OPTIONS"];
            let taken = endpoint.methods().split(", ").filter(|method| !implied.contains(method));
            assert_eq!(methods, taken.map(str::to_owned).collect(), "{path}");
        }
        for path in PATHS {
            assert!(documented.contains_key(path), "{path} is not documented");
        }
    }

    #[test]
    fn what_is_off_is_not_documented_and_the_rest_stands_where_it_is() {
        let mut settings = IssueSettings::new("https://gateway.example/tenant".to_owned());
        let paths = |settings: &IssueSettings, prefix: &str| {
            document(settings, prefix)["paths"].as_object().unwrap().keys().cloned().collect::<Vec<_>>()
        };
        let few = paths(&settings, "/v1/auth/bridge");
        assert!(few.contains(&"/v1/auth/bridge/code".to_owned()), "{few:?}");
        assert!(few.iter().all(|path| !path.contains("oauth") && !path.ends_with("/token")), "{few:?}");
        settings.endpoints.token = "https://gateway.example/token".parse().ok();
        let resources = ["https://gateway.example", "https://gateway.example/mcp"];
        settings.audiences.resources =
            resources.map(|resource| ProtectedResource::new(resource).try_into().unwrap()).to_vec();
        let more = paths(&settings, "");
        for path in [
            "/code",
            "/token",
            "/.well-known/oauth-authorization-server/tenant",
            "/.well-known/oauth-protected-resource",
            "/.well-known/oauth-protected-resource/mcp",
        ] {
            assert!(more.contains(&path.to_owned()), "{path}: {more:?}");
        }
        assert!(!more.contains(&"/introspect".to_owned()));
        assert_eq!(document(&settings, "")["servers"][0]["url"], "https://gateway.example");
    }
}
