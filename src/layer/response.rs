//! What an answer needs whatever it says.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, VARY};
use http::{HeaderMap, HeaderValue, Response};

/// What `GET` would answer, as `HEAD` answers it (RFC 9110 §9.3.2); not every server cuts the body off.
pub(crate) fn without_body(mut response: Response<Bytes>) -> Response<Bytes> {
    let length = std::mem::take(response.body_mut()).len();
    response.headers_mut().entry(CONTENT_LENGTH).or_insert(HeaderValue::from(length));
    response
}

/// RFC 9111 §3.5: what one caller may see is not for a cache to show another.
pub(crate) fn keep_from_shared_caches(headers: &mut HeaderMap) {
    let (mut says_how, mut varies) = (false, false);
    for name in headers.keys() {
        says_how |= *name == CACHE_CONTROL;
        varies |= *name == VARY;
    }
    if !says_how {
        headers.insert(CACHE_CONTROL, PRIVATE);
    }
    // A layer inside this one may have said so already.
    if !varies || headers.get_all(VARY).iter().all(|value| *value != AUTHORIZATION) {
        headers.append(VARY, AUTHORIZATION);
    }
}

const PRIVATE: HeaderValue = HeaderValue::from_static("private");
const AUTHORIZATION: HeaderValue = HeaderValue::from_static("authorization");
