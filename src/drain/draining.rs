//! What is drained, and what the answer says about it.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, EXPECT};
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use http_body::Body;

use super::answer_body::AnswerBody;
use super::limits::DrainLimits;
use super::unread::Unread;

/// What will happen to the body of one request, when the answer leaves some of it unread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draining {
    /// `None`: nothing is drained.
    limits: Option<DrainLimits>,
    /// Whether the answer must say it when the connection ends with it. HTTP/2 has other means.
    says_close: bool,
    /// Whether the client waits for a word before it sends the body.
    waits: bool,
}

impl Draining {
    pub(crate) fn of<B>(limits: DrainLimits, request: &Request<B>) -> Self {
        let headers = request.headers();
        let is_drained = !limits.are_off() && !is_grpc(headers);
        Self {
            limits: is_drained.then_some(limits),
            says_close: request.version() < Version::HTTP_2,
            waits: headers.contains_key(EXPECT),
        }
    }

    /// `response`, with what has to happen to the `rest` of the request's body. `None`: the body was read.
    pub(crate) fn answer<B>(self, response: Response<Bytes>, rest: Option<B>) -> Response<AnswerBody>
    where
        B: Body + Send + 'static,
    {
        let rest = rest.filter(|rest| !rest.is_end_stream());
        let Some((limits, rest)) = self.limits.zip(rest) else {
            return response.map(AnswerBody::whole);
        };
        let is_too_long = rest.size_hint().lower() > limits.bytes;
        let (mut head, bytes) = response.into_parts();
        if self.says_close && (self.waits || is_too_long) {
            say_close(&mut head.headers);
        }
        Response::from_parts(head, AnswerBody::new(bytes, Unread::of(rest, limits)))
    }
}

/// Whether it is a gRPC call. Its client reads the answer while it sends, and may hold the call open for as long as it
/// lives: so the server has to end it.
fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        let start = value.as_bytes().get(..GRPC.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(GRPC))
    })
}

const GRPC: &[u8] = b"application/grpc";

/// Tells the client that the connection ends with this answer.
///
/// A client that waited may send its body or leave it out. So what comes next on the connection could be either a body
/// or a request. A client whose body is longer than what is drained can stop sending at once.
fn say_close(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
}
