//! Request heads, as clients send them and as hyper parses them.

use std::net::SocketAddr;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};

use super::app::PATH;

/// The lines of a request's head, in the order in which they are sent.
#[derive(Debug, Clone)]
pub struct Head {
    lines: Vec<(&'static str, String)>,
    /// Whether the extensions contain the peer's address, as a server without a router leaves it there.
    has_peer: bool,
}

/// The credential of a client, and the header that contains it.
#[derive(Debug, Clone)]
pub enum Credential {
    None,
    Bearer(String),
    Cookie(String),
}

/// The headers that a small client sends besides its credential.
const FEW: [(&str, &str); 4] = [
    ("host", "gateway.example"),
    ("user-agent", "bridge/1.0"),
    ("accept", "*/*"),
    ("content-type", "application/json"),
];

/// The headers that an SDK behind a browser's proxy sends in addition.
const MORE: [(&str, &str); 15] = [
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "en-GB,en;q=0.9"),
    ("cache-control", "no-cache"),
    ("content-length", "2"),
    ("cookie", "theme=dark; locale=en-GB; seen=1"),
    ("x-request-id", "req_011CSHoEeqs5C35K2UUqR7Fy"),
    ("anthropic-version", "2023-06-01"),
    ("anthropic-beta", "prompt-caching-2024-07-31"),
    ("x-stainless-lang", "js"),
    ("x-stainless-package-version", "0.32.1"),
    ("x-stainless-os", "Linux"),
    ("x-stainless-arch", "x64"),
    ("x-stainless-runtime", "node"),
    ("x-stainless-runtime-version", "v22.4.0"),
    ("x-stainless-retry-count", "0"),
];

impl Head {
    /// Five headers, including the credential.
    pub fn of_5(credential: &Credential) -> Self {
        Self::of(&FEW, credential)
    }

    /// Twenty headers, including the credential.
    pub fn of_20(credential: &Credential) -> Self {
        Self::of(&[&FEW[..], &MORE].concat(), credential)
    }

    fn of(lines: &[(&'static str, &str)], credential: &Credential) -> Self {
        let mut lines: Vec<_> = lines.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        match credential {
            Credential::None => {}
            Credential::Bearer(token) => lines.push((AUTHORIZATION.as_str(), format!("Bearer {token}"))),
            Credential::Cookie(cookie) => {
                lines.retain(|(name, _)| *name != COOKIE.as_str());
                lines.push((COOKIE.as_str(), cookie.clone()));
            }
        }
        Self { lines, has_peer: false }
    }

    /// Adds the identity headers, with the values that a bridge was told to send.
    pub fn with_identity(mut self, user: &str, session: &str) -> Self {
        let lines = [
            ("x-user-id", user),
            ("x-session-id", session),
            ("x-trace-id", "4bf92f3577b34da6a3ce929d0e0e4736"),
            ("x-client-id", "sp_bridge"),
            ("x-policy-version", "unversioned"),
            ("x-call-source", "bridge"),
        ];
        self.lines.extend(lines.map(|(name, value)| (name, value.to_owned())));
        self
    }

    /// Adds the caller's trace.
    pub fn with_traceparent(mut self) -> Self {
        let value = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        self.lines.push(("traceparent", value.to_owned()));
        self
    }

    /// Adds what a server without a router mostly leaves in the extensions: the peer's address.
    pub fn with_peer(self) -> Self {
        Self { has_peer: true, ..self }
    }

    /// The bytes that go over the wire.
    pub fn text(&self) -> Vec<u8> {
        let lines = self.lines.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        format!("POST {PATH} HTTP/1.1\r\n{}\r\n", lines.collect::<String>()).into_bytes()
    }

    /// The parsed request, as hyper passes it on. The map has room for as many headers as were read. The path and each
    /// value are parts of the one buffer that was read. The extensions are empty, except for the peer.
    pub fn post(&self) -> Request<Body> {
        // The exact size. A growing buffer would leave random free blocks on the heap.
        let length = PATH.len() + self.lines.iter().map(|(_, value)| value.len()).sum::<usize>();
        let mut buffer = BytesMut::with_capacity(length);
        buffer.extend_from_slice(PATH.as_bytes());
        for (_, value) in &self.lines {
            buffer.extend_from_slice(value.as_bytes());
        }
        let buffer = buffer.freeze();
        let mut headers = HeaderMap::new();
        headers.reserve(self.lines.len());
        let mut start = PATH.len();
        for (name, value) in &self.lines {
            let end = start + value.len();
            let value = HeaderValue::from_maybe_shared(buffer.slice(start..end)).unwrap();
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
            start = end;
        }
        let uri = Uri::from_maybe_shared(buffer.slice(..PATH.len())).unwrap();
        let mut request = Request::post(uri).body(Body::from(Bytes::from_static(b"{}"))).unwrap();
        *request.headers_mut() = headers;
        if self.has_peer {
            request.extensions_mut().insert(SocketAddr::from(([192, 0, 2, 1], 50_000)));
        }
        request
    }
}

/// A request of five headers that costs little to make. In process, the time to make it is measured too.
pub fn post_of_5(name: &HeaderName, credential: &HeaderValue) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static(PATH);
    let headers = request.headers_mut();
    headers.reserve(FEW.len() + 1);
    for (name, (_, value)) in [HOST, USER_AGENT, ACCEPT, CONTENT_TYPE].into_iter().zip(FEW) {
        headers.append(name, HeaderValue::from_static(value));
    }
    headers.append(name, credential.clone());
    request
}
