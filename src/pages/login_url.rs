//! Where the host's own login is.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use crate::validate::{BuildError, is_safe};

/// All characters but the unreserved ones (RFC 3986 §2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The path or URL of the login.
#[derive(Debug, Clone)]
pub(super) struct LoginUrl(String);

impl LoginUrl {
    pub(super) fn new(url: String) -> Self {
        Self(url)
    }

    /// Refuses what a browser would read otherwise than its author, and what would send people over a network
    /// unencrypted.
    pub(super) fn check(&self, what: &'static str) -> Result<(), BuildError> {
        let is_plain = self.0.bytes().all(|b| b.is_ascii_graphic() && b != b'\\' && b != b'#');
        let is_path = self.0.starts_with('/') && !self.0.starts_with("//");
        let is_url = || Url::parse(&self.0).is_ok_and(|url| is_safe(&url));
        if is_plain && (is_path || is_url()) {
            return Ok(());
        }
        Err(BuildError::Text {
            what,
            value: self.0.clone(),
            allowed: "a path such as \"/login\", or an https URL (http is for loopback only), without fragment and user",
        })
    }

    pub(super) fn returning_to(&self, page: &str) -> String {
        let separator = match self.0.split_once('?') {
            None => "?",
            Some((_, "")) => "",
            Some(_) => "&",
        };
        format!("{}{separator}return_to={}", self.0, utf8_percent_encode(page, RESERVED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_a_login_that_every_browser_finds_is_accepted() {
        let check = |url: &str| LoginUrl::new(url.to_owned()).check("the login URL");
        for good in
            ["/login", "/", "/login?tenant=a", "https://id.example/login", "http://127.0.0.1:8080/login"]
        {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "login",
            "//evil.example",
            "/\\evil.example",
            "/log in",
            "/login#x",
            "/lög",
            "/login\r\nx: y",
            "http://id.example/login",
            "https://user@id.example/login",
            "https:/\\id.example",
            "javascript:alert(1)",
            "data:text/html,x",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_page_to_return_to_is_added_to_the_query() {
        let to = |url: &str, page: &str| LoginUrl::new(url.to_owned()).returning_to(page);
        let page = "/device?user_code=BCDF-GHJK&x=é";
        let encoded = "return_to=%2Fdevice%3Fuser_code%3DBCDF-GHJK%26x%3D%C3%A9";
        assert_eq!(to("/login", page), format!("/login?{encoded}"));
        assert_eq!(to("/login?", page), format!("/login?{encoded}"));
        assert_eq!(to("https://id.example/?a=b", page), format!("https://id.example/?a=b&{encoded}"));
    }

    proptest! {
        #[test]
        fn every_page_comes_back_as_it_was(page in any::<String>()) {
            let url = LoginUrl::new("/login?a=b".to_owned()).returning_to(&page);
            prop_assert!(url.bytes().all(|b| b.is_ascii_graphic()));
            let url = Url::parse("https://g.example").unwrap().join(&url).unwrap();
            let pairs: Vec<_> = url.query_pairs().into_owned().collect();
            prop_assert_eq!(pairs, [("a".to_owned(), "b".to_owned()), ("return_to".to_owned(), page)]);
        }
    }
}
