//! The host names that the gateway answers to.
//!
//! A web page can make its own name lead to this machine (DNS rebinding). Then the browser lets the page call the
//! gateway as the page's own server. But the requests still name the page's host, so the gateway can refuse them.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use url::{Host, Url};

/// What a caller is told who names another host.
const WRONG_HOST: &str =
    "no gateway answers to this host name: use the host of --issuer, localhost or an IP address\n";

/// The name in the gateway's own URL.
#[derive(Clone)]
pub struct OwnHost(Arc<Option<Host<String>>>);

/// Answers only requests that name this machine or the gateway. Ports are not compared, because a proxy may be in
/// front.
pub async fn check(State(own): State<OwnHost>, request: Request, next: Next) -> Response {
    if own.is_named_in(&request) {
        next.run(request).await
    } else {
        (StatusCode::MISDIRECTED_REQUEST, WRONG_HOST).into_response()
    }
}

impl OwnHost {
    /// The host of the gateway that clients reach at `url`.
    pub fn of(url: &str) -> Self {
        let host = Url::parse(url).ok().and_then(|url| Some(url.host()?.to_owned()));
        Self(Arc::new(host))
    }

    /// Whether the request names its server at least once, and only with good names.
    fn is_named_in(&self, request: &Request) -> bool {
        let target = request.uri().authority().map(|authority| self.is_good(authority));
        let lines = request.headers().get_all(header::HOST).iter();
        let lines =
            lines.map(|line| Authority::try_from(line.as_bytes()).is_ok_and(|host| self.is_good(&host)));
        let mut names = target.into_iter().chain(lines).peekable();
        names.peek().is_some() && names.all(|is_good| is_good)
    }

    fn is_good(&self, authority: &Authority) -> bool {
        match Host::parse(authority.host()) {
            Ok(Host::Domain(name)) if name == "localhost" => true,
            // A page cannot change where an IP address leads.
            Ok(Host::Ipv4(_) | Host::Ipv6(_)) => true,
            Ok(host) => self.0.as_ref().as_ref() == Some(&host),
            Err(_) => false,
        }
    }
}
