//! Requests as a server would read them from a socket.

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::Full;

/// The request that a server of HTTP/1.1 hands to its service for these bytes. `None`: it would refuse them itself.
///
/// `filled_in` says what stands for each placeholder, such as a live token for `{token}`. So readable seeds get behind
/// the signature.
pub fn request(bytes: &[u8], filled_in: &[(&str, &str)]) -> Option<Request<Full<Bytes>>> {
    let end = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .map(|at| at + 4)
        .or_else(|| bytes.windows(2).position(|two| two == b"\n\n").map(|at| at + 2))?;
    let head = fill(&bytes[..end], filled_in);
    let body = fill(&bytes[end..], filled_in);
    let mut lines = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut lines);
    if !parsed.parse(&head).ok()?.is_complete() {
        return None;
    }
    let mut request = Request::builder().method(parsed.method?).uri(parsed.path?);
    for line in parsed.headers.iter() {
        request = request.header(line.name, line.value);
    }
    request.body(Full::from(body)).ok()
}

fn fill(bytes: &[u8], filled_in: &[(&str, &str)]) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(bytes) else { return bytes.to_vec() };
    let filled = filled_in.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
    filled.into_bytes()
}

/// Fails when an answer is not what a well-kept gateway may say to a stranger.
pub fn answer_is_sound<B>(answer: &Response<B>) {
    let status = answer.status();
    assert!(
        !status.is_server_error() || status == 501,
        "a caller's bytes are no fault of the gateway: {status}"
    );
    if status == 401 {
        assert!(
            answer.headers().contains_key("www-authenticate"),
            "a 401 has a challenge (RFC 9110 §15.5.2)"
        );
    }
    if status == 405 {
        assert!(answer.headers().contains_key("allow"), "a 405 says what is allowed (RFC 9110 §15.5.6)");
    }
    no_line_is_split(answer.headers());
}

fn no_line_is_split(headers: &HeaderMap) {
    for value in headers.values() {
        assert!(!value.as_bytes().iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)), "{headers:?}");
    }
}
