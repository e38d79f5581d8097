//! The places beside `Authorization` where a token may stand.

use http::header::{AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::bearer;
use crate::csrf::{self, Origins};
use crate::header::{BEARER_PROTOCOL, Head};
use crate::id::{InvalidText, TextOr};
use crate::rejection::{MalformedCredential, Rejection};
use crate::token::MAX_TOKEN_BYTES;

/// A place for the token beside `Authorization`.
///
/// See [`Authenticator::token_from`](crate::authenticate::Authenticator::token_from).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenSource {
    /// This header, such as `X-Api-Key`. Its value is the token, alone or behind `Bearer`.
    Header(HeaderName),
    /// The cookie with exactly this name. An empty cookie counts as no token.
    ///
    /// A browser sends a cookie for any page that asks. So the request must come from a page of the issuer's own origin
    /// or of one of [`BridgeBuilder::trusted_origins`](crate::BridgeBuilder::trusted_origins). Any other request is
    /// refused with [`Rejection::CrossSite`]: also behind an optional layer, and also when the person only follows a
    /// link from another site.
    ///
    /// Set the cookie with `HttpOnly`, `Secure` and `SameSite=Strict`, and give it a name that begins with `__Host-`.
    /// Then no sibling of your host can set a cookie with this name.
    Cookie(String),
    /// `Sec-WebSocket-Protocol`: the entry after `bearer` is the token. A browser can set no other header of a
    /// handshake.
    ///
    /// A page offers `new WebSocket(url, ["bearer", token, "chat"])`. The layer removes both entries from the list. The
    /// handler must choose one of the remaining entries: a browser closes the connection when it offered protocols and
    /// the server chose none.
    WebSocketProtocol,
}

impl TokenSource {
    /// The header with this name, such as `x-api-key`.
    ///
    /// # Errors
    ///
    /// [`InvalidText`] when no header can have this name.
    pub fn header(name: impl TextOr<HeaderName>) -> Result<Self, InvalidText> {
        Ok(Self::Header(name.parsed("the header of the token")?))
    }
}

/// The places beside `Authorization` that a token is read from, and the headers that must be read for them.
#[derive(Debug, Clone, Default)]
pub(crate) struct TokenSources {
    sources: Vec<TokenSource>,
    headers: Vec<HeaderName>,
}

impl TokenSources {
    pub(crate) fn add(&mut self, source: TokenSource) {
        if source != TokenSource::Header(AUTHORIZATION) && !self.sources.contains(&source) {
            self.headers.push(source.header_name());
            if source.is_ambient() {
                self.headers.extend(csrf::HEADERS);
            }
            self.sources.push(source);
        }
    }

    /// Sorts the headers of a request into `head`, for the steps that read them.
    #[inline]
    pub(crate) fn read<'h>(&self, headers: &'h HeaderMap, head: &mut Head<'h>) {
        head.read(headers, &self.headers);
    }

    /// The one token of a request. Its form is not checked yet.
    #[inline]
    pub(crate) fn find<'h>(&self, head: &Head<'h>, origins: &Origins) -> Result<&'h [u8], Rejection> {
        let token = bearer::find(head.authorization);
        if self.sources.is_empty() { token } else { self.find_anywhere(head, token, origins) }
    }

    fn find_anywhere<'h>(
        &self,
        head: &Head<'h>,
        authorization: Result<&'h [u8], Rejection>,
        origins: &Origins,
    ) -> Result<&'h [u8], Rejection> {
        let mut found = match authorization {
            Ok(token) => Some(token),
            Err(Rejection::NoCredential) => None,
            Err(rejection) => return Err(rejection),
        };
        for source in &self.sources {
            let Some(token) = source.find(head)? else { continue };
            if found.replace(token).is_some() {
                return Err(Rejection::InvalidRequest(MalformedCredential::TwoCredentials));
            }
            if source.is_ambient()
                && origins.is_cross_site(csrf::HEADERS.each_ref().map(|name| head.lines(name)))
            {
                return Err(Rejection::CrossSite);
            }
        }
        found.ok_or(Rejection::NoCredential)
    }

    /// Whether something stands in one of the places beside `Authorization`.
    pub(crate) fn sees_token(&self, head: &Head<'_>) -> bool {
        self.sources.iter().any(|source| !matches!(source.find(head), Ok(None)))
    }

    /// Whether a token is read from `Authorization` only.
    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// The token of an admitted request, when it is not in `Authorization`.
    pub(crate) fn token(&self, head: &Head<'_>) -> Option<Vec<u8>> {
        self.sources.iter().find_map(|source| source.find(head).ok()?.map(<[u8]>::to_vec))
    }

    /// The headers beside `Authorization` that a token may stand in, for `Vary` (RFC 9110 §12.5.5).
    pub(crate) fn vary(&self) -> Option<HeaderValue> {
        let names: Vec<_> = self.sources.iter().map(TokenSource::header_name).collect();
        let names = names.iter().map(HeaderName::as_str).collect::<Vec<_>>().join(", ");
        HeaderValue::from_str(&names).ok().filter(|names| !names.is_empty())
    }

    /// Whether the token may be one of the subprotocols.
    pub(crate) fn has_protocols(&self) -> bool {
        self.sources.contains(&TokenSource::WebSocketProtocol)
    }
}

