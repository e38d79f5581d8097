//! The answer to a client through the person's browser (OAuth 2.1 §4.1.2, RFC 9207).

use bytes::Bytes;
use http::header::{CACHE_CONTROL, HeaderValue, LOCATION, REFERRER_POLICY};
use http::{Response, StatusCode};
use url::{Host, Url, form_urlencoded};

/// Where a verified client is answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Redirect<'a> {
    /// The redirect URI, as the client sent it or registered it.
    pub(super) uri: &'a str,
    /// What the client sent as `state`.
    pub(super) state: Option<&'a str>,
    pub(super) issuer: &'a str,
}

/// An error that the client is told (OAuth 2.1 §4.1.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AuthorizationError {
    pub(super) code: &'static str,
    pub(super) description: &'static str,
}

impl Redirect<'_> {
    /// Sends the code.
    pub(super) fn with_code(&self, code: &str) -> Response<Bytes> {
        see_other(&self.url(&[("code", code)]))
    }

    /// Sends an error.
    pub(super) fn with_error(&self, error: AuthorizationError) -> Response<Bytes> {
        see_other(&self.error_url(error))
    }

    /// Where an error is sent.
    pub(super) fn error_url(&self, error: AuthorizationError) -> String {
        self.url(&[("error", error.code), ("error_description", error.description)])
    }

    fn url(&self, members: &[(&str, &str)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(members);
        query.extend_pairs(self.state.map(|state| ("state", state)));
        query.append_pair("iss", self.issuer);
        // The URI is kept byte for byte, as the client compares it.
        let joint = match self.uri.find('?') {
            None => "?",
            Some(place) if place + 1 == self.uri.len() || self.uri.ends_with('&') => "",
            Some(_) => "&",
        };
        format!("{}{joint}{}", self.uri, query.finish())
    }
}

/// The host that a redirect leads to, with its port if it has one. For a program's own scheme: the scheme.
pub(super) fn shown_host(url: &Url) -> String {
    let host = match (url.scheme(), url.host()) {
        ("https" | "http", Some(Host::Domain(name))) => name.to_owned(),
        ("https" | "http", Some(address)) => address.to_string(),
        (scheme, _) => return format!("{scheme}:"),
    };
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host,
    }
}

/// Leads the browser to `location` with `GET` (RFC 9700 §4.12).
pub(super) fn see_other(location: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    // A location that is no header value cannot come from a URL. Without it the browser stays where it is.
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(uri: &str, state: Option<&str>) -> String {
        let redirect = Redirect { uri, state, issuer: "https://gateway.example" };
        let response = redirect.with_code("abc");
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        response.headers()[LOCATION].to_str().unwrap().to_owned()
    }

    #[test]
    fn row_l10_every_answer_names_the_issuer_and_gives_the_state_back() {
        let iss = "iss=https%3A%2F%2Fgateway.example";
        assert_eq!(
            location("https://app.example/cb", Some("a b&c=d")),
            format!("https://app.example/cb?code=abc&state=a+b%26c%3Dd&{iss}")
        );
        assert_eq!(
            location("http://127.0.0.1:1/cb?x=1", None),
            format!("http://127.0.0.1:1/cb?x=1&code=abc&{iss}")
        );
        assert_eq!(location("com.example.app:/cb?", None), format!("com.example.app:/cb?code=abc&{iss}"));
    }
}
