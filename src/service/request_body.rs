//! Reads the body of a request: a small JSON object or a form.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use pin_project_lite::pin_project;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::answer::EndpointError;

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The bytes of a body, as they arrive.
type Arriving = UnsyncBoxBody<Bytes, BoxError>;

/// The body of a request, before it is read. At most [`LIMIT`](Self::LIMIT) bytes of it are read.
///
/// When this value is dropped, what was not read goes to its [`Rest`].
pub(super) struct RequestBody {
    /// `None`: it was read.
    sent: Option<Arriving>,
    rest: Option<oneshot::Sender<Arriving>>,
}

pin_project! {
    /// A body of any kind of data, as bytes. It keeps the declared length, which an endpoint judges before it reads.
    struct InBytes<B> {
        #[pin]
        body: B,
    }
}

impl<B: Body<Error: Into<BoxError>>> Body for InBytes<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let in_bytes = |mut data: B::Data| data.copy_to_bytes(data.remaining());
        self.project().body.poll_frame(cx).map_ok(|frame| frame.map_data(in_bytes)).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What an endpoint leaves of a body.
pub(super) struct Rest(oneshot::Receiver<Arriving>);

impl Rest {
    /// `None`: the body was read, or an endpoint still has it.
    pub(super) fn take(&mut self) -> Option<Arriving> {
        self.0.try_recv().ok()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some((sent, rest)) = self.sent.take().zip(self.rest.take()) {
            // Nobody takes it when the whole request was given up.
            let _ = rest.send(sent);
        }
    }
}

impl RequestBody {
    /// The most bytes that are read.
    const LIMIT: usize = 16 * 1024;

    pub(super) fn new<B>(body: B) -> (Self, Rest)
    where
        B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        let sent = InBytes { body }.boxed_unsync();
        let (rest, left) = oneshot::channel();
        (Self { sent: Some(sent), rest: Some(rest) }, Rest(left))
    }

    /// The JSON object in the body. `None`: there is no body. A member that may be missing must not be `null`: mark it with
    /// [`never_null`](crate::token::never_null).
    pub(super) async fn json<T: DeserializeOwned>(
        self,
        headers: &HeaderMap,
    ) -> Result<Option<T>, EndpointError> {
        let is_json = declares_json(headers);
        if is_json == Some(false) {
            return Err(UNSUPPORTED);
        }
        let bytes = self.read().await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        if is_json.is_none() {
            return Err(UNSUPPORTED);
        }
        // serde also reads an array as a struct, member by member. Only an object is accepted here.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(MALFORMED);
        }
        serde_json::from_slice(&bytes).map(Some).map_err(|_| MALFORMED)
    }

    /// The bytes of a form, not parsed yet (RFC 6749, appendix B).
    pub(super) async fn form(self, headers: &HeaderMap) -> Result<Bytes, EndpointError> {
        if declares_form(headers) { self.read().await } else { Err(NO_FORM) }
    }

    /// The text of a security event token (RFC 8935 §2.1).
    pub(super) async fn security_event(self, headers: &HeaderMap) -> Result<String, EndpointError> {
        let is_event =
            media_type(headers).is_some_and(|found| found.essence_str() == "application/secevent+jwt");
        if !is_event {
            return Err(NO_EVENT);
        }
        String::from_utf8(self.read().await?.into()).map_err(|_| MALFORMED_EVENT)
    }

    /// Whether it is known without reading that there is no body.
    pub(super) fn is_empty(&self) -> bool {
        self.sent.as_ref().is_none_or(Body::is_end_stream)
    }

    async fn read(mut self) -> Result<Bytes, EndpointError> {
        let Some(mut sent) = self.sent.take() else { return Ok(Bytes::new()) };
        let mut read = Vec::new();
        let mut is_too_large = sent.size_hint().lower() > Self::LIMIT as u64;
        while !is_too_large && let Some(frame) = sent.frame().await {
            let Ok(data) = frame.map_err(|_| MALFORMED)?.into_data() else { continue };
            is_too_large = read.len() + data.len() > Self::LIMIT;
            read.extend_from_slice(&data);
        }
        if is_too_large {
            self.sent = Some(sent);
            return Err(TOO_LARGE);
        }
        Ok(read.into())
    }
}

const TOO_LARGE: EndpointError = EndpointError::new(
    StatusCode::PAYLOAD_TOO_LARGE,
    "content_too_large",
    "The body is larger than 16 KiB. Send a smaller one.",
);
const UNSUPPORTED: EndpointError = EndpointError::new(
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    "unsupported_media_type",
    "Send the body as application/json.",
);
const MALFORMED: EndpointError = EndpointError::invalid_request(
    "The body is not a JSON object with the documented members. Leave a member out rather than send null.",
);

/// OAuth has only this code for it (RFC 6749 §5.2).
const NO_FORM: EndpointError = EndpointError::new(
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    "invalid_request",
    "Send the body as application/x-www-form-urlencoded, in UTF-8.",
);

