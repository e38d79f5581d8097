//! The limits: where an attempt at a secret or a code begins, and where its outcome is known; what a session may ask for.

use std::net::IpAddr;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};

use super::answer::{Answer, EndpointError, EndpointFailure};
use super::body::RequestBody;
use super::endpoint::Endpoint;
use super::origin;
use crate::bridge::Bridge;
use crate::id::{ClientId, UserId};
use crate::layer_verdict::LayerVerdict;
use crate::rate_limit::{Limits, RateLimited};
use crate::telemetry;

/// What `endpoint` answers, unless the caller has tried too often; a failure counts against them.
pub(super) async fn answer(bridge: &Bridge, endpoint: &Endpoint, request: Request<RequestBody>) -> Answer {
    let (parts, body) = request.into_parts();
    let Some(limits) = bridge.limits() else { return endpoint.answer(bridge, parts, body).await };
    if endpoint.is_guarded()
        && let Some((LayerVerdict::Caller(caller), _)) = LayerVerdict::of(&parts.extensions)
    {
        hold(limits, limits.call_of(caller.session_id(), *endpoint == Endpoint::Logout)).await?;
    }
    if !endpoint.takes_secrets() {
        return endpoint.answer(bridge, parts, body).await;
    }
    let address = origin::address(bridge.settings(), &parts);
    limits.attempt(address).map_err(refused)?;
    let answer = endpoint.answer(bridge, parts, body).await;
    if is_failed_attempt(&answer) {
        limits.failed(address);
    }
    answer
}

/// Refuses a person who asks for too many codes.
pub(super) async fn person(bridge: &Bridge, person: &UserId) -> Result<(), EndpointError> {
    match bridge.limits() {
        Some(limits) => hold(limits, limits.code_for(person)).await,
        None => Ok(()),
    }
}

/// Refuses one who is known, and not at once.
async fn hold(limits: &Limits, checked: Result<(), RateLimited>) -> Result<(), EndpointError> {
    let Err(limited) = checked else { return Ok(()) };
    limits.hold(&limited).await;
    Err(refused(limited))
}

/// Refuses an attempt to prove to be `client` where too many have failed.
pub(super) fn client<'r>(
    bridge: &'r Bridge,
    parts: &Parts,
    client: Option<&'r ClientId>,
) -> Result<ClientAttempt<'r>, EndpointError> {
    let address = origin::address(bridge.settings(), parts);
    let counted = bridge.limits().zip(client);
    counted.map_or(Ok(()), |(limits, client)| limits.client_attempt(address, client)).map_err(refused)?;
    Ok(ClientAttempt { counted, address })
}

/// An attempt to prove to be a client, whose outcome is not known yet.
pub(super) struct ClientAttempt<'r> {
    counted: Option<(&'r Limits, &'r ClientId)>,
    address: Option<IpAddr>,
}

impl ClientAttempt<'_> {
    pub(super) fn failed(self) {
        if let Some((limits, client)) = self.counted {
            limits.client_failed(self.address, client);
        }
    }
}

fn is_failed_attempt(answer: &Result<Response<Bytes>, EndpointFailure>) -> bool {
    matches!(answer, Err(EndpointFailure::EndpointError(refusal)) if refusal.is_failed_attempt())
}

fn refused(limited: RateLimited) -> EndpointError {
    telemetry::limited(limited.by);
    EndpointError::too_many(limited.wait)
}
