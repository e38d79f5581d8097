//! Whether a page of another site made a browser send a request: then the person did not choose to send it.

use http::header::ORIGIN;
use http::{HeaderName, HeaderValue};
use url::Url;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The headers that show where a request comes from.
pub(crate) const HEADERS: [HeaderName; 2] = [ORIGIN, SEC_FETCH_SITE];

/// The origins whose pages may use a person's cookies here (RFC 6454 §6.2, in the form that browsers send).
#[derive(Debug)]
pub(crate) struct Origins {
    own: String,
    trusted: Vec<String>,
}

impl Origins {
    pub(crate) fn new(issuer: &Url, trusted: &[Url]) -> Self {
        let serialize = |url: &Url| url.origin().ascii_serialization();
        Self { own: serialize(issuer), trusted: trusted.iter().map(serialize).collect() }
    }

    /// Whether a page of another origin sent the request.
    ///
    /// - `Origin`, if it is sent, must be the issuer's or a trusted one. `Host` does not count: when an attacker makes
    ///   the name of a page lead here (DNS rebinding), both `Host` and `Origin` are the attacker's.
    /// - `Sec-Fetch-Site`, if it is sent, must say that the page and the gateway have the same origin, or that no page
    ///   sent the request. A page of a trusted origin has another value, which is allowed.
    /// - A client that sends neither header is not a browser, and has no cookies except its own.
    ///
    /// The arguments are the lines of each of [`HEADERS`], in their order.
    pub(crate) fn is_cross_site<'h, L>(&self, [origins, sites]: [L; 2]) -> bool
    where
        L: IntoIterator<Item = &'h HeaderValue>,
    {
        let mut is_trusted_page = false;
        for origin in origins {
            if self.trusts(origin) {
                is_trusted_page = true;
            } else if *origin != self.own {
                return true;
            }
        }
        let is_own_page = |site: &HeaderValue| site == "same-origin" || site == "none";
        !is_trusted_page && !sites.into_iter().all(is_own_page)
    }

    fn trusts(&self, origin: &HeaderValue) -> bool {
        self.trusted.iter().any(|trusted| origin == trusted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;
    use proptest::prelude::*;

    fn refuses(issuer: &str, trusted: &[&str], headers: &[(&'static str, &str)]) -> bool {
        let trusted: Vec<_> = trusted.iter().map(|url| url.parse().unwrap()).collect();
        let mut sent = HeaderMap::new();
        for (name, value) in headers {
            sent.append(*name, HeaderValue::from_str(value).unwrap());
        }
        Origins::new(&issuer.parse().unwrap(), &trusted).is_cross_site(HEADERS.map(|name| sent.get_all(name)))
    }

    fn is_refused(headers: &[(&'static str, &str)]) -> bool {
        refuses("https://gateway.example/tenant", &["https://app.example", "http://localhost:3000"], headers)
    }

    #[test]
    fn sec_fetch_site_must_name_the_own_page_or_none() {
        let own = ("origin", "https://gateway.example");
        for (site, refused) in
            [("same-origin", false), ("none", false), ("same-site", true), ("cross-site", true), ("", true)]
        {
            assert_eq!(is_refused(&[("sec-fetch-site", site)]), refused, "{site}");
            assert_eq!(is_refused(&[own, ("sec-fetch-site", site)]), refused, "{site}");
        }
        assert!(is_refused(&[("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")]));
    }

    #[test]
    fn an_origin_must_be_the_issuers() {
        let from = |issuer: &str, origin: &str| refuses(issuer, &[], &[("origin", origin)]);
        for (issuer, origin) in [
            ("https://gateway.example", "https://gateway.example"),
            ("https://GATEWAY.example:443/tenant", "https://gateway.example"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ] {
            assert!(!from(issuer, origin), "{issuer} {origin}");
        }
        for (issuer, origin) in [
            ("https://gateway.example", "null"),
            ("https://gateway.example", ""),
            ("https://gateway.example", "http://gateway.example"),
            ("https://gateway.example", "https://evil.example"),
            ("https://gateway.example", "https://gateway.example.evil.example"),
            ("https://gateway.example", "https://evil.example/gateway.example"),
            ("https://gateway.example", "https://evil.example#@gateway.example"),
            ("https://gateway.example", "https://gateway.example https://evil.example"),
            ("https://gateway.example:8443", "https://gateway.example"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8081"),
            ("http://127.0.0.1:8080", "http://localhost:8080"),
        ] {
            assert!(from(issuer, origin), "{issuer} {origin}");
        }
    }

    #[test]
    fn a_rebound_host_does_not_make_its_own_origin_good() {
        let rebound = [("host", "evil.example"), ("origin", "https://evil.example")];
        assert!(is_refused(&rebound));
        assert!(is_refused(&[rebound[0], rebound[1], ("sec-fetch-site", "same-origin")]));
    }

    #[test]
    fn a_second_origin_does_not_hide_behind_the_first() {
        for first in ["https://gateway.example", "https://app.example"] {
            assert!(is_refused(&[("origin", first), ("origin", "https://evil.example")]), "{first}");
        }
    }

    #[test]
    fn a_page_of_a_trusted_origin_may_ask_from_where_it_is() {
        for origin in ["https://app.example", "http://localhost:3000"] {
            assert!(!is_refused(&[("origin", origin)]));
            assert!(!is_refused(&[("origin", origin), ("sec-fetch-site", "cross-site")]));
        }
        for other in ["http://app.example", "https://app.example:8443", "http://localhost:3001"] {
            assert!(is_refused(&[("origin", other)]), "{other}");
        }
    }

    #[test]
    fn what_is_no_browser_comes_through() {
        assert!(!is_refused(&[("host", "gateway.example")]));
    }

    proptest! {
        #[test]
        fn no_foreign_origin_passes_for_the_own(host in "[a-z]{1,8}(\\.[a-z]{1,8}){0,3}", port in 1_u16..) {
            let origin = format!("https://{host}:{port}");
            prop_assert!(refuses("https://gateway.example", &[], &[("origin", &origin)]));
        }
    }
}