/// RFC 8935 §2.4 has only this code for it.
const NO_EVENT: EndpointError = EndpointError::new(
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    "invalid_request",
    "Send the event as application/secevent+jwt.",
);
const MALFORMED_EVENT: EndpointError =
    EndpointError::invalid_request("The body is not a security event token.");

/// Whether `Content-Type` is JSON. `None`: there is no `Content-Type`.
fn declares_json(headers: &HeaderMap) -> Option<bool> {
    let is_json = |media_type: mime::Mime| media_type.essence_str() == "application/json";
    headers.contains_key(CONTENT_TYPE).then(|| media_type(headers).is_some_and(is_json))
}

/// Whether `Content-Type` is a form in UTF-8.
fn declares_form(headers: &HeaderMap) -> bool {
    media_type(headers).is_some_and(|media_type| {
        let is_utf8 = media_type.get_param(mime::CHARSET).is_none_or(|charset| charset == mime::UTF_8);
        media_type.essence_str() == "application/x-www-form-urlencoded" && is_utf8
    })
}

/// The media type in `Content-Type`. `None` when the header is missing, malformed or repeated.
fn media_type(headers: &HeaderMap) -> Option<mime::Mime> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() { None } else { value.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use http_body_util::{Full, StreamBody};
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Sent {
        a: String,
        b: Option<String>,
    }

    async fn read(
        content_type: Option<&'static str>,
        body: impl Into<Bytes>,
    ) -> Result<Option<Sent>, StatusCode> {
        let mut headers = HeaderMap::new();
        headers.extend(content_type.map(|value| (CONTENT_TYPE, HeaderValue::from_static(value))));
        let (body, _rest) = RequestBody::new(Full::new(body.into()));
        body.json(&headers).await.map_err(|refusal| refusal.status())
    }

    const JSON: Option<&str> = Some("application/json");

    #[tokio::test]
    async fn an_object_is_read_and_what_is_unknown_in_it_ignored() {
        let sent = Sent { a: "x".to_owned(), b: None };
        for content_type in ["application/json", "application/json; charset=utf-8", "Application/JSON"] {
            let read = read(Some(content_type), r#" {"z":[{}],"a":"x","z":1} "#).await;
            assert_eq!(read, Ok(Some(Sent { a: sent.a.clone(), b: None })), "{content_type}");
        }
        assert_eq!(read(None, "").await, Ok(None));
        assert_eq!(read(JSON, "").await, Ok(None));
    }

    #[tokio::test]
    async fn what_is_not_the_object_is_malformed() {
        for body in [
            r#"{"a":"x","a":"y"}"#,
            r#"{"a":"x","\u0061":"y"}"#,
            r#"["x"]"#,
            r#""x""#,
            r#"{"a":1}"#,
            r#"{"a":null}"#,
            r#"{"a":"x"}{}"#,
            r#"{"a":"x",}"#,
            "{\"a\":\"\u{0}\"}",
            "null",
            " ",
            "\u{feff}{\"a\":\"x\"}",
        ] {
            assert_eq!(read(JSON, body.to_owned()).await, Err(StatusCode::BAD_REQUEST), "{body:.40}");
        }
        let not_text = Bytes::from_static(b"{\"a\":\"\xff\"}");
        assert_eq!(read(JSON, not_text).await, Err(StatusCode::BAD_REQUEST));
    }

    #[tokio::test]
    async fn only_json_is_read() {
        for content_type in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/problem+json",
            "application/jsonx",
            "application/json, text/plain",
            "",
        ] {
            let status = Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
            assert_eq!(read(Some(content_type), r#"{"a":"x"}"#).await, status, "{content_type}");
        }
        assert_eq!(read(None, r#"{"a":"x"}"#).await, Err(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }

    #[tokio::test]
    async fn the_limit_holds_with_and_without_a_declared_length() {
        let body_of = |length: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(length - 8));
        assert!(read(JSON, body_of(RequestBody::LIMIT)).await.is_ok());
        let over = body_of(RequestBody::LIMIT + 1);
        assert_eq!(read(JSON, over.clone()).await, Err(StatusCode::PAYLOAD_TOO_LARGE));
        let chunks = over.into_bytes().chunks(1000).map(Bytes::copy_from_slice).collect::<Vec<_>>();
        let frames = chunks.into_iter().map(|chunk| Ok::<_, BoxError>(Frame::data(chunk)));
        let (body, _rest) = RequestBody::new(StreamBody::new(futures_util::stream::iter(frames)));
        let refusal = body.read().await.unwrap_err();
        assert_eq!(refusal.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes in any::<Vec<u8>>(), content_type in any::<Vec<u8>>()) {
            let mut headers = HeaderMap::new();
            headers.extend(HeaderValue::from_bytes(&content_type).ok().map(|value| (CONTENT_TYPE, value)));
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _ = runtime.block_on(RequestBody::new(Full::new(Bytes::from(bytes))).0.json::<Sent>(&headers));
        }
    }
}
