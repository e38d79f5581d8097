//! The grant of token exchange at `POST /token` (RFC 8693).

use http::request::Parts;

use super::answer::EndpointError;
use super::oauth::error::{
    INVALID_ACTOR_TOKEN, INVALID_SCOPE, INVALID_SUBJECT_TOKEN, INVALID_TARGET, TOO_MANY_DELEGATED,
};
use super::oauth::form::Form;
use super::oauth::scope;
use super::state::ServiceState;
use super::{rate_limited, session_origin};
use crate::caller::{ActingParty, Caller, NoActingParty};
use crate::id::{Audience, ClientId};
use crate::issue::{Access, Denied, TokenExchange, TokenExchangeError, TokenExchangeRequest};
use crate::rejection::Rejection;
use crate::telemetry::note_reason;

/// The type of every token that is issued (RFC 8693 §3).
pub(super) const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// An access token is a JWT. So a client may call it one.
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// The tokens that the form shows.
struct Shown<'f> {
    subject: &'f str,
    actor: Option<&'f str>,
}

pub(super) async fn exchange(
    state: &ServiceState,
    exchange: &TokenExchange,
    parts: &Parts,
    form: &Form,
    client: ClientId,
) -> Result<Access, EndpointError> {
    let shown = Shown::in_form(form)?;
    let (scopes, audiences) = (scope::asked(form)?, audiences(state, form)?);
    let subject = subject(state, shown.subject).await?;
    rate_limited::exchange(state, parts, subject.user_id()).await?;
    let actor = match shown.actor {
        Some(token) => Some(acting_party(state, token).await?),
        None => None,
    };
    let origin = session_origin::of(state, parts, None);
    let request = TokenExchangeRequest { client, subject, actor, scopes, audiences, origin };
    state.issuer.exchange_token(exchange, request).await.map_err(|error| match error {
        TokenExchangeError::Denied(Denied::TooDeep | Denied::TooLong) => TOO_DEEP,
        TokenExchangeError::Denied(_) => INVALID_SUBJECT_TOKEN,
        TokenExchangeError::Scope => INVALID_SCOPE,
        TokenExchangeError::Target => INVALID_TARGET,
        TokenExchangeError::TooManySessions => TOO_MANY_DELEGATED,
        TokenExchangeError::Key(fault) => EndpointError::unsigned(&fault),
        TokenExchangeError::Store(fault) => EndpointError::unavailable(state, &fault),
    })
}

impl<'f> Shown<'f> {
    /// Every token has its type, and every type is known (RFC 8693 §2.1).
    fn in_form(form: &'f Form) -> Result<Self, EndpointError> {
        let kind = |name| match form.value(name) {
            Some(ACCESS_TOKEN | JWT) => Ok(true),
            Some(_) => Err(UNKNOWN_TYPE),
            None => Ok(false),
        };
        let subject = form.value("subject_token").ok_or(NO_SUBJECT_TOKEN)?;
        if !kind("subject_token_type")? {
            return Err(NO_SUBJECT_TOKEN);
        }
        let actor = form.value("actor_token");
        if kind("actor_token_type")? != actor.is_some() {
            return Err(HALF_AN_ACTOR);
        }
        match form.value("requested_token_type") {
            None | Some(ACCESS_TOKEN) => Ok(Self { subject, actor }),
            Some(_) => Err(UNKNOWN_TYPE),
        }
    }
}

/// The audiences that the form asks for, by their names (`audience`) and by their URLs (`resource`).
fn audiences(state: &ServiceState, form: &Form) -> Result<Vec<Audience>, EndpointError> {
    let known = &state.settings.audiences;
    let named = form.values("audience").map(|name| known.iter().find(|known| known.as_str() == name));
    let located = form.values("resource").map(|url| known.named_by(url));
    let mut asked: Vec<_> =
        named.chain(located).map(|found| found.cloned().ok_or(INVALID_TARGET)).collect::<Result<_, _>>()?;
    asked.sort_unstable();
    asked.dedup();
    Ok(asked)
}

/// The caller of the token that is exchanged, when its session is live now.
async fn subject(state: &ServiceState, token: &str) -> Result<Caller, EndpointError> {
    state
        .auth
        .introspect(token)
        .await
        .map_err(|rejection| rejected(state, &rejection, "subject_token_refused", INVALID_SUBJECT_TOKEN))
}

async fn acting_party(state: &ServiceState, token: &str) -> Result<ActingParty, EndpointError> {
    state.auth.acting_party(token).await.map_err(|none| match none {
        NoActingParty::Rejected(rejection) => {
            rejected(state, &rejection, "actor_token_refused", INVALID_ACTOR_TOKEN)
        }
        NoActingParty::Delegated => {
            note_reason(
                "actor_token_delegated",
                "the actor token was delegated itself: its subject does not act",
            );
            INVALID_ACTOR_TOKEN
        }
        NoActingParty::Hook => {
            note_reason("actor_token_of_hook", "the actor token is a hook's");
            INVALID_ACTOR_TOKEN
        }
    })
}

/// The answer to a token that was rejected. What could not be found out is 503: the token may be good.
fn rejected(
    state: &ServiceState,
    rejection: &Rejection,
    reason: &'static str,
    refused: EndpointError,
) -> EndpointError {
    match rejection {
        Rejection::Unavailable(kind) => EndpointError::unavailable_for(state, *kind),
        Rejection::IssuerUnavailable => {
            note_reason("issuer_unavailable", rejection.to_string());
            EndpointError::later(state, "The token cannot be checked right now. Keep it and try again.")
        }
        rejection => {
            note_reason(reason, format!("{reason}: {rejection}"));
            refused
        }
    }
}

const NO_SUBJECT_TOKEN: EndpointError =
    EndpointError::invalid_request("subject_token and subject_token_type are both required.");
const HALF_AN_ACTOR: EndpointError =
    EndpointError::invalid_request("Send actor_token and actor_token_type together.");
const UNKNOWN_TYPE: EndpointError = EndpointError::invalid_request(
    "Only access tokens are exchanged, for access tokens: urn:ietf:params:oauth:token-type:access_token.",
);
const TOO_DEEP: EndpointError = EndpointError::invalid_request(
    "The chain of actors, or of their names, is as long as it may be. Exchange a token with fewer actors.",
);