impl TokenSource {
    /// What stands in this place. Its form is not checked yet.
    pub(super) fn find<'h>(&self, head: &Head<'h>) -> Result<Option<&'h [u8]>, Rejection> {
        match self {
            Self::Header(name) => in_header(head, name),
            Self::Cookie(name) => in_cookie(head, name.as_bytes()),
            Self::WebSocketProtocol => in_protocols(head),
        }
    }

    /// Whether a browser sends this place by itself, for any page.
    pub(super) fn is_ambient(&self) -> bool {
        match self {
            Self::Header(name) => *name == COOKIE,
            Self::Cookie(_) => true,
            Self::WebSocketProtocol => false,
        }
    }

    /// The header that holds this place.
    pub(crate) fn header_name(&self) -> HeaderName {
        match self {
            Self::Header(name) => name.clone(),
            Self::Cookie(_) => COOKIE,
            Self::WebSocketProtocol => SEC_WEBSOCKET_PROTOCOL,
        }
    }
}

fn in_header<'h>(head: &Head<'h>, name: &HeaderName) -> Result<Option<&'h [u8]>, Rejection> {
    let mut values = head.lines(name);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(REPEATED);
    }
    let token =
        bearer::after_scheme(value.as_bytes()).unwrap_or_else(|| bearer::trim_spaces(value.as_bytes()));
    of_size(token).map(Some)
}

fn in_cookie<'h>(head: &Head<'h>, name: &[u8]) -> Result<Option<&'h [u8]>, Rejection> {
    let mut found = None;
    for pair in entries(head, &COOKIE, b';') {
        let Some(end) = pair.iter().position(|byte| *byte == b'=') else { continue };
        if &pair[..end] == name && found.replace(unquoted(&pair[end + 1..])).is_some() {
            return Err(REPEATED);
        }
    }
    found.filter(|token| !token.is_empty()).map(of_size).transpose()
}

fn in_protocols<'h>(head: &Head<'h>) -> Result<Option<&'h [u8]>, Rejection> {
    let mut found = None;
    let mut entries = entries(head, &SEC_WEBSOCKET_PROTOCOL, b',');
    while let Some(entry) = entries.next() {
        if entry == BEARER_PROTOCOL
            && let Some(token) = entries.next()
            && found.replace(token).is_some()
        {
            return Err(REPEATED);
        }
    }
    found.map(of_size).transpose()
}

/// The entries of a list, over all lines of a header.
fn entries<'h>(head: &Head<'h>, name: &HeaderName, separator: u8) -> impl Iterator<Item = &'h [u8]> {
    let lines = head.lines(name);
    lines.flat_map(move |line| line.as_bytes().split(move |byte| *byte == separator)).map(<[u8]>::trim_ascii)
}

