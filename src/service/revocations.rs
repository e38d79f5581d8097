//! What external issuers send about their people: security events (RFC 8935), requests for a global token revocation and
//! logout tokens (OpenID Connect Back-Channel Logout 1.0). Each is done before it is answered.

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::{Answer, EndpointError, empty, no_content};
use super::oauth::form::Form;
use super::rate_limited;
use super::request_body::RequestBody;
use super::state::ServiceState;
use crate::security_events::{Delivery, Outcome, Refused, RefusedMessage};
use crate::telemetry::note_reason;

/// `POST /events` (RFC 8935 §2).
pub(super) async fn security_event(state: &ServiceState, parts: &Parts, body: RequestBody) -> Answer {
    if !state.receiver.takes_events() {
        return Err(EndpointError::not_found().into());
    }
    let text = body.security_event(&parts.headers).await?;
    let shown: Vec<_> = parts.headers.get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes).collect();
    let received = state.receiver.security_event(&text, Delivery::Push(&shown)).await;
    received.map_err(|refused| event_error(state, refused))?;
    Ok(empty(StatusCode::ACCEPTED))
}

/// `POST /global-token-revocation` (draft-parecki-oauth-global-token-revocation §3).
pub(super) async fn global_token_revocation(
    state: &ServiceState,
    parts: &Parts,
    body: RequestBody,
) -> Answer {
    /// Requests of Okta from before draft 03 have `subject`.
    #[derive(Deserialize)]
    struct Sent {
        sub_id: Option<Box<RawValue>>,
        subject: Option<Box<RawValue>>,
    }
    if state.receiver.revocation_endpoint().is_none() {
        return Err(EndpointError::not_found().into());
    }
    let jwt = bearer(parts).ok_or_else(|| unauthorized(state, "There must be one JWT in Authorization."))?;
    let revoker = state.receiver.revoker(jwt).await.map_err(|refused| revoker_error(state, refused))?;
    let sent: Option<Sent> = body.json(&parts.headers).await?;
    let identifier = match sent {
        Some(
            Sent { sub_id: Some(identifier), subject: None }
            | Sent { sub_id: None, subject: Some(identifier) },
        ) => identifier,
        _ => return Err(NO_SUBJECT.into()),
    };
    let outcome = state.receiver.revoke_globally(&revoker, &identifier).await;
    match outcome.map_err(|refused| request_error(state, refused))? {
        Outcome::Done => Ok(no_content()),
        // Whoever got no answer may send it again: it is no guess.
        Outcome::DoneBefore => {
            Err(unauthorized(state, "The JWT was used before. Sign a new one.").no_guess().into())
        }
        Outcome::Unmapped | Outcome::Unknown | Outcome::Ignored => Err(UNKNOWN_USER.into()),
    }
}

/// `POST /backchannel-logout` (OpenID Connect Back-Channel Logout 1.0 §2.5).
pub(super) async fn backchannel_logout(state: &ServiceState, parts: &Parts, body: RequestBody) -> Answer {
    if !state.receiver.takes_logout_tokens() {
        return Err(EndpointError::not_found().into());
    }
    let form = Form::read(parts, body).await?;
    let token = form.value("logout_token").ok_or(NO_LOGOUT_TOKEN)?;
    state.receiver.logout_token(token).await.map_err(|refused| request_error(state, refused))?;
    Ok(empty(StatusCode::OK))
}

/// The token of the one `Authorization` header, if its scheme is `Bearer`.
fn bearer(parts: &Parts) -> Option<&str> {
    let mut values = parts.headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
}

/// The error of RFC 8935 §2.4.
fn event_error(state: &ServiceState, refused: Refused) -> EndpointError {
    error(state, refused, |what| EndpointError::new(StatusCode::BAD_REQUEST, what.code(), what.told()))
}

/// The error of a caller that has not proved who it is.
fn revoker_error(state: &ServiceState, refused: Refused) -> EndpointError {
    error(state, refused, |_| unauthorized(state, "The JWT is not one that may revoke here."))
}

fn request_error(state: &ServiceState, refused: Refused) -> EndpointError {
    error(state, refused, |what| match what {
        RefusedMessage::Key | RefusedMessage::Issuer => NOT_SIGNED,
        _ => INVALID,
    })
}

/// What the sender is told. The log learns what exactly is wrong.
fn error(
    state: &ServiceState,
    refused: Refused,
    told: impl FnOnce(RefusedMessage) -> EndpointError,
) -> EndpointError {
    match refused {
        Refused::Message(what, detail) => {
            note_reason(what.code(), detail);
            told(what)
        }
        Refused::Unavailable(fault) => EndpointError::unavailable(state, &fault),
        Refused::KeysUnavailable(issuer) => {
            note_reason("issuer_unavailable", format!("the keys of {issuer} are not known now"));
            EndpointError::later(state, "The keys of the issuer cannot be fetched now. Try again.")
        }
        Refused::TooMany(issuer, wait) => rate_limited::issuer(&issuer, wait),
    }
}

fn unauthorized(state: &ServiceState, detail: &'static str) -> EndpointError {
    EndpointError::new(StatusCode::UNAUTHORIZED, "invalid_token", detail)
        .header(WWW_AUTHENTICATE, state.challenge().invalid_token())
}

const NO_SUBJECT: EndpointError = EndpointError::invalid_request(
    "The body must be an object with sub_id, a subject identifier (RFC 9493).",
);
const UNKNOWN_USER: EndpointError =
    EndpointError::new(StatusCode::NOT_FOUND, "unknown_user", "The subject is nobody here.");
const NO_LOGOUT_TOKEN: EndpointError = EndpointError::invalid_request("logout_token is missing.");
const NOT_SIGNED: EndpointError =
    EndpointError::invalid_request("It is not signed by an issuer that this gateway trusts.");
const INVALID: EndpointError = EndpointError::invalid_request("It is malformed, or not good here and now.");
