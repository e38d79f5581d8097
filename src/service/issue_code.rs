//! `POST /code`: a signed-in person begins to link a bridge.

use http::StatusCode;
use http::request::Parts;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, EndpointError, json};
use super::request_body::RequestBody;
use super::state::ServiceState;
use super::{cross_site, rate_limited};
use crate::audience::Audiences;
use crate::clock::since_epoch;
use crate::id::CodeChallenge;
use crate::issue::{CodeRequest, SignedIn};
use crate::store::IssueCodeError;
use crate::token::never_null;

#[derive(Default, Deserialize)]
struct Asked {
    #[serde(default, deserialize_with = "never_null")]
    code_challenge: Option<String>,
    #[serde(default, deserialize_with = "never_null")]
    code_challenge_method: Option<String>,
    #[serde(default, deserialize_with = "never_null")]
    resource: Option<String>,
}

#[derive(Serialize)]
struct Issued<'a> {
    code: &'a str,
    expires_at: u64,
}

pub(super) async fn answer(state: &ServiceState, parts: &Parts, body: RequestBody) -> Answer {
    cross_site::refuse_cross_site(state, parts)?;
    let signed_in = parts.extensions.get::<SignedIn>().ok_or_else(|| {
        EndpointError::unauthenticated(
            state,
            "sign_in_required",
            "Sign in first. A code is issued to a signed-in person only.",
        )
    })?;
    rate_limited::person(state, &signed_in.user_id).await?;
    let asked: Asked = body.json(&parts.headers).await?.unwrap_or_default();
    let issued = state.issuer.issue_code(signed_in, asked.request(&state.settings.audiences)?).await;
    let issued = issued.map_err(|error| refused(state, error))?;
    let expires_at = since_epoch(issued.expires_at).as_secs();
    Ok(json(StatusCode::CREATED, &Issued { code: issued.code.expose(), expires_at }))
}

fn refused(state: &ServiceState, error: IssueCodeError) -> EndpointError {
    let forbidden = |code, detail| EndpointError::new(StatusCode::FORBIDDEN, code, detail);
    match error {
        IssueCodeError::UnknownUser | IssueCodeError::UserDisabled => {
            forbidden("user_disabled", "This account may not link a bridge.")
        }
        IssueCodeError::ReservedUser => forbidden(
            "user_id_reserved",
            "The id of this account is also the id of a client, so it may not link a bridge.",
        ),
        IssueCodeError::ChallengeRequired => EndpointError::invalid_request(
            "Send a code_challenge (PKCE, S256). No code is issued without one.",
        ),
        IssueCodeError::TicketUsed => EndpointError::invalid_request("The consent was used before."),
        IssueCodeError::Resource => UNKNOWN_RESOURCE,
        IssueCodeError::Store(fault) => EndpointError::unavailable(state, &fault),
    }
}

const UNKNOWN_RESOURCE: EndpointError = EndpointError::new(
    StatusCode::BAD_REQUEST,
    "invalid_target",
    "No token is issued for this resource. Name one resource by its URL.",
);

impl Asked {
    fn request(&self, audiences: &Audiences) -> Result<CodeRequest, EndpointError> {
        let resource = self.resource.as_deref();
        let resource = resource.map(|text| audiences.named_by(text).cloned().ok_or(UNKNOWN_RESOURCE));
        let (resource, challenge) = (resource.transpose()?, self.challenge()?);
        Ok(CodeRequest { resource, challenge, ..CodeRequest::default() })
    }

    /// The PKCE challenge. Only `S256` is accepted; a missing method would mean `plain` (RFC 7636 §4.3).
    fn challenge(&self) -> Result<Option<CodeChallenge>, EndpointError> {
        let malformed = EndpointError::invalid_request(
            "Send a code_challenge of 43 base64url characters, and code_challenge_method S256 (PKCE).",
        );
        match (self.code_challenge.as_deref(), self.code_challenge_method.as_deref()) {
            (None, None) => Ok(None),
            (Some(challenge), Some("S256")) => {
                CodeChallenge::parse(challenge).map(Some).map_err(|_| malformed)
            }
            _ => Err(malformed),
        }
    }
}