/// A cookie's value may stand in quotes (RFC 6265 §4.1.1).
fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}

fn of_size(token: &[u8]) -> Result<&[u8], Rejection> {
    if token.len() > MAX_TOKEN_BYTES { Err(Rejection::CredentialTooLarge) } else { Ok(token) }
}

const REPEATED: Rejection = Rejection::InvalidRequest(MalformedCredential::Repeated);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sent(name: &HeaderName, values: &[&str]) -> HeaderMap {
        let values = values.iter().map(|value| HeaderValue::from_str(value).unwrap());
        values.fold(HeaderMap::new(), |mut headers, value| {
            headers.append(name, value);
            headers
        })
    }

    fn found(place: &TokenSource, values: &[&str]) -> Result<Option<String>, Rejection> {
        let headers = sent(&place.header_name(), values);
        place
            .find(&Head::of(&headers, &[place.header_name()]))
            .map(|token| token.map(|token| String::from_utf8(token.to_vec()).unwrap()))
    }

    fn is(token: &str) -> Result<Option<String>, Rejection> {
        Ok(Some(token.to_owned()))
    }

    #[test]
    fn a_header_holds_the_token_alone_or_behind_its_scheme() {
        let place = TokenSource::Header(HeaderName::from_static("x-api-key"));
        for value in ["a.b.c", "Bearer a.b.c", "bearer  a.b.c ", " a.b.c"] {
            assert_eq!(found(&place, &[value]), is("a.b.c"), "{value}");
        }
        assert_eq!(found(&place, &[]), Ok(None));
        assert_eq!(found(&place, &["a", "a"]), Err(REPEATED));
        assert_eq!(found(&place, &["Basic a"]), is("Basic a"), "the form is checked later");
        assert_eq!(found(&place, &[&"a".repeat(MAX_TOKEN_BYTES + 1)]), Err(Rejection::CredentialTooLarge));
    }

    #[test]
    fn a_cookie_is_found_by_its_exact_name_on_any_line() {
        let place = TokenSource::Cookie("token".to_owned());
        for lines in [
            &["token=a.b.c"][..],
            &["x=y; token=a.b.c; z"],
            &["x=y;token=\"a.b.c\""],
            &["x=y", "token=a.b.c", "mytoken=x"],
        ] {
            assert_eq!(found(&place, lines), is("a.b.c"), "{lines:?}");
        }
        for lines in
            [&[][..], &["Token=a"], &["token"], &["token="], &["token=\"\""], &["xtoken=a; token2=b"]]
        {
            assert_eq!(found(&place, lines), Ok(None), "{lines:?}");
        }
        for lines in [&["token=a; token=a"][..], &["token=a", "token="], &["token=; token=a"]] {
            assert_eq!(found(&place, lines), Err(REPEATED), "{lines:?}");
        }
        let huge = format!("token={}", "a".repeat(MAX_TOKEN_BYTES + 1));
        assert_eq!(found(&place, &[&huge]), Err(Rejection::CredentialTooLarge));
    }

    #[test]
    fn of_the_protocols_the_token_is_what_follows_bearer() {
        let place = TokenSource::WebSocketProtocol;
        for lines in [&["bearer, a.b.c, chat"][..], &["chat,bearer,a.b.c"], &["chat, bearer", "a.b.c"]] {
            assert_eq!(found(&place, lines), is("a.b.c"), "{lines:?}");
        }
        for lines in [&[][..], &["chat"], &["Bearer, a.b.c"], &["bearer a.b.c"], &["chat, bearer"]] {
            assert_eq!(found(&place, lines), Ok(None), "{lines:?}");
        }
        assert_eq!(found(&place, &["bearer, a, bearer, b"]), Err(REPEATED));
    }

    #[test]
    fn a_token_of_the_greatest_length_is_found() {
        let longest = "a".repeat(MAX_TOKEN_BYTES);
        assert_eq!(found(&TokenSource::header("x-api-key").unwrap(), &[&longest]), is(&longest));
    }

    fn sources(places: &[TokenSource]) -> TokenSources {
        let mut sources = TokenSources::default();
        places.iter().for_each(|place| sources.add(place.clone()));
        sources
    }

    #[test]
    fn each_place_counts_once_and_authorization_is_none_of_them() {
        let key = TokenSource::header("x-api-key").unwrap();
        let none = sources(&[TokenSource::Header(AUTHORIZATION)]);
        assert!(none.is_empty() && none.vary().is_none() && !none.has_protocols());
        let one = sources(&[key.clone(), key.clone()]);
        assert_eq!(one.vary().unwrap(), "x-api-key");
        assert!(!one.is_empty() && !one.has_protocols());
        let two = sources(&[key, TokenSource::WebSocketProtocol]);
        assert_eq!(two.vary().unwrap(), "x-api-key, sec-websocket-protocol");
        assert!(two.has_protocols());
    }

    /// The token that these sources find in a request, the one outside `Authorization`, and whether they see any.
    fn found_by(
        sources: &TokenSources,
        lines: &[(HeaderName, &str)],
    ) -> (Result<String, Rejection>, Option<String>, bool) {
        let text = |token: &[u8]| String::from_utf8(token.to_vec()).unwrap();
        let lines = lines.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()));
        let (headers, mut head) = (lines.collect::<HeaderMap>(), Head::default());
        sources.read(&headers, &mut head);
        let origins = Origins::new(&"https://gateway.example".parse().unwrap(), &[]);
        let token = sources.find(&head, &origins).map(text);
        (token, sources.token(&head).as_deref().map(text), sources.sees_token(&head))
    }

    #[test]
    fn a_request_has_its_token_in_one_place() {
        let places = sources(&[TokenSource::header("x-api-key").unwrap(), TokenSource::WebSocketProtocol]);
        let (key, own) = (HeaderName::from_static("x-api-key"), (AUTHORIZATION, "Bearer a.b.c"));
        let token = || "a.b.c".to_owned();
        assert_eq!(found_by(&places, &[]), (Err(Rejection::NoCredential), None, false));
        assert_eq!(found_by(&places, std::slice::from_ref(&own)), (Ok(token()), None, false));
        let in_key = (key, "a.b.c");
        assert_eq!(found_by(&places, std::slice::from_ref(&in_key)), (Ok(token()), Some(token()), true));
        let two = Err(Rejection::InvalidRequest(MalformedCredential::TwoCredentials));
        assert_eq!(found_by(&places, &[own, in_key]), (two, Some(token()), true));
    }

    #[test]
    fn only_a_cookie_must_come_from_a_trusted_page() {
        let cookie = [TokenSource::Cookie("token".to_owned()), TokenSource::Header(COOKIE)];
        let key = TokenSource::header("x-api-key").unwrap();
        assert!(cookie.iter().all(TokenSource::is_ambient));
        assert!(!key.is_ambient() && !TokenSource::WebSocketProtocol.is_ambient());
        let (cookie, key) = (sources(&cookie[..1]), sources(&[key]));
        let from = |page, name, value| [(http::header::ORIGIN, page), (name, value)];
        let (ours, theirs) = ("https://gateway.example", "https://evil.example");
        assert!(found_by(&cookie, &from(ours, COOKIE, "token=a.b.c")).0.is_ok());
        assert_eq!(found_by(&cookie, &from(theirs, COOKIE, "token=a.b.c")).0, Err(Rejection::CrossSite));
        assert!(found_by(&key, &from(theirs, HeaderName::from_static("x-api-key"), "a.b.c")).0.is_ok());
    }

    proptest! {
        #[test]
        fn finding_never_panics(lines in proptest::collection::vec("[ -~]{0,40}", 0..3)) {
            let lines: Vec<_> = lines.iter().map(String::as_str).collect();
            for place in [
                TokenSource::Header(HeaderName::from_static("x-api-key")),
                TokenSource::Cookie("a".to_owned()),
                TokenSource::WebSocketProtocol,
            ] {
                let _ = found(&place, &lines);
            }
        }
    }
}
