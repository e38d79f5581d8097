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

const EVENTS: &str = "/events";
const GLOBAL_REVOCATION: &str = "/global-token-revocation";
const BACKCHANNEL_LOGOUT: &str = "/backchannel-logout";

/// Where a host mounts what external issuers call, if no URL of an endpoint says otherwise.
const REVOCATIONS: &str = "/v1/auth/revocations";

pub(super) fn answer(state: &ServiceState, parts: &Parts) -> Answer {
    let gateway = Documented {
        settings: &state.settings,
        prefix: &state.prefix,
        has_pages: state.pages.is_some(),
        keeps_events: state.admin.keeps_events(),
        revocations: [
            state.receiver.takes_events(),
            state.receiver.revocation_endpoint().is_some(),
            state.receiver.takes_logout_tokens(),
        ],
        revocations_at: &revocations_at(state),
    };
    well_known::public(parts, &document(&gateway))
}

/// What decides which endpoints are documented, and where they are.
#[derive(Clone, Copy)]
struct Documented<'a> {
    settings: &'a IssueSettings,
    prefix: &'a str,
    has_pages: bool,
    keeps_events: bool,
    /// Which of the endpoints for external issuers are on, in the order of the document.
    revocations: [bool; 3],
    /// The path that they are mounted at.
    revocations_at: &'a str,
}

/// The host names the URL of one of these endpoints: the others are beside it.
fn revocations_at(state: &ServiceState) -> String {
    let url = state.receiver.revocation_endpoint().and_then(|url| Url::parse(url).ok());
    let path = url.as_ref().and_then(|url| url.path().strip_suffix(GLOBAL_REVOCATION));
    path.unwrap_or(REVOCATIONS).to_owned()
}

/// The document with the paths of the endpoints that are on.
fn document(gateway: &Documented<'_>) -> Value {
    let settings = gateway.settings;
    let mut document: Value = serde_json::from_str(DOCUMENT).expect("it is JSON: the tests read it");
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    if let Ok(issuer) = Url::parse(&settings.issuer) {
        document["servers"][0]["url"] = issuer.origin().ascii_serialization().into();
    }
    if let Some(paths) = document["paths"].as_object_mut() {
        *paths = std::mem::take(paths)
            .into_iter()
            .flat_map(|(path, item)| real_paths(gateway, &path).zip(copies(item)))
            .collect::<Map<_, _>>();
    }
    document
}

/// The real paths of what is documented at `path`: none when it is off, and several when each resource has one.
fn real_paths(gateway: &Documented<'_>, path: &str) -> std::vec::IntoIter<String> {
    let settings = gateway.settings;
    let paths = match path {
        AUTHORIZATION_SERVER => settings.endpoints.token.iter().map(|_| server_metadata(settings)).collect(),
        Resource::WELL_KNOWN => {
            settings.audiences.resources.iter().map(|resource| resource.metadata.path().to_owned()).collect()
        }
        _ if is_off(gateway, path) => Vec::new(),
        _ if path.starts_with("/.well-known/") || is_of_operators(path) => vec![path.to_owned()],
        EVENTS | GLOBAL_REVOCATION | BACKCHANNEL_LOGOUT => vec![format!("{}{path}", gateway.revocations_at)],
        _ => vec![format!("{}{path}", gateway.prefix)],
    };
    paths.into_iter()
}

fn server_metadata(settings: &IssueSettings) -> String {
    let path = Url::parse(&settings.issuer).map(|issuer| issuer.path().to_owned()).unwrap_or_default();
    format!("{AUTHORIZATION_SERVER}{}", path.strip_suffix('/').unwrap_or(&path))
}

fn is_of_operators(path: &str) -> bool {
    path == "/admin" || path.starts_with("/admin/")
}

