//! The documents that OAuth clients discover (RFC 8414, RFC 9728).

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL,
    HeaderValue, PRAGMA,
};
use http::request::Parts;
use http::{Method, StatusCode};
use serde::Serialize;
use url::Url;

use super::answer::{Answer, EndpointError, json, no_content};
use super::gateway_login;
use super::jwks::PUBLIC;
use super::oauth::{DEVICE_CODE, JWT_BEARER, TOKEN_EXCHANGE};
use super::state::ServiceState;
use crate::audience::is_inserted;
use crate::id::{Audience, Scope};
use crate::issue::IssueSettings;
use crate::token::AssertionKind;

/// The profile of identity assertions among the grants of RFC 7523.
const ID_JAG: &str = "urn:ietf:params:oauth:grant-profile:id-jag";
const BASIC: &str = "client_secret_basic";
const POST: &str = "client_secret_post";
const ASSERTION: &str = "private_key_jwt";
/// The authentication methods of a confidential client.
const PROOFS: [&str; 3] = [BASIC, POST, ASSERTION];
const PROOFS_AND_NONE: [&str; 4] = [BASIC, POST, ASSERTION, "none"];
const ASSERTION_ALGORITHMS: [&str; 5] = ["EdDSA", "Ed25519", "ES256", "PS256", "RS256"];

/// The authorization server metadata, when `path` is the issuer's path.
pub(super) fn authorization_server(state: &ServiceState, parts: &Parts, path: &str) -> Answer {
    let settings = &*state.settings;
    // Claude Code appends the well-known path to a base with a path. A router that nests has cut the base's path off.
    let is_its_path = Url::parse(&settings.issuer).is_ok_and(|issuer| is_inserted(issuer.path(), path))
        || (state.gateway_login.is_some() && path.is_empty());
    let metadata = AuthorizationServer::of(state).filter(|_| is_its_path);
    public(parts, &metadata.ok_or_else(EndpointError::not_found)?)
}

/// The metadata of the protected resource whose path is `path`.
pub(super) fn protected_resource(state: &ServiceState, parts: &Parts, path: &str) -> Answer {
    let settings = &*state.settings;
    let resource = settings.audiences.resources.iter().find(|resource| resource.is_at(path));
    let resource = resource.ok_or_else(EndpointError::not_found)?;
    let metadata = ResourceMetadata {
        resource: &resource.resource,
        authorization_servers: [&settings.issuer],
        scopes_supported: resource.scopes.iter().collect(),
        bearer_methods_supported: ["header"],
        resource_name: resource.name.as_deref(),
    };
    public(parts, &metadata)
}

