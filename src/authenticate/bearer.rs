//! Finds the one bearer token of a request (RFC 6750 §2.1, RFC 9110 §11.4).

use http::HeaderMap;
use http::Uri;
use http::header::AUTHORIZATION;
use url::form_urlencoded;

use crate::reject::{MalformedCredential, Rejection};
use crate::token::MAX_TOKEN_BYTES;

/// The token of the one `Authorization: Bearer` header.
///
/// The scheme is read in any case. Another scheme is no credential of ours; a header that is not a scheme
/// and a token68 is malformed.
pub(super) fn find(headers: &HeaderMap) -> Result<&str, Rejection> {
    let malformed = Rejection::InvalidRequest(MalformedCredential::Malformed);
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Rejection::NoCredential)?;
    if values.next().is_some() {
        return Err(Rejection::InvalidRequest(MalformedCredential::Repeated));
    }
    if value.len() > MAX_TOKEN_BYTES + "Bearer ".len() {
        return Err(Rejection::CredentialTooLarge);
    }
    let text = value.to_str().map_err(|_| malformed.clone())?;
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    if scheme.is_empty() || !scheme.bytes().all(is_tchar) {
        return Err(malformed);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Rejection::NoCredential);
    }
    let token = token.trim_matches(' ');
    if is_token68(token) { Ok(token) } else { Err(malformed) }
}

/// Whether the query carries an `access_token`: it is never one of ours (OAuth 2.1 §5.1), but beside a
/// header it makes two (RFC 6750 §2).
pub(crate) fn has_query_token(uri: &Uri) -> bool {
    let query = uri.query().unwrap_or("").as_bytes();
    form_urlencoded::parse(query).any(|(name, _)| name == "access_token")
}

/// RFC 9110 §5.6.2.
fn is_tchar(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

/// RFC 9110 §11.2: what `b64token` of RFC 6750 §2.1 is now called.
fn is_token68(text: &str) -> bool {
    let bare = text.trim_end_matches('=');
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b);
    !bare.is_empty() && bare.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn with(values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    #[test]
    fn the_scheme_is_read_in_any_case() {
        for value in
            ["Bearer a.b.c", "bearer a.b.c", "BEARER a.b.c", "bEaReR a.b.c", "Bearer  a.b.c", "Bearer a.b.c "]
        {
            assert_eq!(find(&with(&[value.as_bytes()])), Ok("a.b.c"), "{value}");
        }
    }

    #[test]
    fn a_malformed_header_is_a_bad_request() {
        let malformed = Err(Rejection::InvalidRequest(MalformedCredential::Malformed));
        for value in [
            &b"Bearer"[..],
            b"Bearer ",
            b"Bearer =",
            b"Bearer \"a\"",
            b"Bearer\ta",
            b"Bearer a b",
            b"Bearer a, Bearer b",
            b"Bearer: a",
            b" a",
            b"",
            b"Bearer a\xa0",
            b"\xca\x99earer a",
            b"Bearer a=b",
            b"Bearer a,b",
        ] {
            assert_eq!(find(&with(&[value])), malformed, "{:?}", String::from_utf8_lossy(value));
        }
    }

    #[test]
    fn another_scheme_is_no_credential() {
        for value in
            ["Basic YTpi", "Negotiate x", "DPoP a.b.c", "BearerX a", "Digest realm=\"x\", nonce=\"y\""]
        {
            assert_eq!(find(&with(&[value.as_bytes()])), Err(Rejection::NoCredential), "{value}");
        }
    }

    #[test]
    fn two_headers_are_refused_in_either_order() {
        let repeated = Err(Rejection::InvalidRequest(MalformedCredential::Repeated));
        assert_eq!(find(&with(&[b"Bearer a", b"Bearer b"])), repeated);
        assert_eq!(find(&with(&[b"Basic a", b"Bearer b"])), repeated);
    }

    #[test]
    fn size_is_checked_first() {
        let huge = "\"".repeat(MAX_TOKEN_BYTES + 8);
        assert_eq!(find(&with(&[huge.as_bytes()])), Err(Rejection::CredentialTooLarge));
    }

    #[test]
    fn a_token_in_the_query_is_seen_however_it_is_spelt() {
        let seen = |uri: &str| has_query_token(&uri.parse().unwrap());
        assert!(seen("/?access_token=x") && seen("/?a=b&access%5Ftoken=x") && seen("/?access_token"));
        assert!(!seen("/access_token") && !seen("/?q=access_token") && !seen("/"));
    }

    proptest! {
        #[test]
        fn finding_never_panics(values in proptest::collection::vec(any::<Vec<u8>>(), 0..3)) {
            let mut headers = HeaderMap::new();
            for value in values.iter().filter_map(|value| HeaderValue::from_bytes(value).ok()) {
                headers.append(AUTHORIZATION, value);
            }
            let _ = find(&headers);
        }
    }
}