fn is_off(gateway: &Documented<'_>, path: &str) -> bool {
    let endpoints = &gateway.settings.endpoints;
    match path {
        "/token" | "/oauth-client" => endpoints.token.is_none(),
        "/introspect" => endpoints.introspection.is_none(),
        "/revoke" => endpoints.revocation.is_none(),
        "/device_authorization" | "/device" => !gateway.has_pages || endpoints.device_authorization.is_none(),
        "/authorize" => !gateway.has_pages || endpoints.authorization.is_none(),
        "/devices" | "/admin" => !gateway.has_pages,
        "/admin/users/{user}/events" => !gateway.keeps_events,
        EVENTS => !gateway.revocations[0],
        GLOBAL_REVOCATION => !gateway.revocations[1],
        BACKCHANNEL_LOGOUT => !gateway.revocations[2],
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
            Endpoint::DeviceAuthorization => "/device_authorization",
            Endpoint::DevicePage => "/device",
            Endpoint::Authorize => "/authorize",
            Endpoint::DevicesPage => "/devices",
            Endpoint::SecurityEvents => "/events",
            Endpoint::GlobalTokenRevocation => "/global-token-revocation",
            Endpoint::BackchannelLogout => "/backchannel-logout",
            Endpoint::Jwks => "/.well-known/jwks.json",
            Endpoint::AuthorizationServer(_) => AUTHORIZATION_SERVER,
            Endpoint::ProtectedResource(_) => Resource::WELL_KNOWN,
            // It does not document itself.
            Endpoint::OpenApi => "",
        }
    }

    const PATHS: [&str; 20] = [
        "/events",
        "/global-token-revocation",
        "/backchannel-logout",
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
        "/device_authorization",
        "/device",
        "/authorize",
        "/devices",
        "/.well-known/jwks.json",
        AUTHORIZATION_SERVER,
        Resource::WELL_KNOWN,
    ];

    #[test]
    fn every_endpoint_is_documented_with_its_methods_and_nothing_else_is() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let documented = document["paths"].as_object().unwrap();
        for (path, item) in documented.iter().filter(|(path, _)| !is_of_operators(path)) {
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
        let of = |settings: &IssueSettings, prefix: &str, is_on: bool| {
            let revocations = [is_on, false, is_on];
            let (has_pages, keeps_events, revocations_at) = (is_on, is_on, REVOCATIONS);
            document(&Documented { settings, prefix, has_pages, keeps_events, revocations, revocations_at })
        };
        let paths =
            |document: Value| document["paths"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let few = paths(of(&settings, "/v1/auth/bridge", false));
        assert!(few.contains(&"/v1/auth/bridge/code".to_owned()), "{few:?}");
        assert!(few.iter().all(|path| !path.contains("oauth") && !path.ends_with("/token")), "{few:?}");
        for path in ["/device", "/devices", "/authorize", "/admin", "/events", "/device_authorization"] {
            assert!(few.iter().all(|documented| !documented.ends_with(path)), "{path}: {few:?}");
        }
        settings.endpoints.token = "https://gateway.example/token".parse().ok();
        let resources = ["https://gateway.example", "https://gateway.example/mcp"];
        settings.audiences.resources =
            resources.map(|resource| ProtectedResource::new(resource).try_into().unwrap()).to_vec();
        let more = paths(of(&settings, "", true));
        for path in [
            "/code",
            "/token",
            "/devices",
            "/v1/auth/revocations/events",
            "/v1/auth/revocations/backchannel-logout",
            "/admin",
            "/admin/users/{user}/events",
            "/.well-known/oauth-authorization-server/tenant",
            "/.well-known/oauth-protected-resource",
            "/.well-known/oauth-protected-resource/mcp",
        ] {
            assert!(more.contains(&path.to_owned()), "{path}: {more:?}");
        }
        for path in ["/introspect", "/device", "/authorize", "/global-token-revocation"] {
            assert!(!more.contains(&path.to_owned()), "{path}: {more:?}");
        }
        assert_eq!(of(&settings, "", true)["servers"][0]["url"], "https://gateway.example");
    }
}