/// The authorization server metadata (RFC 8414 §2).
///
/// Without pages, the authorization endpoint is the host's own: there a person gets a code from `POST /code`.
#[derive(Serialize)]
struct AuthorizationServer<'a> {
    issuer: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_endpoint: Option<&'a str>,
    /// RFC 9207 §3: where the authorization endpoint is ours.
    #[serde(skip_serializing_if = "is_false")]
    authorization_response_iss_parameter_supported: bool,
    #[serde(skip_serializing_if = "is_false")]
    client_id_metadata_document_supported: bool,
    /// RFC 8628 §4.
    #[serde(skip_serializing_if = "Option::is_none")]
    device_authorization_endpoint: Option<&'a str>,
    token_endpoint: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes_supported: Vec<&'a Scope>,
    /// Required and never empty (§3.2): the response type that belongs to the code grant.
    response_types_supported: [&'static str; 1],
    grant_types_supported: Vec<&'static str>,
    /// draft-ietf-oauth-identity-assertion-authz-grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_grant_profiles_supported: Option<[&'static str; 1]>,
    token_endpoint_auth_methods_supported: [&'static str; 4],
    token_endpoint_auth_signing_alg_values_supported: [&'static str; 5],
    code_challenge_methods_supported: [&'static str; 1],
    #[serde(flatten)]
    revocation: Option<RevocationMetadata<'a>>,
    #[serde(flatten)]
    introspection: Option<IntrospectionMetadata<'a>>,
    #[serde(flatten)]
    global_revocation: Option<GlobalRevocationMetadata<'a>>,
    /// RFC 9728 §4.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    protected_resources: Vec<&'a Audience>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway_protocol_version: Option<u8>,
}

#[derive(Serialize)]
struct RevocationMetadata<'a> {
    revocation_endpoint: &'a str,
    revocation_endpoint_auth_methods_supported: [&'static str; 4],
    revocation_endpoint_auth_signing_alg_values_supported: [&'static str; 5],
}

/// draft-parecki-oauth-global-token-revocation §6.
#[derive(Serialize)]
struct GlobalRevocationMetadata<'a> {
    global_token_revocation_endpoint: &'a str,
    global_token_revocation_endpoint_auth_methods_supported: [&'static str; 1],
}

#[derive(Serialize)]
struct IntrospectionMetadata<'a> {
    introspection_endpoint: &'a str,
    introspection_endpoint_auth_methods_supported: [&'static str; 3],
    introspection_endpoint_auth_signing_alg_values_supported: [&'static str; 5],
}

/// The metadata of a protected resource (RFC 9728 §2).
#[derive(Serialize)]
struct ResourceMetadata<'a> {
    resource: &'a Audience,
    authorization_servers: [&'a String; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes_supported: Vec<&'a Scope>,
    bearer_methods_supported: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_name: Option<&'a str>,
}

impl<'a> AuthorizationServer<'a> {
    /// The metadata. `None` without a token endpoint, because then there is nothing to discover.
    fn of(state: &'a ServiceState) -> Option<Self> {
        let settings = &*state.settings;
        let device_authorization = settings.endpoints.device_authorization.as_ref();
        let grants = [
            Some("client_credentials"),
            Some("authorization_code"),
            settings.refresh.at_token_endpoint.then_some("refresh_token"),
            device_authorization.map(|_| DEVICE_CODE),
            state.accepts_any_assertion().then_some(JWT_BEARER),
            settings.token_exchange.map(|_| TOKEN_EXCHANGE),
        ];
        let takes_identity_assertions = state.accepts_assertions(AssertionKind::Person);
        Some(Self {
            issuer: &settings.issuer,
            authorization_endpoint: settings.endpoints.authorization.as_ref().map(Url::as_str),
            authorization_response_iss_parameter_supported: state.has_authorize(),
            client_id_metadata_document_supported: state.pages.is_some() && state.issuer.takes_documents(),
            device_authorization_endpoint: device_authorization.map(Url::as_str),
            token_endpoint: settings.endpoints.token.as_ref()?.as_str(),
            jwks_uri: settings.endpoints.jwks.as_ref().map(Url::as_str),
            scopes_supported: scopes(settings),
            response_types_supported: ["code"],
            grant_types_supported: grants.into_iter().flatten().collect(),
            authorization_grant_profiles_supported: takes_identity_assertions.then_some([ID_JAG]),
            token_endpoint_auth_methods_supported: PROOFS_AND_NONE,
            token_endpoint_auth_signing_alg_values_supported: ASSERTION_ALGORITHMS,
            code_challenge_methods_supported: ["S256"],
            revocation: settings.endpoints.revocation.as_ref().map(|endpoint| RevocationMetadata {
                revocation_endpoint: endpoint.as_str(),
                revocation_endpoint_auth_methods_supported: PROOFS_AND_NONE,
                revocation_endpoint_auth_signing_alg_values_supported: ASSERTION_ALGORITHMS,
            }),
            introspection: settings.endpoints.introspection.as_ref().map(|endpoint| IntrospectionMetadata {
                introspection_endpoint: endpoint.as_str(),
                introspection_endpoint_auth_methods_supported: PROOFS,
                introspection_endpoint_auth_signing_alg_values_supported: ASSERTION_ALGORITHMS,
            }),
            global_revocation: state.receiver.revocation_endpoint().map(|endpoint| {
                GlobalRevocationMetadata {
                    global_token_revocation_endpoint: endpoint,
                    global_token_revocation_endpoint_auth_methods_supported: ["private_key_jwt"],
                }
            }),
            protected_resources: settings.audiences.resources.iter().map(|found| &found.resource).collect(),
            gateway_protocol_version: state.gateway_login.as_ref().map(|_| gateway_login::PROTOCOL_VERSION),
        })
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// The scopes that hook clients may ask for, and those of the protected resources.
fn scopes(settings: &IssueSettings) -> Vec<&Scope> {
    let resources = settings.audiences.resources.iter().flat_map(|resource| &resource.scopes);
    let mut scopes: Vec<_> = settings.hooks.scopes.iter().chain(resources).collect();
    scopes.sort_unstable();
    scopes.dedup();
    scopes
}

/// Answers with a document that everyone may read, pages of every origin too. The document does not depend on the
/// caller.
pub(super) fn public(parts: &Parts, document: &impl Serialize) -> Answer {
    let is_preflight = parts.method == Method::OPTIONS;
    let mut response = if is_preflight { no_content() } else { json(StatusCode::OK, document) };
    let headers = response.headers_mut();
    let any = HeaderValue::from_static("*");
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, any.clone());
    if is_preflight {
        // Stock MCP clients send `MCP-Protocol-Version`.
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, any);
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD"));
    } else {
        headers.insert(CACHE_CONTROL, PUBLIC);
        headers.remove(PRAGMA);
    }
    Ok(response)
}
