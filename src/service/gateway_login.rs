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
use super::oauth::form::Form;
use super::request_body::RequestBody;
use crate::id::ClientId;
use crate::issue::IssueSettings;
use crate::rejection::{Rejection, RejectionBody};
use crate::validate::BuildError;

/// The profile, when it is on.
#[derive(Debug)]
pub(crate) struct GatewayLogin {
    /// The client that its requests are of.
    client: ClientId,
}

/// The id that some versions of the client send. Others send none.
const CLAUDE_CODE: &str = "claude-code";

impl GatewayLogin {
    /// The version of the protocol, in the metadata.
    pub(super) const PROTOCOL_VERSION: u8 = 1;

    /// Checks that the client could sign in with these settings.
    pub(crate) fn new(settings: &IssueSettings) -> Result<Self, BuildError> {
        let needs = |needs| BuildError::GatewayLogin { needs };
        let endpoints = [&settings.endpoints.device_authorization, &settings.endpoints.token];
        let [Some(device_authorization), Some(token)] = endpoints else {
            return Err(needs(
                "BridgeBuilder::device_authorization_endpoint and BridgeBuilder::token_endpoint",
            ));
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
        let client = named.map_or_else(|| settings.bridge_client.clone(), |client| client.id.clone());
        Ok(Self { client })
    }

    /// The client that a request of this login is of. `None`: it is another program's, which names or proves its client.
    ///
    /// Everyone can claim to be a public client. So nobody gets in by this who would not get in by naming the client.
    pub(super) fn client_of(&self, parts: &Parts, form: &Form) -> Option<&ClientId> {
        const PROOFS: [&str; 3] = ["client_secret", "client_assertion", "client_assertion_type"];
        let names_no_other = form.value("client_id").is_none_or(|id| id == CLAUDE_CODE);
        let proves = parts.headers.contains_key(AUTHORIZATION)
            || PROOFS.into_iter().any(|name| form.value(name).is_some());
        // Without a grant it is the device authorization endpoint, or a revocation.
        let is_its_grant =
            form.value("grant_type").is_none_or(|grant| [DEVICE_CODE, "refresh_token"].contains(&grant));
        (names_no_other && !proves && is_its_grant).then_some(&self.client)
    }

    /// Whether a request for codes has nothing to say. No source tells whether the client sends a form that is empty, or
    /// nothing at all.
    pub(super) fn starts_without_body(parts: &Parts, body: &RequestBody) -> bool {
        body.is_empty() && !parts.headers.contains_key(CONTENT_TYPE)
    }

    /// Whether the error of a refresh must be 401. This login then signs the person in again. All other clients get the
    /// 400 of RFC 6749 §5.2.
    pub(super) fn expects_401(&self, parts: &Parts, form: &Form, error: &EndpointError) -> bool {
        error.is_invalid_grant() && self.client_of(parts, form).is_some()
    }
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
