//! `GET /.well-known/jwks.json`.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Response};

use super::state::ServiceState;

/// For answers that everyone may see: caches may keep them for five minutes.
pub(super) const PUBLIC: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// The answer with the public keys.
pub(super) fn answer(state: &ServiceState) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(state.keys.jwks()));
    *response.headers_mut() = HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json")),
        (CACHE_CONTROL, PUBLIC),
    ]);
    response
}
