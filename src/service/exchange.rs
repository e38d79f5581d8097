//! `POST /session`: a bridge exchanges its code for access.

use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize, Serializer};

use super::answer::{Answer, EndpointError, json};
use super::request_body::RequestBody;
use super::session_origin;
use super::state::ServiceState;
use crate::clock::since_epoch;
use crate::header::{Head, X_SESSION_ID};
use crate::id::{CodeVerifier, ExchangeCode, RefreshToken, SessionId, Trace};
use crate::issue::{Exchange, ExchangeError};
use crate::telemetry::note_reason;
use crate::token::never_null;

#[derive(Deserialize)]
struct Presented {
    code: String,
    #[serde(default, deserialize_with = "never_null")]
    code_verifier: Option<String>,
    #[serde(default, deserialize_with = "never_null")]
    device_name: Option<String>,
}

#[derive(Serialize)]
struct Opened<'a> {
    token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    ttl: u64,
    expires_at: u64,
    #[serde(serialize_with = "as_object")]
    headers: &'a [(HeaderName, HeaderValue)],
}

pub(super) async fn answer(state: &ServiceState, parts: &Parts, body: RequestBody) -> Answer {
    let presented: Presented = body.json(&parts.headers).await?.ok_or(NO_CODE)?;
    let exchange = Exchange {
        session: declared_session(state, parts)?,
        origin: session_origin::of(state, parts, presented.device_name.as_deref()),
        verifier: presented.code_verifier.as_deref().map(verifier),
        code: code(&presented.code),
        client: None,
        redirect_uri: None,
        refresh: state.settings.refresh.at_session,
        resource: None,
    };
    let access = state.issuer.exchange(exchange).await.map_err(|error| refused(state, error))?;
    let trace = Trace::of(&Head::of(&parts.headers, &[])).0.id();
    let opened = Opened {
        token: access.token.expose(),
        refresh_token: access.refresh_token.as_ref().map(RefreshToken::expose),
        ttl: access.ttl.as_secs(),
        expires_at: since_epoch(access.expires_at).as_secs(),
        headers: &access.identity_headers(&trace),
    };
    Ok(json(StatusCode::OK, &opened))
}

const NO_CODE: EndpointError = EndpointError::invalid_request("Send a JSON object with the member code.");

/// The code that was presented.
///
/// Malformed text cannot be a code that was issued. A random code replaces it. So the look-up, the answer and the time
/// are those of an unknown code.
pub(super) fn code(text: &str) -> ExchangeCode {
    ExchangeCode::parse(text).unwrap_or_else(|_| {
        note_reason("code_malformed", "the code is malformed: a code has 64 characters of 0-9 and a-f");
        ExchangeCode::random()
    })
}

/// The verifier that was presented. A random one replaces malformed text: neither answers any challenge.
pub(super) fn verifier(text: &str) -> CodeVerifier {
    CodeVerifier::parse(text).unwrap_or_else(|_| {
        note_reason("verifier_malformed", "code_verifier is malformed (RFC 7636 §4.1)");
        CodeVerifier::random()
    })
}

/// The session id that the bridge declares, where the host allows that.
pub(super) fn declared_session(
    state: &ServiceState,
    parts: &Parts,
) -> Result<Option<SessionId>, EndpointError> {
    let malformed = || {
        EndpointError::invalid_request(
            "Send x-session-id once, with 1 to 128 characters of A-Z, a-z, 0-9, _ and -.",
        )
    };
    let mut declared = parts.headers.get_all(X_SESSION_ID).iter();
    match declared.next() {
        Some(value) if state.settings.sessions.declared_ids => {
            let id = value.to_str().ok().and_then(|text| SessionId::parse(text).ok());
            id.filter(|_| declared.next().is_none()).map(Some).ok_or_else(malformed)
        }
        _ => Ok(None),
    }
}

pub(super) fn refused(state: &ServiceState, error: ExchangeError) -> EndpointError {
    match error {
        ExchangeError::InvalidGrant => EndpointError::new(
            StatusCode::BAD_REQUEST,
            "invalid_grant",
            "The code is unknown, expired or spent, or its code_verifier is wrong. Ask for a new code.",
        ),
        ExchangeError::SessionTaken => EndpointError::new(
            StatusCode::CONFLICT,
            "session_id_taken",
            "The declared session id is not available. The code is not spent: send it with another id, or without one.",
        ),
        ExchangeError::TooManySessions => EndpointError::new(
            StatusCode::CONFLICT,
            "too_many_sessions",
            "The person has as many sessions as allowed. The code is not spent: end a session, then send the code again.",
        ),
        ExchangeError::Resource => EndpointError::new(
            StatusCode::BAD_REQUEST,
            "invalid_target",
            "No token is issued for this resource, or the code is bound to another one. The code is not spent.",
        ),
        ExchangeError::Key(fault) => EndpointError::unsigned(&fault),
        ExchangeError::Store(fault) => EndpointError::unavailable(state, &fault),
    }
}

fn as_object<S: Serializer>(headers: &[(HeaderName, HeaderValue)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer
        .collect_map(headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default())))
}
