//! `POST /device_authorization`: a program without a browser asks for codes (RFC 8628 §3.1).

use http::StatusCode;
use http::request::Parts;
use serde::Serialize;

use super::answer::{Answer, EndpointError, json};
use super::oauth::client_auth::authenticate;
use super::oauth::error::{INVALID_TARGET, UNAUTHORIZED_CLIENT};
use super::oauth::form::Form;
use super::oauth::{resource, scope};
use super::request_body::RequestBody;
use super::state::ServiceState;
use super::{gateway_login, rate_limited, session_origin};
use crate::issue::{DeviceGrantError, DeviceGrantRequest, OauthClient};

/// The answer (RFC 8628 §3.2).
#[derive(Serialize)]
struct Started<'a> {
    device_code: &'a str,
    user_code: &'a str,
    verification_uri: &'a str,
    verification_uri_complete: &'a str,
    /// Seconds.
    expires_in: u64,
    interval: u64,
}

pub(super) async fn answer(state: &ServiceState, parts: &Parts, body: RequestBody) -> Answer {
    let pages = state.pages.as_ref().filter(|_| state.settings.endpoints.device_authorization.is_some());
    let pages = pages.ok_or_else(EndpointError::not_found)?;
    let form = if gateway_login::starts_without_body(state, parts, &body) {
        Form::default()
    } else {
        Form::read(parts, body).await?
    };
    let OauthClient::Linkable(client) = authenticate(state, parts, &form).await? else {
        return Err(UNAUTHORIZED_CLIENT.into());
    };
    // Nothing ties this request to a client with a metadata document: no redirect, no proof. Anybody could ask in its name,
    // and the page would show that name.
    if state.issuer.registered_client(&client).is_none() {
        return Err(UNAUTHORIZED_CLIENT.into());
    }
    let request = DeviceGrantRequest {
        client,
        scopes: scope::asked(&form)?,
        resource: resource::audience(&state.settings.audiences, &form)?,
        origin: session_origin::of(state, parts, None),
    };
    rate_limited::device_grant(state, parts)?;
    let started = state.issuer.start_device_grant(request).await.map_err(|error| match error {
        DeviceGrantError::Resource => INVALID_TARGET,
        DeviceGrantError::Store(fault) => EndpointError::unavailable(state, &fault),
    })?;
    let user_code = started.user_code.to_string();
    let mut complete = pages.verification_uri.clone();
    complete.query_pairs_mut().append_pair("user_code", &user_code);
    let answer = Started {
        device_code: started.device_code.expose(),
        user_code: &user_code,
        verification_uri: pages.verification_uri.as_str(),
        verification_uri_complete: complete.as_str(),
        expires_in: started.life.as_secs(),
        interval: started.interval.as_secs(),
    };
    Ok(json(StatusCode::OK, &answer))
}
