//! `POST /token`: the token endpoint (RFC 6749 §3.2).

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use serde::Serialize;

use super::answer::{Answer, EndpointError, json};
use super::oauth::client_auth::authenticate;
use super::oauth::error::{
    ACCESS_DENIED, AUTHORIZATION_PENDING, EXPIRED_TOKEN, INVALID_DEVICE_CODE, INVALID_REFRESH_TOKEN,
    INVALID_SCOPE, INVALID_TARGET, SLOW_DOWN, UNAUTHORIZED_CLIENT, UNSUPPORTED_GRANT, invalid_client,
};
use super::oauth::form::Form;
use super::oauth::{DEVICE_CODE, JWT_BEARER, TOKEN_EXCHANGE, resource, scope};
use super::request_body::RequestBody;
use super::state::ServiceState;
use super::{assertion_grant, exchange, gateway_login, rate_limited, session_origin, token_exchange};
use crate::id::{ClientId, DeviceCode, RefreshToken, Scopes};
use crate::issue::{
    Access, ClientAccessError, DevicePoll, DevicePollError, Exchange, ExchangeError, OauthClient, Refresh,
    RefreshError, TokenExchange,
};
use crate::store::{Client, ClientProof};
use crate::telemetry::note_reason;

/// The answer with a token (RFC 6749 §5.1).
#[derive(Serialize)]
struct Granted<'a> {
    access_token: &'a str,
    /// RFC 8693 §2.2.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_token_type: Option<&'static str>,
    token_type: &'static str,
    /// Seconds.
    expires_in: u64,
    #[serde(skip_serializing_if = "Scopes::is_empty")]
    scope: &'a Scopes,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
}

/// The grants of this token endpoint.
#[derive(Debug, Clone, Copy)]
enum Grant {
    ClientCredentials,
    AuthorizationCode,
    RefreshToken,
    DeviceCode,
    Assertion,
    TokenExchange(TokenExchange),
}

pub(super) async fn answer(state: &ServiceState, parts: &Parts, body: RequestBody) -> Answer {
    if state.settings.endpoints.token.is_none() {
        return Err(EndpointError::not_found().into());
    }
    let form = Form::read(parts, body).await?;
    let grant = Grant::asked(state, form.value("grant_type").ok_or(NO_GRANT)?)?;
    if let Grant::Assertion = grant {
        return Ok(granted(&assertion_grant::access(state, parts, &form).await?, None));
    }
    let client = authenticate(state, parts, &form).await?;
    let access = match (grant, client) {
        (Grant::ClientCredentials, OauthClient::Hook(client, proof)) => {
            client_credentials(state, parts, &form, client, proof).await
        }
        (Grant::AuthorizationCode, OauthClient::Linkable(client)) => {
            authorization_code(state, parts, &form, client).await
        }
        (Grant::RefreshToken, OauthClient::Linkable(client)) => {
            let refreshed = refresh_token(state, parts, &form, client).await;
            refreshed.map_err(|error| gateway_login::refused_refresh(state, parts, &form, error))
        }
        (Grant::DeviceCode, OauthClient::Linkable(client)) => device_code(state, parts, &form, client).await,
        (Grant::TokenExchange(settings), OauthClient::Linkable(client)) => {
            token_exchange::exchange(state, &settings, parts, &form, client).await
        }
        _ => Err(UNAUTHORIZED_CLIENT),
    };
    let issued_type = matches!(grant, Grant::TokenExchange(_)).then_some(token_exchange::ACCESS_TOKEN);
    Ok(granted(&access?, issued_type))
}

const NO_GRANT: EndpointError = EndpointError::invalid_request("grant_type is missing.");
const NO_REFRESH_TOKEN: EndpointError = EndpointError::invalid_request("refresh_token is missing.");
const NO_DEVICE_CODE: EndpointError = EndpointError::invalid_request("device_code is missing.");
const NO_CODE: EndpointError = EndpointError::invalid_request("code and code_verifier are both required.");

async fn client_credentials(
    state: &ServiceState,
    parts: &Parts,
    form: &Form,
    client: Client,
    proof: ClientProof,
) -> Result<Access, EndpointError> {
    let (scopes, audience) = (scope::asked(form)?, resource::audience(&state.settings.audiences, form)?);
    let origin = session_origin::of(state, parts, None);
    let opened = state.issuer.hook_access(client, proof, scopes, audience, origin).await;
    opened.map_err(|error| match error {
        ClientAccessError::InvalidClient => invalid_client(state),
        ClientAccessError::InvalidScope => INVALID_SCOPE,
        ClientAccessError::Resource => INVALID_TARGET,
        ClientAccessError::Key(fault) => EndpointError::unsigned(&fault),
        ClientAccessError::Store(fault) => EndpointError::unavailable(state, &fault),
    })
}

