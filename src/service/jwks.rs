//! `GET /.well-known/jwks.json`.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Response};

use crate::bridge::Bridge;

/// The public keys; the one answer that may be kept for a while.
pub(super) fn answer(bridge: &Bridge) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(bridge.keys().jwks()));
    *response.headers_mut() = HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json")),
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=300")),
    ]);
    response
}
