//! `POST /revoke`: ends a token (RFC 7009) and the session that it belongs to.

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use serde_json::Map;

use super::answer::{Answer, EndpointError, json};
use super::oauth::client_auth::authenticate;
use super::oauth::error::{OF_ANOTHER_CLIENT, UNAUTHORIZED_CLIENT};
use super::oauth::form::{Form, NO_TOKEN};
use super::request_body::RequestBody;
use super::state::ServiceState;
use crate::id::{ClientId, RefreshToken, SessionId, UserId};
use crate::issue::OauthClient;
use crate::telemetry::audit;

/// The client that was given a token, and the session that ends with the token.
struct Given {
    client: ClientId,
    user: UserId,
    session: SessionId,
}

pub(super) async fn answer(state: &ServiceState, parts: &Parts, body: RequestBody) -> Answer {
    if state.settings.endpoints.revocation.is_none() {
        return Err(EndpointError::not_found().into());
    }
    let form = Form::read(parts, body).await?;
    let client = match authenticate(state, parts, &form).await? {
        OauthClient::Linkable(client) => client,
        OauthClient::Hook(client, _) => client.id,
        // A resource server is given no tokens. So no token is its own.
        OauthClient::ResourceServer(_) => return Err(UNAUTHORIZED_CLIENT.into()),
    };
    let token = form.value("token").ok_or(NO_TOKEN)?;
    let given = match RefreshToken::parse(token) {
        Ok(token) => refresh_token(state, &token).await?,
        Err(_) => access_token(state, token),
    };
    // A token that was never issued counts as revoked (RFC 7009 §2.2).
    let Some(given) = given else { return Ok(done()) };
    // The client must be told (RFC 7009 §2.1). The error code is from RFC 6749 §5.2.
    if given.client != client {
        return Err(OF_ANOTHER_CLIENT.into());
    }
    let revoked = state.admin.revoke_session_of(&given.user, &given.session).await;
    revoked.map_err(|fault| EndpointError::unavailable(state, &fault))?;
    audit!("token_revoked", client_id = %client, session_id = %given.session);
    Ok(done())
}

/// RFC 7009 §2.2 lets the body be anything. Many clients read every 200 of an OAuth endpoint as JSON.
fn done() -> Response<Bytes> {
    json(StatusCode::OK, &Map::new())
}

/// The data of an access token that has not expired.
///
/// An expired token is invalid and ends nothing (RFC 7009 §2.2). So nobody can sign a person out with a token from an
/// old log.
fn access_token(state: &ServiceState, token: &str) -> Option<Given> {
    let claims = state.auth.unexpired(token)?;
    Some(Given {
        client: claims.client().clone(),
        user: claims.user().clone(),
        session: claims.session().clone(),
    })
}

async fn refresh_token(state: &ServiceState, token: &RefreshToken) -> Result<Option<Given>, EndpointError> {
    let found = state.issuer.refresh_status(token).await;
    let found = found.map_err(|fault| EndpointError::unavailable(state, &fault))?;
    Ok(found.map(|found| Given {
        client: found.session.client,
        user: found.session.user,
        session: found.session.id,
    }))
}
