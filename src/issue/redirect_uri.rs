//! Redirect URIs: which of them a client may have, and whether one is a client's own (OAuth 2.1 §2.3.1, RFC 8252 §7.3).

use url::{Host, Url};

/// The longest redirect URI. A ticket must hold it.
const MAX_BYTES: usize = 2048;

/// Whether a client may register `uri`: an https URL, an http URL of this machine, or a private-use scheme of a program.
pub(crate) fn may_be_registered(uri: &str) -> bool {
    let Ok(url) = Url::parse(uri) else { return false };
    let is_plain = uri.len() <= MAX_BYTES
        && uri.bytes().all(|b| b.is_ascii_graphic())
        && url.fragment().is_none()
        && !uri.contains('#')
        && url.username().is_empty()
        && url.password().is_none();
    let is_safe = match url.scheme() {
        "https" => url.has_host(),
        "http" => is_loopback(&url),
        "javascript" | "data" | "file" | "blob" | "vbscript" | "about" | "ftp" | "ws" | "wss" => false,
        _ => true,
    };
    is_plain && is_safe
}

/// Whether `sent` is the redirect URI `registered`, byte for byte.
///
/// Only the port of a loopback address is free, because a program takes the port that it gets. The port of `localhost`
/// is free when the client registered none: RFC 8252 §8.3 advises against that name, and stock clients use it.
pub(crate) fn is(registered: &str, sent: &str) -> bool {
    if registered == sent {
        return true;
    }
    let (Some(own), Some(sent)) = (Loopback::of(registered), Loopback::of(sent)) else { return false };
    let port_is_free = own.host != LOCALHOST || own.port.is_none();
    port_is_free && own.host == sent.host && own.rest == sent.rest && sent.port.is_none_or(is_port)
}

/// Whether a redirect to `url` stays on the person's machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

const LOCALHOST: &str = "http://localhost";

/// The parts of a redirect URI to this machine, as they were written.
struct Loopback<'a> {
    host: &'static str,
    port: Option<&'a str>,
    rest: &'a str,
}

impl<'a> Loopback<'a> {
    fn of(uri: &'a str) -> Option<Self> {
        let hosts = ["http://127.0.0.1", "http://[::1]", LOCALHOST];
        let (host, behind) = hosts.into_iter().find_map(|host| Some((host, uri.strip_prefix(host)?)))?;
        let (port, rest) = match behind.strip_prefix(':') {
            Some(behind) => {
                let end = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
                let (port, rest) = behind.split_at(end);
                (Some(port), rest)
            }
            None => (None, behind),
        };
        (rest.is_empty() || rest.starts_with(['/', '?'])).then_some(Self { host, port, rest })
    }
}

fn is_port(text: &str) -> bool {
    !text.starts_with('0') && text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn row_l8_only_the_port_of_a_loopback_literal_is_free() {
        for (registered, sent) in [
            ("https://app.example/cb", "https://app.example/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:49152/cb"),
            ("http://127.0.0.1:3000/cb", "http://127.0.0.1:49152/cb"),
            ("http://127.0.0.1:3000/cb", "http://127.0.0.1/cb"),
            ("http://[::1]/cb?x=1", "http://[::1]:1/cb?x=1"),
            ("http://localhost/cb", "http://localhost:65535/cb"),
            ("com.example.app:/cb", "com.example.app:/cb"),
        ] {
            assert!(is(registered, sent), "{registered} {sent}");
        }
        for (registered, sent) in [
            ("https://app.example/cb", "https://app.example/cb/"),
            ("https://app.example/cb", "https://app.example/CB"),
            ("https://app.example/cb", "https://app.example:443/cb"),
            ("https://app.example/cb", "https://app.example/cb?x"),
            ("https://app.example/cb", "https://app.example/cb#x"),
            ("https://app.example/cb", "https://app.example.evil/cb"),
            ("https://app.example/cb", "https://u@app.example/cb"),
            ("https://127.0.0.1/cb", "https://127.0.0.1:1/cb"),
            ("http://127.0.0.1/cb", "http://localhost/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.2/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:1@evil.example/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:1/other"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:0/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:65536/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1:080/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1.evil.example/cb"),
            ("http://127.0.0.1/cb", "HTTP://127.0.0.1/cb"),
            ("http://127.0.0.1/cb", "http://127.1/cb"),
            ("http://127.0.0.1", "http://127.0.0.1:1evil.example"),
            ("http://localhost:3000/cb", "http://localhost:3001/cb"),
            ("http://localhost/cb", "http://localhost.evil.example:1/cb"),
            ("http://[::1]/cb", "http://[::2]:1/cb"),
        ] {
            assert!(!is(registered, sent), "{registered} {sent}");
        }
    }

    #[test]
    fn a_redirect_that_runs_script_or_travels_open_cannot_be_registered() {
        for good in [
            "https://app.example/cb",
            "http://127.0.0.1/cb",
            "http://[::1]/cb",
            "http://localhost/cb",
            "com.example.app:/cb",
            "cursor://anysphere.cursor-mcp/oauth/callback",
        ] {
            assert!(may_be_registered(good), "{good}");
        }
        for bad in [
            "",
            "/cb",
            "http://app.example/cb",
            "https://app.example/cb#",
            "https://app.example/cb#x",
            "https://u:p@app.example/cb",
            "javascript:alert(1)",
            "JavaScript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "https://app.example/c b",
            "https://app.example/\n",
            "https://app.example/é",
            &format!("https://app.example/{}", "a".repeat(MAX_BYTES)),
        ] {
            assert!(!may_be_registered(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_the_redirect_of_another_host(text in "(http://127\\.0\\.0\\.1)?[ -~]{0,30}") {
            if is("http://127.0.0.1/cb", &text) {
                let url = Url::parse(&text).unwrap();
                prop_assert_eq!(url.host_str(), Some("127.0.0.1"));
                prop_assert_eq!((url.path(), url.query(), url.fragment()), ("/cb", None, None));
            }
        }
    }
}
