//! Requests as a hostile client makes them: bytes on a socket, and many at once over HTTP/2.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::DATE;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::gateway::Answer;

/// Longer than any answer takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// What comes back, as text, on a connection of its own for these bytes, until the server closes it.
pub async fn raw(address: SocketAddr, request: &[u8]) -> String {
    String::from_utf8(raw_bytes(address, request).await).unwrap()
}

/// What comes back on a connection of its own for these bytes, until the server closes it.
///
/// A server that answers early may reset the connection with bytes of the request unread: what came until
/// then is the answer.
pub async fn raw_bytes(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let (mut reading, mut writing) = TcpStream::connect(address).await.unwrap().into_split();
    let exchange = async {
        let write = async {
            let _ = writing.write_all(request).await;
        };
        let read = async {
            let mut answer = Vec::new();
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = reading.read(&mut chunk).await {
                answer.extend_from_slice(&chunk[..length]);
            }
            answer
        };
        tokio::join!(write, read).1
    };
    timeout(PATIENCE, exchange).await.expect("the server answers and closes")
}

/// The status of [`raw`] for a `GET` of `path` with these header lines.
pub async fn raw_get(address: SocketAddr, path: &str, lines: impl AsRef<[u8]>) -> (u16, String) {
    let head = format!("GET {path} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n");
    let answer = raw(address, &[head.as_bytes(), lines.as_ref(), b"\r\n"].concat()).await;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("no status: {answer:?}")), answer)
}

/// One HTTP/2 connection without TLS; clones share it.
#[derive(Clone)]
pub struct Http2(SendRequest<Empty<Bytes>>);

impl Http2 {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    /// Sends a request without a body. `Date` is the clock's, not the answer's.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let request = Request::builder().method(method).uri(format!("http://gateway{path}"));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = request.body(Empty::new()).unwrap();
        let answer = timeout(PATIENCE, self.0.clone().send_request(request)).await.unwrap().unwrap();
        let (status, mut headers): (StatusCode, HeaderMap) = (answer.status(), answer.headers().clone());
        headers.remove(DATE);
        Answer { status, headers, body: answer.into_body().collect().await.unwrap().to_bytes() }
    }
}

/// Frames of HTTP/2 as they stand on the wire (RFC 9113), well-formed or not.
pub mod h2 {
    use std::net::SocketAddr;

    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    const SETTINGS: u8 = 4;
    pub const GOAWAY: u8 = 7;
    pub const CONTINUATION: u8 = 9;
    const END_STREAM: u8 = 1;
    pub const END_HEADERS: u8 = 4;

    pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    /// A `GET` of `path` with these fields more.
    pub fn get(stream: u32, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
        // From the static table of RFC 7541: the method, the scheme, and the names `:path` and `:authority`.
        let mut block = [&[0x82, 0x86, 0x04][..], &literal(path), &[0x01], &literal("gateway")].concat();
        more.iter().for_each(|(name, value)| block.extend(field(name, value)));
        frame(HEADERS, END_STREAM | END_HEADERS, stream, &block)
    }

    /// The frame of [`get`], its head to be continued.
    pub fn unended(mut head: Vec<u8>) -> Vec<u8> {
        head[4] = END_STREAM;
        head
    }

    /// A field that goes into no table.
    pub fn field(name: &str, value: &str) -> Vec<u8> {
        [&[0], &*literal(name), &literal(value)].concat()
    }

    pub fn cancel(stream: u32) -> Vec<u8> {
        frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])
    }

    /// The kinds of the frames that the server answers these with, on a connection that the client would then close.
    pub async fn answers(address: SocketAddr, sent: &[u8]) -> Vec<u8> {
        let preface = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &*frame(SETTINGS, 0, 0, &[])].concat();
        // Once it has answered, the server closes a connection that the client is done with (§6.8).
        let bytes =
            super::raw_bytes(address, &[&preface, sent, &frame(GOAWAY, 0, 0, &[0; 8])].concat()).await;
        let (mut kinds, mut rest) = (Vec::new(), &bytes[..]);
        while let [a, b, c, kind, _, _, _, _, _, payload @ ..] = rest {
            kinds.push(*kind);
            let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            rest = payload.get(length..).unwrap_or_default();
        }
        kinds
    }

    fn literal(text: &str) -> Vec<u8> {
        [&[u8::try_from(text.len()).ok().filter(|length| *length < 127).unwrap()], text.as_bytes()].concat()
    }
}
