//! The limits on attempts at secrets and codes: where one begins, and where its outcome is known.

use bytes::Bytes;
use http::{Request, Response};

use super::answer::{Answer, Failure, Refusal};
use super::body::RequestBody;
use super::endpoint::Endpoint;
use super::origin;
use crate::bridge::Bridge;
use crate::id::UserId;
use crate::limit::Limited;
use crate::observe;

/// What `endpoint` answers, unless the caller has tried too often; a failure counts against them.
pub(super) async fn answer(bridge: &Bridge, endpoint: &Endpoint, request: Request<RequestBody>) -> Answer {
    let (parts, body) = request.into_parts();
    let Some(limits) = bridge.limits().filter(|_| endpoint.takes_secrets()) else {
        return endpoint.answer(bridge, parts, body).await;
    };
    let address = origin::address(bridge.settings(), &parts);
    limits.attempt(address).map_err(refused)?;
    let answer = endpoint.answer(bridge, parts, body).await;
    if is_wrong_secret(&answer) {
        limits.failed(address);
    }
    answer
}

/// Refuses a person who asks for too many codes.
pub(super) fn person(bridge: &Bridge, person: &UserId) -> Result<(), Refusal> {
    bridge.limits().map_or(Ok(()), |limits| limits.code_for(person).map_err(refused))
}

fn is_wrong_secret(answer: &Result<Response<Bytes>, Failure>) -> bool {
    matches!(answer, Err(Failure::Refusal(refusal)) if refusal.is_wrong_secret())
}

fn refused(limited: Limited) -> Refusal {
    observe::limited(limited.by);
    Refusal::too_many(limited.wait)
}
