//! `POST /introspect`: whether a token is valid now (RFC 7662).

use http::StatusCode;
use http::request::Parts;
use serde::Serialize;

use super::answer::{Answer, EndpointError, json};
use super::oauth::client_auth::authenticate;
use super::oauth::error::invalid_client;
use super::oauth::form::{Form, NO_TOKEN};
use super::rate_limited;
use super::request_body::RequestBody;
use super::state::ServiceState;
use crate::caller::Caller;
use crate::clock::since_epoch;
use crate::id::{Audience, ClientId, RefreshToken, Scopes, SessionId, UserId};
use crate::issue::OauthClient;
use crate::rejection::Rejection;
use crate::store::{RefreshStatus, SessionState};
use crate::token::Actor;

/// The answer for a valid token (RFC 7662 §2.2).
#[derive(Serialize)]
struct Active<'a> {
    active: bool,
    #[serde(skip_serializing_if = "Scopes::is_empty")]
    scope: &'a Scopes,
    client_id: &'a ClientId,
    /// The person. For a hook client's token: the owner of the client.
    username: &'a UserId,
    sub: &'a str,
    iss: &'a str,
    sid: &'a SessionId,
    iat: u64,
    #[serde(flatten)]
    access: Option<AccessMembers<'a>>,
}

/// The members that only an access token has.
#[derive(Serialize)]
struct AccessMembers<'a> {
    token_type: &'static str,
    aud: &'a [Audience],
    exp: u64,
    nbf: u64,
    jti: &'a str,
    /// Who acts (RFC 8693 §4.1), and who alone may (§4.4).
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<&'a Actor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    may_act: Option<&'a Actor>,
}

/// The answer for every other token. It gives no reason, so nobody learns about tokens of others.
#[derive(Serialize)]
struct Inactive {
    active: bool,
}

pub(super) async fn answer(state: &ServiceState, parts: &Parts, body: RequestBody) -> Answer {
    if state.settings.endpoints.introspection.is_none() {
        return Err(EndpointError::not_found().into());
    }
    let form = Form::read(parts, body).await?;
    let client = authenticate(state, parts, &form).await?;
    let asking = match &client {
        // Everyone can claim to be the bridge, so the bridge may not try out tokens here (RFC 7662 §4).
        OauthClient::Linkable(_) => return Err(invalid_client(state).into()),
        OauthClient::Hook(client, _) => &client.id,
        OauthClient::ResourceServer(server) => &server.client,
    };
    rate_limited::introspection(state, parts, asking).await?;
    let token = form.value("token").ok_or(NO_TOKEN)?;
    // The two kinds of token look different. So `token_type_hint` is not needed.
    match RefreshToken::parse(token) {
        Ok(token) => refresh_token(state, &client, &token).await,
        Err(_) => access_token(state, &client, token).await,
    }
}

async fn access_token(state: &ServiceState, client: &OauthClient, token: &str) -> Answer {
    let caller = match state.auth.introspect(token).await {
        Ok(caller) if may_ask(client, &caller) => caller,
        Err(Rejection::Unavailable(kind)) => return Err(EndpointError::unavailable_for(state, kind).into()),
        _ => return inactive(),
    };
    let claims = caller.claims();
    let active = Active {
        active: true,
        scope: claims.scopes(),
        client_id: claims.client(),
        username: claims.user(),
        sub: claims.sub(),
        iss: claims.issuer(),
        sid: claims.session(),
        iat: claims.issued_at(),
        access: Some(AccessMembers {
            token_type: "Bearer",
            aud: claims.audiences(),
            exp: claims.expires_at(),
            nbf: claims.not_before,
            jti: claims.token_id(),
            act: claims.actor(),
            may_act: claims.may_act(),
        }),
    };
    Ok(json(StatusCode::OK, &active))
}

async fn refresh_token(state: &ServiceState, client: &OauthClient, token: &RefreshToken) -> Answer {
    let found = state.issuer.refresh_status(token).await;
    let found = found.map_err(|fault| EndpointError::unavailable(state, &fault))?;
    let Some(found) = found.filter(|found| is_good(found) && may_ask_of_refresh(state, client)) else {
        return inactive();
    };
    let session = &found.session;
    let active = Active {
        active: true,
        scope: &found.scopes,
        client_id: &session.client,
        username: &session.user,
        sub: session.user.as_str(),
        iss: &state.settings.issuer,
        sid: &session.id,
        iat: since_epoch(found.issued_at).as_secs(),
        access: None,
    };
    Ok(json(StatusCode::OK, &active))
}

/// A hook client may ask about its own tokens. A resource server may ask about tokens for its audiences.
fn may_ask(client: &OauthClient, caller: &Caller) -> bool {
    match client {
        OauthClient::Linkable(_) => false,
        OauthClient::Hook(client, _) => client.id == *caller.client_id(),
        OauthClient::ResourceServer(server) => {
            server.audiences.iter().any(|audience| caller.is_for(audience))
        }
    }
}

/// Refresh tokens belong to the bridge and renew tokens of the default audiences. Resource servers of these audiences
/// may ask.
fn may_ask_of_refresh(state: &ServiceState, client: &OauthClient) -> bool {
    let OauthClient::ResourceServer(server) = client else { return false };
    server.audiences.iter().any(|audience| state.settings.audiences.of_bridges.contains(audience))
}

/// Whether the refresh token can still be used for the first time.
fn is_good(found: &RefreshStatus) -> bool {
    found.is_unused && found.session.state == SessionState::Live
}

fn inactive() -> Answer {
    Ok(json(StatusCode::OK, &Inactive { active: false }))
}
