//! Which names the gateway answers to.
//!
//! A page can make its own name lead to this machine (DNS rebinding) and then call the gateway as its own server, with no
//! rule of the browser's in its way. Its requests still name the page's host.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use url::{Host, Url};

/// The name in the gateway's own URL.
#[derive(Clone)]
pub struct OwnHost(Arc<Option<Host<String>>>);

/// Answers only those who name this machine or the gateway; ports are not compared, for a proxy may stand in front.
pub async fn check(State(own): State<OwnHost>, request: Request, next: Next) -> Response {
    if own.is_named_in(&request) {
        next.run(request).await
    } else {
        (StatusCode::MISDIRECTED_REQUEST, "no gateway has this name\n").into_response()
    }
}

impl OwnHost {
    /// The host of the gateway that is reached at `url`.
    pub fn of(url: &str) -> Self {
        let host = Url::parse(url).ok().and_then(|url| Some(url.host()?.to_owned()));
        Self(Arc::new(host))
    }

    /// Whether every name that the request has for its server, and there is one, is good.
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
            // A page has no power over what an address leads to.
            Ok(Host::Ipv4(_) | Host::Ipv6(_)) => true,
            Ok(host) => self.0.as_ref().as_ref() == Some(&host),
            Err(_) => false,
        }
    }
}
