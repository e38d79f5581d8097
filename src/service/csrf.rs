//! Whether a browser sent a request from another site: what it carries then is not its sender's own wish.

use http::header::{HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};
use url::Url;

use super::answer::Refusal;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses a request that a browser sent from another site.
///
/// Browsers say so in `Sec-Fetch-Site`; older ones send an `Origin`, which is held against the host that was
/// asked. What sends neither is no browser, and acts on nobody's cookies but its own.
pub(super) fn refuse_cross_site(parts: &Parts) -> Result<(), Refusal> {
    if is_cross_site(parts) {
        let detail = "A page of another site may not do this.";
        Err(Refusal::new(StatusCode::FORBIDDEN, "cross_site", detail))
    } else {
        Ok(())
    }
}

fn is_cross_site(parts: &Parts) -> bool {
    let mut sites = parts.headers.get_all(SEC_FETCH_SITE).iter().peekable();
    if sites.peek().is_some() {
        return !sites.all(|site| site == "same-origin" || site == "none");
    }
    let mut origins = parts.headers.get_all(ORIGIN).iter();
    !origins.all(|origin| is_own(parts, origin).unwrap_or(false))
}

/// Whether `origin` is the host that was asked; its scheme does not count, since a proxy may have ended TLS.
fn is_own(parts: &Parts, origin: &HeaderValue) -> Option<bool> {
    let origin = Url::parse(origin.to_str().ok()?).ok()?;
    let asked = match parts.uri.authority() {
        Some(authority) => authority.as_str(),
        None => parts.headers.get(HOST)?.to_str().ok()?,
    };
    let asked = Url::parse(&format!("{}://{asked}", origin.scheme())).ok()?;
    let place = |url: &Url| Some((url.host_str()?.to_owned(), url.port_or_known_default()));
    Some(place(&origin)? == place(&asked)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;
    use proptest::prelude::*;

    fn is_refused(uri: &str, headers: &[(&str, &str)]) -> bool {
        let request =
            headers.iter().fold(Request::post(uri), |request, (name, value)| request.header(*name, *value));
        is_cross_site(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn sec_fetch_site_decides_where_it_is_sent() {
        let host = ("host", "gateway.example");
        for (site, refused) in
            [("same-origin", false), ("none", false), ("same-site", true), ("cross-site", true), ("", true)]
        {
            assert_eq!(is_refused("/code", &[host, ("sec-fetch-site", site)]), refused, "{site}");
        }
        let own = ("origin", "https://gateway.example");
        assert!(is_refused("/code", &[host, own, ("sec-fetch-site", "cross-site")]));
        assert!(is_refused("/code", &[("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")]));
    }

    #[test]
    fn an_origin_must_be_the_host_that_was_asked() {
        let asked = |host: &str, origin: &str| is_refused("/code", &[("host", host), ("origin", origin)]);
        assert!(!asked("gateway.example", "https://gateway.example"));
        assert!(!asked("gateway.example:443", "https://gateway.example"));
        assert!(!asked("GATEWAY.example", "https://gateway.example"));
        assert!(!asked("127.0.0.1:8080", "http://127.0.0.1:8080"));
        assert!(!asked("[::1]:8080", "http://[::1]:8080"));
        for (host, origin) in [
            ("gateway.example", "null"),
            ("gateway.example", ""),
            ("gateway.example", "https://evil.example"),
            ("gateway.example", "https://gateway.example.evil.example"),
            ("gateway.example", "https://evil.example/gateway.example"),
            ("gateway.example", "https://evil.example#@gateway.example"),
            ("gateway.example:8443", "https://gateway.example"),
            ("127.0.0.1:8080", "http://127.0.0.1:8081"),
            ("evil.example@gateway.example", "https://evil.example"),
            ("", "https://gateway.example"),
        ] {
            assert!(asked(host, origin), "{host} {origin}");
        }
        assert!(is_refused("/code", &[("origin", "https://gateway.example")]));
    }

    #[test]
    fn the_authority_of_http_2_counts_before_host() {
        let headers = [("host", "evil.example"), ("origin", "https://evil.example")];
        assert!(is_refused("https://gateway.example/code", &headers));
        assert!(!is_refused("https://gateway.example/code", &[("origin", "https://gateway.example")]));
    }

    #[test]
    fn a_second_origin_does_not_hide_behind_the_first() {
        let headers =
            [("host", "a.example"), ("origin", "https://a.example"), ("origin", "https://b.example")];
        assert!(is_refused("/code", &headers));
    }

    #[test]
    fn what_is_no_browser_comes_through() {
        assert!(!is_refused("/code", &[("host", "gateway.example")]));
    }

    proptest! {
        #[test]
        fn no_foreign_host_passes_for_the_own(host in "[a-z]{1,8}(\\.[a-z]{1,8}){0,3}", port in 1_u16..) {
            let origin = format!("https://{host}:{port}");
            let passes = !is_refused("/code", &[("host", "gateway.example"), ("origin", &origin)]);
            prop_assert_eq!(passes, host == "gateway.example" && port == 443);
        }
    }
}