/// Exchanges a code, by the same rules as `POST /session`. The client must show the verifier, also when it has proved who
/// it is (OAuth 2.1 §4.1.3).
async fn authorization_code(
    state: &ServiceState,
    parts: &Parts,
    form: &Form,
    client: ClientId,
) -> Result<Access, EndpointError> {
    let (Some(code), Some(verifier)) = (form.value("code"), form.value("code_verifier")) else {
        return Err(NO_CODE);
    };
    let resource = resource::audience(&state.settings.audiences, form)?;
    let exchange = Exchange {
        session: exchange::declared_session(state, parts)?,
        origin: session_origin::of(state, parts, None),
        verifier: Some(exchange::verifier(verifier)),
        code: exchange::code(code),
        client: Some(client),
        redirect_uri: form.value("redirect_uri").map(ToOwned::to_owned),
        refresh: state.settings.refresh.at_token_endpoint,
        resource,
    };
    state.issuer.exchange(exchange).await.map_err(|error| exchange::refused(state, error))
}

/// Answers a poll of the device grant (RFC 8628 §3.4).
async fn device_code(
    state: &ServiceState,
    parts: &Parts,
    form: &Form,
    client: ClientId,
) -> Result<Access, EndpointError> {
    let code = form.value("device_code").ok_or(NO_DEVICE_CODE)?;
    let poll = DevicePoll {
        // Malformed text cannot be a code that was issued. A random code replaces it, and is looked up.
        device_code: DeviceCode::parse(code).unwrap_or_else(|_| {
            note_reason("device_code_malformed", "the device code is malformed");
            DeviceCode::random()
        }),
        client,
        resource: resource::audience(&state.settings.audiences, form)?,
        origin: session_origin::of(state, parts, None),
    };
    state.issuer.poll_device_grant(poll).await.map_err(|error| match error {
        DevicePollError::Pending => AUTHORIZATION_PENDING,
        DevicePollError::SlowDown { .. } => SLOW_DOWN,
        DevicePollError::Denied => ACCESS_DENIED,
        DevicePollError::Expired => EXPIRED_TOKEN,
        DevicePollError::InvalidGrant => INVALID_DEVICE_CODE,
        DevicePollError::TooManySessions => exchange::refused(state, ExchangeError::TooManySessions),
        DevicePollError::Resource => INVALID_TARGET,
        DevicePollError::Key(fault) => EndpointError::unsigned(&fault),
        DevicePollError::Store(fault) => EndpointError::unavailable(state, &fault),
    })
}

/// Exchanges a refresh token. Refresh tokens rotate, whoever the client is (RFC 9700 §4.14.2).
async fn refresh_token(
    state: &ServiceState,
    parts: &Parts,
    form: &Form,
    client: ClientId,
) -> Result<Access, EndpointError> {
    let token = form.value("refresh_token").ok_or(NO_REFRESH_TOKEN)?;
    let refresh = Refresh {
        // Malformed text cannot be a refresh token that was issued. A random token replaces it, and is looked up.
        token: RefreshToken::parse(token).unwrap_or_else(|_| {
            note_reason("refresh_token_malformed", "the refresh token is malformed: it has 43 characters");
            RefreshToken::random()
        }),
        client,
        scopes: scope::asked(form)?,
        resource: resource::audience(&state.settings.audiences, form)?,
        origin: session_origin::of(state, parts, None),
    };
    let attempt = rate_limited::refresh(state, parts, &refresh.client, token).await?;
    state.issuer.try_refresh(refresh).await.map_err(|refused| match refused.error {
        RefreshError::InvalidGrant => attempt.refused(INVALID_REFRESH_TOKEN, refused.was_issued),
        RefreshError::InvalidScope => INVALID_SCOPE,
        RefreshError::Resource => INVALID_TARGET,
        RefreshError::Key(fault) => EndpointError::unsigned(&fault),
        RefreshError::Store(fault) => EndpointError::unavailable(state, &fault),
    })
}

impl Grant {
    fn asked(state: &ServiceState, name: &str) -> Result<Self, EndpointError> {
        match name {
            "client_credentials" => Ok(Self::ClientCredentials),
            "authorization_code" => Ok(Self::AuthorizationCode),
            "refresh_token" if state.settings.refresh.at_token_endpoint => Ok(Self::RefreshToken),
            DEVICE_CODE if state.settings.endpoints.device_authorization.is_some() => Ok(Self::DeviceCode),
            JWT_BEARER if state.accepts_any_assertion() => Ok(Self::Assertion),
            TOKEN_EXCHANGE => state.settings.token_exchange.map(Self::TokenExchange).ok_or(UNSUPPORTED_GRANT),
            _ => Err(UNSUPPORTED_GRANT),
        }
    }
}

fn granted(access: &Access, issued_token_type: Option<&'static str>) -> Response<Bytes> {
    let granted = Granted {
        access_token: access.token.expose(),
        issued_token_type,
        token_type: "Bearer",
        expires_in: access.ttl.as_secs(),
        scope: &access.scopes,
        refresh_token: access.refresh_token.as_ref().map(RefreshToken::expose),
    };
    json(StatusCode::OK, &granted)
}
