//! All endpoints behind one door.

use bytes::Bytes;
use http::{Request, Response};

use super::answer::{EndpointError, EndpointFailure, Wording};
use super::body::RequestBody;
use super::endpoint::{self, Endpoint};
use crate::bridge::Bridge;
use crate::layer::keep_from_shared_caches;

/// What the endpoint at the request's path answers, once the guard has let the request in.
pub(super) async fn serve(bridge: &Bridge, mut request: Request<RequestBody>) -> Response<Bytes> {
    let Some(endpoint) = Endpoint::at(behind_prefix(bridge, request.uri().path())) else {
        return EndpointFailure::from(EndpointError::not_found()).into_response(Wording::Problem);
    };
    if !endpoint.is_guarded() || !endpoint.takes(request.method()) {
        return endpoint::serve(bridge, endpoint, request).await;
    }
    if let Err(refusal) = bridge.own_layer().admit(&mut request).await {
        return refusal;
    }
    let mut response = endpoint::serve(bridge, endpoint, request).await;
    keep_from_shared_caches(response.headers_mut());
    response
}

/// The path behind the prefix, which a router that nests this service has cut off already.
fn behind_prefix<'p>(bridge: &Bridge, path: &'p str) -> &'p str {
    path.strip_prefix(bridge.settings().prefix.as_str()).filter(|rest| rest.starts_with('/')).unwrap_or(path)
}
