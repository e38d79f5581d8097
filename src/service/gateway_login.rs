//! The profile for the "Cloud gateway" login of Claude Code. All that it does otherwise than the standards is here.
//!
//! Read from the protocol that Anthropic's own gateway publishes (Claude Code 2.1.207; 2.1.211 on the wire), and from
//! two gateways that re-implement it: pleaseai/shunt, and BerriAI/litellm (with 2.1.278).

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use url::Url;

use super::answer::EndpointError;
use super::oauth::DEVICE_CODE;
use super::oauth::error::unauthorized;
use super::oauth::form::Form;
use super::request_body::RequestBody;
use super::state::ServiceState;
use crate::id::ClientId;
use crate::issue::IssueSettings;
use crate::rejection::{Rejection, RejectionBody};
use crate::request_context::SetAside;
use crate::validate::BuildError;

/// The id that some versions of the client send. Others send none.
const CLAUDE_CODE: &str = "claude-code";

/// The version of the protocol, in the metadata.
pub(super) const PROTOCOL_VERSION: u8 = 1;

/// The client that the requests of this login are of. Checks that it could sign in with these settings.
pub(crate) fn client_of_gateway_login(settings: &IssueSettings) -> Result<ClientId, BuildError> {
    let needs = |needs| BuildError::GatewayLogin { needs };
    let endpoints = [&settings.endpoints.device_authorization, &settings.endpoints.token];
    let [Some(device_authorization), Some(token)] = endpoints else {
        return Err(needs("BridgeBuilder::device_authorization_endpoint and BridgeBuilder::token_endpoint"));
    };
    let issuer = Url::parse(&settings.issuer).map_err(|_| BuildError::Issuer(settings.issuer.clone()))?;
    // The client refuses an endpoint of another origin.
    if [device_authorization, token].into_iter().any(|endpoint| endpoint.origin() != issuer.origin()) {
        return Err(needs(
            "a device authorization endpoint and a token endpoint on the origin of the issuer",
        ));
    }
    let named = ClientId::parse(CLAUDE_CODE).ok().and_then(|id| settings.clients.registered(&id));
    if named.is_some_and(|client| client.is_confidential()) {
        return Err(needs("a registered client \"claude-code\" to have no secret"));
    }
    Ok(named.map_or_else(|| settings.bridge_client.clone(), |client| client.id.clone()))
}

/// The client that a request is of when it is a request of this login. `None`: the profile is off, or the request is
/// another program's, which names or proves its client.
///
/// Everyone can claim to be a public client. So nobody gets in by this who would not get in by naming the client.
pub(super) fn client_of<'s>(state: &'s ServiceState, parts: &Parts, form: &Form) -> Option<&'s ClientId> {
    const PROOFS: [&str; 3] = ["client_secret", "client_assertion", "client_assertion_type"];
    let client = state.gateway_login.as_ref()?;
    let names_no_other = form.value("client_id").is_none_or(|id| id == CLAUDE_CODE);
    let proves = parts.headers.contains_key(AUTHORIZATION)
        || parts.extensions.get::<SetAside>().is_some()
        || PROOFS.into_iter().any(|name| form.value(name).is_some());
    // Without a grant it is the device authorization endpoint, or a revocation.
    let is_its_grant =
        form.value("grant_type").is_none_or(|grant| [DEVICE_CODE, "refresh_token"].contains(&grant));
    (names_no_other && !proves && is_its_grant).then_some(client)
}

/// Whether a request for codes has nothing to say. No source tells whether the client sends a form that is empty, or
/// nothing at all.
pub(super) fn starts_without_body(state: &ServiceState, parts: &Parts, body: &RequestBody) -> bool {
    state.gateway_login.is_some() && body.is_empty() && !parts.headers.contains_key(CONTENT_TYPE)
}

/// The error of a refresh, as the client of the request expects it.
///
/// This login wants 401 for a refused refresh, and then signs the person in again. All other clients get the 400 of RFC
/// 6749 §5.2.
pub(super) fn refused_refresh(
    state: &ServiceState,
    parts: &Parts,
    form: &Form,
    error: EndpointError,
) -> EndpointError {
    let is_its_own = client_of(state, parts, form).is_some();
    if is_its_own && error.is_invalid_grant() { unauthorized(state, error) } else { error }
}

/// The body of a layer's rejection, as clients of the Messages API read errors.
///
/// `{"type":"error","error":{"type":"authentication_error","message":"…"}}`
#[derive(Debug, Clone, Copy)]
pub(crate) struct MessagesApiError;

impl RejectionBody for MessagesApiError {
    fn body(&self, rejection: &Rejection) -> (HeaderValue, Bytes) {
        #[derive(Serialize)]
        struct Envelope {
            r#type: &'static str,
            error: Error,
        }
        #[derive(Serialize)]
        struct Error {
            r#type: &'static str,
            message: &'static str,
        }
        let error = Error { r#type: error_type(rejection.status()), message: rejection.detail() };
        let body = serde_json::to_vec(&Envelope { r#type: "error", error }).expect("strings serialise");
        (HeaderValue::from_static("application/json"), body.into())
    }
}

/// The client decides by this word, and by the status, what to do next.
fn error_type(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::FORBIDDEN => "permission_error",
        status if status.is_client_error() => "invalid_request_error",
        _ => "api_error",
    }
}
