//! Leads a request to its endpoint: every request of a bridge takes this way.

use std::time::Instant;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};

use super::answer::Answer;
use super::endpoint::{Endpoint, check_method};
use super::request_body::RequestBody;
use super::state::ServiceState;
use super::{
    capabilities, device_authorization, exchange, introspect, issue_code, jwks, oauth_client, openapi, pages,
    rate_limited, refused, revocations, revoke, sessions, token, well_known,
};
use crate::telemetry;

/// The answer of `endpoint` to `request`.
pub(super) async fn serve(
    state: &ServiceState,
    endpoint: Endpoint,
    request: Request<RequestBody>,
) -> Response<Bytes> {
    let (mut parts, body) = request.into_parts();
    parts.extensions.insert(endpoint.route(&state.prefix));
    let began = Instant::now();
    let answering = answer_within_limits(state, &endpoint, &parts, body);
    let response = refused::or_told(state, &parts, endpoint.wording(), answering).await;
    telemetry::answered(endpoint.template(), response.status(), began.elapsed());
    response
}

async fn answer_within_limits(
    state: &ServiceState,
    endpoint: &Endpoint,
    parts: &Parts,
    body: RequestBody,
) -> Answer {
    check_method(&parts.method, endpoint.methods())?;
    let attempt = rate_limited::begin(state, endpoint, parts).await?;
    let answer = answer(state, endpoint, parts, body).await;
    attempt.finish(&answer);
    answer
}

/// The answer of `endpoint`. The method and the rate limits were checked before.
async fn answer(state: &ServiceState, endpoint: &Endpoint, parts: &Parts, body: RequestBody) -> Answer {
    match endpoint {
        Endpoint::Code => issue_code::answer(state, parts, body).await,
        Endpoint::Session => exchange::answer(state, parts, body).await,
        Endpoint::OauthClient => oauth_client::answer(state, parts, body).await,
        Endpoint::Capabilities => Ok(capabilities::answer(state)),
        Endpoint::Sessions => sessions::list(state, parts).await,
        Endpoint::OneSession(id) => sessions::end(state, parts, id).await,
        Endpoint::Logout => sessions::log_out(state, parts).await,
        Endpoint::Jwks => Ok(jwks::answer(state)),
        Endpoint::AuthorizationServer(path) => well_known::authorization_server(state, parts, path),
        Endpoint::ProtectedResource(path) => well_known::protected_resource(state, parts, path),
        Endpoint::OpenApi => openapi::answer(state, parts),
        Endpoint::Token => token::answer(state, parts, body).await,
        Endpoint::Introspect => introspect::answer(state, parts, body).await,
        Endpoint::Revoke => revoke::answer(state, parts, body).await,
        Endpoint::DeviceAuthorization => device_authorization::answer(state, parts, body).await,
        Endpoint::DevicePage => pages::device::answer(state, parts, body).await,
        Endpoint::Authorize => pages::authorize::answer(state, parts, body).await,
        Endpoint::DevicesPage => pages::devices::answer(state, parts, body).await,
        Endpoint::SecurityEvents => revocations::security_event(state, parts, body).await,
        Endpoint::GlobalTokenRevocation => revocations::global_token_revocation(state, parts, body).await,
        Endpoint::BackchannelLogout => revocations::backchannel_logout(state, parts, body).await,
    }
}
