//! `GET /authorize` and `POST /authorize`: a program sends a person here to be let in (OAuth 2.1 §4.1).

use std::sync::Arc;

use http::Method;
use http::request::Parts;

use super::query::Query;
use super::redirect::{AuthorizationError, Redirect};
use super::visit::{Visit, not_found};
use super::{AskedConsent, consent};
use crate::audience::Audiences;
use crate::id::{Audience, ClientId, CodeChallenge, Scopes};
use crate::issue::LinkableClient;
use crate::pages::AuthorizeProblem;
use crate::service::answer::{Answer, EndpointFailure};
use crate::service::oauth::resource::{self, NoTarget};
use crate::service::rate_limited;
use crate::service::request_body::RequestBody;
use crate::service::state::ServiceState;

/// The longest `state` that is given back. A ticket must hold it.
const MAX_STATE: usize = 2048;

pub(in crate::service) async fn answer(state: &ServiceState, parts: &Parts, body: RequestBody) -> Answer {
    let url = state.settings.endpoints.authorization.as_ref().ok_or_else(not_found)?;
    let site = state.pages.as_ref().ok_or_else(not_found)?;
    let visit = Visit::new(state, site, parts, url);
    if parts.method == Method::POST {
        return consent::decide(&visit, body).await;
    }
    let query = Query::of(&parts.uri).ok_or_else(|| visit.refuse_request(AuthorizeProblem::Malformed))?;
    let client = client(&visit, &query).await?;
    let redirect = redirect(&visit, &query, &client)?;
    // From here on the client learns what is wrong, because the redirect is its own.
    let asked = asked(&query, &redirect, &client, &state.settings.audiences);
    let asked = asked.map_err(|error| visit.tell(&client, &redirect, error))?;
    let person = visit.signed_in()?;
    visit.within(rate_limited::page_for(state, &person.user_id).await)?;
    consent::show(&visit, person, &client, asked)
}

/// The client that the request names. Nothing is fetched before the person is signed in.
async fn client(visit: &Visit<'_>, query: &Query) -> Result<Arc<LinkableClient>, EndpointFailure> {
    let unknown = || visit.refuse_request(AuthorizeProblem::UnknownClient);
    let id = query.value("client_id").map_err(|_| visit.refuse_request(AuthorizeProblem::Malformed))?;
    let id = id.and_then(|id| ClientId::parse(id).ok()).ok_or_else(unknown)?;
    if let Some(client) = visit.state.issuer.registered_client(&id) {
        return Ok(client);
    }
    if !visit.state.issuer.is_described(&id) {
        return Err(unknown());
    }
    let person = visit.signed_in()?;
    visit.within(rate_limited::document(visit.state, &person.user_id).await)?;
    visit.linkable_client(&id).await
}

/// Where the client is answered. An unknown redirect is never followed (OAuth 2.1 §4.1.2.1).
fn redirect<'a>(
    visit: &'a Visit<'_>,
    query: &'a Query,
    client: &'a LinkableClient,
) -> Result<Redirect<'a>, EndpointFailure> {
    let sent = query.value("redirect_uri").map_err(|_| visit.refuse_request(AuthorizeProblem::Malformed))?;
    let problem = match sent {
        Some(_) => AuthorizeProblem::RedirectUnknown,
        None => AuthorizeProblem::RedirectMissing,
    };
    let uri = client.redirect_uri(sent).ok_or_else(|| visit.refuse_request(problem))?;
    let state = query.value("state").ok().flatten().filter(|state| state.len() <= MAX_STATE);
    Ok(Redirect { uri, state, issuer: &visit.state.settings.issuer })
}

/// What the client asks for.
fn asked(
    query: &Query,
    redirect: &Redirect<'_>,
    client: &LinkableClient,
    audiences: &Audiences,
) -> Result<AskedConsent, AuthorizationError> {
    if query.has_repeated() {
        return Err(invalid("A parameter is sent more than once."));
    }
    let value = |name| query.value(name).ok().flatten();
    if value("state").is_some_and(|state| state.len() > MAX_STATE) {
        return Err(invalid("state is longer than 2048 bytes."));
    }
    for (name, code) in [("request", "request_not_supported"), ("request_uri", "request_uri_not_supported")] {
        if value(name).is_some() {
            return Err(AuthorizationError { code, description: "Request objects are not supported." });
        }
    }
    match value("response_type") {
        Some("code") => {}
        None => return Err(invalid("response_type is missing.")),
        Some(_) => return Err(UNSUPPORTED_RESPONSE_TYPE),
    }
    if value("response_mode").is_some_and(|mode| mode != "query") {
        return Err(invalid("The only response_mode is query."));
    }
    Ok(AskedConsent {
        client: client.id.clone(),
        redirect_uri: redirect.uri.to_owned(),
        state: redirect.state.map(ToOwned::to_owned),
        challenge: challenge(query)?,
        scopes: scopes(query)?,
        resource: one_resource(query, audiences)?,
    })
}

/// The PKCE challenge. It is required, and only `S256` is accepted; a missing method would mean `plain` (RFC 7636 §4.3).
fn challenge(query: &Query) -> Result<CodeChallenge, AuthorizationError> {
    let value = |name| query.value(name).ok().flatten();
    let challenge = value("code_challenge").ok_or(invalid("code_challenge is missing: PKCE is required."))?;
    if value("code_challenge_method") != Some("S256") {
        return Err(invalid("code_challenge_method must be S256."));
    }
    CodeChallenge::parse(challenge).map_err(|_| invalid("code_challenge is malformed."))
}

/// The scopes that the client asks for. None at all: whatever the person's bridges may have.
fn scopes(query: &Query) -> Result<Option<Scopes>, AuthorizationError> {
    let Some(text) = query.value("scope").ok().flatten() else { return Ok(None) };
    Scopes::parse(text)
        .map(Some)
        .map_err(|_| AuthorizationError { code: "invalid_scope", description: "A scope is malformed." })
}

/// The one resource that the client asks for (RFC 8707 §2.1).
fn one_resource(query: &Query, audiences: &Audiences) -> Result<Option<Audience>, AuthorizationError> {
    resource::named_by(audiences, query.values("resource")).map_err(|NoTarget| AuthorizationError {
        code: "invalid_target",
        description: "No token is issued for this resource here. Name one resource by its URL.",
    })
}

const fn invalid(description: &'static str) -> AuthorizationError {
    AuthorizationError { code: "invalid_request", description }
}

const UNSUPPORTED_RESPONSE_TYPE: AuthorizationError =
    AuthorizationError { code: "unsupported_response_type", description: "The only response_type is code." };
