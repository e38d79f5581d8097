//! The routes of the services that have several endpoints.

use bytes::Bytes;
use http::{Request, Response};

use super::answer::{EndpointError, Wording};
use super::endpoint::{Endpoint, one_segment};
use super::request_body::RequestBody;
use super::state::ServiceState;
use super::{dispatch, refused};
use crate::layer::keep_from_shared_caches;

/// Answers for the endpoint at the request's path. The guard checks the request first, where the endpoint needs a
/// caller.
pub(super) async fn all(state: &ServiceState, mut request: Request<RequestBody>) -> Response<Bytes> {
    let endpoint = Endpoint::at(behind_prefix(state, request.uri().path()));
    let Some(endpoint) = endpoint.filter(|endpoint| !endpoint.is_of_revocations()) else {
        return not_found(state, request).await;
    };
    if !endpoint.is_guarded() || !endpoint.takes(request.method()) {
        return dispatch::serve(state, endpoint, request).await;
    }
    request.extensions_mut().insert(endpoint.route(&state.prefix));
    if let Err(refusal) = state.own_layer.admit(&mut request).await {
        return refusal;
    }
    let mut response = dispatch::serve(state, endpoint, request).await;
    keep_from_shared_caches(response.headers_mut());
    response
}

/// The path behind the prefix. A router that nests this service has cut off the prefix already.
fn behind_prefix<'p>(state: &ServiceState, path: &'p str) -> &'p str {
    path.strip_prefix(state.prefix.as_str()).filter(|rest| rest.starts_with('/')).unwrap_or(path)
}

/// Answers for [`SessionsService`](super::SessionsService) when it is mounted alone: nested, or under the bridge's
/// prefix.
pub(super) async fn sessions(state: &ServiceState, request: Request<RequestBody>) -> Response<Bytes> {
    let path = request.uri().path();
    let full = path.strip_prefix(state.prefix.as_str()).and_then(Endpoint::at);
    let full = full.filter(|endpoint| matches!(endpoint, Endpoint::Sessions | Endpoint::OneSession(_)));
    let nested = || match path.strip_prefix('/')? {
        "" => Some(Endpoint::Sessions),
        rest => one_segment(rest).map(Endpoint::OneSession),
    };
    match full.or_else(nested) {
        Some(endpoint) => dispatch::serve(state, endpoint, request).await,
        None => not_found(state, request).await,
    }
}

/// Answers for the service of the well-known documents.
pub(super) async fn well_known(state: &ServiceState, request: Request<RequestBody>) -> Response<Bytes> {
    match Endpoint::at(request.uri().path()).filter(Endpoint::is_well_known) {
        Some(document) => dispatch::serve(state, document, request).await,
        None => not_found(state, request).await,
    }
}

/// Answers for the service of the revocations of external issuers.
pub(super) async fn revocations(state: &ServiceState, request: Request<RequestBody>) -> Response<Bytes> {
    let endpoint = Endpoint::at(behind_prefix(state, request.uri().path()));
    match endpoint.filter(Endpoint::is_of_revocations) {
        Some(endpoint) => dispatch::serve(state, endpoint, request).await,
        None => not_found(state, request).await,
    }
}

/// The answer where there is no endpoint.
async fn not_found(state: &ServiceState, request: Request<RequestBody>) -> Response<Bytes> {
    let (parts, _) = request.into_parts();
    refused::or_told(state, &parts, Wording::Problem, async { Err(EndpointError::not_found().into()) }).await
}
