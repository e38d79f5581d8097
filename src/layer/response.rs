//! What every answer needs, whatever it says.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, VARY};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

/// Turns the answer to `GET` into the answer to `HEAD` (RFC 9110 §9.3.2). Not every server cuts off the body.
pub(crate) fn without_body(mut response: Response<Bytes>) -> Response<Bytes> {
    let length = std::mem::take(response.body_mut()).len();
    // An answer that never has a body has no length either (RFC 9110 §8.6).
    if response.status() != StatusCode::NO_CONTENT {
        response.headers_mut().entry(CONTENT_LENGTH).or_insert(HeaderValue::from(length));
    }
    response
}

/// Keeps a shared cache from showing one caller's answer to another caller (RFC 9111 §3.5).
pub(crate) fn keep_from_shared_caches(headers: &mut HeaderMap) {
    let (mut says_how, mut varies) = (false, false);
    for name in headers.keys() {
        says_how |= *name == CACHE_CONTROL;
        varies |= *name == VARY;
    }
    if !says_how {
        headers.insert(CACHE_CONTROL, PRIVATE);
    }
    // An inner layer may have added it already.
    if !varies || headers.get_all(VARY).iter().all(|value| *value != AUTHORIZATION) {
        headers.append(VARY, AUTHORIZATION);
    }
}

const PRIVATE: HeaderValue = HeaderValue::from_static("private");
const AUTHORIZATION: HeaderValue = HeaderValue::from_static("authorization");
