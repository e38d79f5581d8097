//! Finds the one bearer token of a request (RFC 6750 §2.1, RFC 9110 §11.4).

use http::Uri;
use url::form_urlencoded;

use crate::header::Lines;
use crate::rejection::{MalformedCredential, Rejection};
use crate::token::MAX_TOKEN_BYTES;

/// What stands behind `Bearer` in the one `Authorization` header. The form of the token is not checked yet.
///
/// The scheme is read in upper and lower case. Another scheme is no credential of ours. A value that does not begin
/// with a scheme is malformed.
pub(super) fn find(authorization: Lines<'_>) -> Result<&[u8], Rejection> {
    let value = authorization.first().ok_or(Rejection::NoCredential)?;
    if authorization.is_repeated() {
        return Err(Rejection::InvalidRequest(MalformedCredential::Repeated));
    }
    if value.len() > MAX_TOKEN_BYTES + "Bearer ".len() {
        return Err(Rejection::CredentialTooLarge);
    }
    let bytes = value.as_bytes();
    if let Some(token) = after_scheme(bytes) {
        return Ok(token);
    }
    let scheme = bytes.split(|b| *b == b' ').next().unwrap_or_default();
    if scheme.is_empty() || scheme.eq_ignore_ascii_case(BEARER) || !scheme.iter().all(|b| is_tchar(*b)) {
        return Err(MALFORMED);
    }
    Err(Rejection::NoCredential)
}

/// What stands behind `Bearer` and a space.
pub(crate) fn after_scheme(value: &[u8]) -> Option<&[u8]> {
    // Nearly all clients spell it so: one comparison.
    if let Some(token) = value.strip_prefix(b"Bearer ") {
        return Some(trim_spaces(token));
    }
    let (scheme, token) = value.split_at_checked(BEARER.len())?;
    let is_bearer = scheme.eq_ignore_ascii_case(BEARER) && token.first() == Some(&b' ');
    is_bearer.then(|| trim_spaces(token))
}

/// Whether `value` of `Authorization` is a token without a scheme, as a client sends it that knows no schemes.
pub(crate) fn is_bare_token(value: &[u8]) -> bool {
    !value.contains(&b' ') && value.iter().filter(|b| **b == b'.').count() == 2
}

/// The token as text, when it has the form of a token.
///
/// The form is `token68` of RFC 9110 §11.2, which RFC 6750 §2.1 calls `b64token`.
pub(super) fn token68(token: &[u8]) -> Result<&str, Rejection> {
    let text = std::str::from_utf8(token).map_err(|_| MALFORMED)?;
    let bare = text.trim_end_matches('=');
    let is_allowed = |b: u8| matches!(b, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
    // The loop has no early exit, so the compiler makes it a few instructions for many bytes at once.
    let allowed = bare.bytes().fold(true, |all, b| all & is_allowed(b));
    if !bare.is_empty() && allowed { Ok(text) } else { Err(MALFORMED) }
}

/// Whether the query carries an `access_token`.
///
/// Such a token is never read (OAuth 2.1 §5.1). But beside a header it is a second credential (RFC 6750 §2).
pub(crate) fn has_query_token(uri: &Uri) -> bool {
    let query = uri.query().unwrap_or("").as_bytes();
    form_urlencoded::parse(query).any(|(name, _)| name == "access_token")
}

/// RFC 9110 §5.6.2.
fn is_tchar(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

const BEARER: &[u8] = b"bearer";

const MALFORMED: Rejection = Rejection::InvalidRequest(MalformedCredential::Malformed);

pub(super) fn trim_spaces(mut bytes: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] | [rest @ .., b' '] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::Head;
    use http::header::AUTHORIZATION;
    use http::{HeaderMap, HeaderValue};
    use proptest::prelude::*;

    /// Both steps: finds the token and checks its form.
    fn find(headers: &HeaderMap) -> Result<&str, Rejection> {
        super::find(Head::of(headers, &[]).authorization).and_then(token68)
    }

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

    #[test]
    fn a_bare_token_has_three_parts_and_no_scheme() {
        assert!(is_bare_token(b"a.b.c"));
        for other in ["Bearer a.b.c", "a.b", "a.b.c.d", "abc", ""] {
            assert!(!is_bare_token(other.as_bytes()), "{other}");
        }
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
