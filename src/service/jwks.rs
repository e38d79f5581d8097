//! `GET /.well-known/jwks.json`.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Response};

use super::state::ServiceState;

/// What is for everyone, and may be kept for a while.
pub(super) const PUBLIC: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// The public keys.
pub(super) fn answer(state: &ServiceState) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(state.keys.jwks()));
    *response.headers_mut() = HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json")),
        (CACHE_CONTROL, PUBLIC),
    ]);
    response
}
