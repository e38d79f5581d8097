//! Rejections in the form of gRPC: a gRPC client reads the gRPC status, not the HTTP status.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use mime::Mime;

use super::stream_end::StreamEnded;
use crate::rejection::Rejection;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_RETRY_PUSHBACK_MS: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// The media type of the call, when it is a call of gRPC or gRPC-Web.
///
/// Such a call is always a `POST`. Some proxies ask with a `GET` whether to let a request through, and send the headers
/// of that request. Such a proxy would take the status 200 of a gRPC rejection for a yes.
pub(super) fn call_type<'h>(
    method: &Method,
    content_type: Option<&'h HeaderValue>,
) -> Option<&'h HeaderValue> {
    if method != Method::POST {
        return None;
    }
    content_type.filter(|value| is_one_of(value, &["grpc", "grpc-web", "grpc-web-text"]))
}

/// Whether HTTP trailers end an answer with this head. gRPC-Web puts its trailers into the body.
pub(super) fn ends_with_trailers(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| is_one_of(value, &["grpc"]))
}

fn is_one_of(content_type: &HeaderValue, subtypes: &[&str]) -> bool {
    let media_type = content_type.to_str().ok().and_then(|text| text.parse::<Mime>().ok());
    media_type.is_some_and(|media_type| {
        media_type.type_() == mime::APPLICATION && subtypes.contains(&media_type.subtype().as_str())
    })
}

/// The same rejection with the gRPC status in the head and no body (*Trailers-Only* in gRPC).
///
/// The challenge and all other headers stay.
pub(super) fn to_status(
    refusal: Response<Bytes>,
    rejection: &Rejection,
    call: HeaderValue,
) -> Response<Bytes> {
    let mut status = refusal.map(|_| Bytes::new());
    *status.status_mut() = StatusCode::OK;
    let headers = status.headers_mut();
    headers.insert(CONTENT_TYPE, call);
    headers.insert(GRPC_STATUS, HeaderValue::from_static(code(rejection)));
    headers.insert(GRPC_MESSAGE, HeaderValue::from_static(rejection.detail()));
    if let Some(seconds) = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse::<u64>().ok())
    {
        // The call has not begun. So a client may try it again, whatever the call does.
        headers.insert(GRPC_RETRY_PUSHBACK_MS, HeaderValue::from(seconds.saturating_mul(1000)));
    }
    status
}

/// The trailers of an answer that ends early.
///
/// A client that calls again learns whether the session has ended, or whether only the proof is missing.
pub(super) fn stream_ended(why: StreamEnded) -> HeaderMap {
    let (status, message) = match why {
        StreamEnded::Session => {
            ("14", "It is no longer proven that the session of this stream is live. Call again.")
        }
        StreamEnded::Token => {
            ("16", "The access token of this stream has expired. Call again with a new one.")
        }
    };
    HeaderMap::from_iter([
        (GRPC_STATUS, HeaderValue::from_static(status)),
        (GRPC_MESSAGE, HeaderValue::from_static(message)),
    ])
}

/// The gRPC status code. The table of [`Rejection`] lists it.
fn code(rejection: &Rejection) -> &'static str {
    match rejection {
        Rejection::InvalidRequest(_) => "3",
        Rejection::InsufficientScope { .. }
        | Rejection::CallerKind { .. }
        | Rejection::ExternalCaller { .. }
        | Rejection::CrossSite => "7",
        Rejection::CredentialTooLarge => "8",
        Rejection::Unavailable(_) | Rejection::IssuerUnavailable => "14",
        Rejection::NoCredential | Rejection::InvalidCredential(_) => "16",
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use http::header::{CACHE_CONTROL, WWW_AUTHENTICATE};

    use super::*;
    use crate::caller::CallerKind;
    use crate::header::Head;
    use crate::id::{Scopes, Trace};
    use crate::rejection::{Challenge, InvalidCredential, MalformedCredential, ProblemJson};
    use crate::store::StoreErrorKind;
    use crate::telemetry::RefusedRequest;

    fn is_call(content_type: &'static str) -> bool {
        call_type(&Method::POST, Some(&HeaderValue::from_static(content_type))).is_some()
    }

    fn refuse(rejection: &Rejection) -> Response<Bytes> {
        let refusal = crate::rejection::RejectionFormat {
            challenge: Challenge::default(),
            body: std::sync::Arc::new(ProblemJson),
            request_log: std::sync::Arc::default(),
        };
        let request = Request::new(());
        let trace = Trace::of(&Head::of(request.headers(), &[])).0;
        let refusal = refusal.refuse(RefusedRequest::of(&request), rejection.clone().into(), &trace);
        to_status(refusal, rejection, HeaderValue::from_static("application/grpc+proto"))
    }

    #[test]
    fn a_call_is_known_by_its_content_type() {
        let calls = [
            "application/grpc",
            "application/grpc+proto",
            "Application/gRPC+json; charset=utf-8",
            "application/grpc-web+proto",
            "application/grpc-web-text",
        ];
        assert!(calls.into_iter().all(is_call));
        let others = ["application/json", "application/grpcx", "text/grpc", "application/x-grpc", "grpc", ""];
        assert!(!others.into_iter().any(is_call));
        assert_eq!(call_type(&Method::POST, None), None);
        assert_eq!(call_type(&Method::GET, Some(&HeaderValue::from_static(calls[0]))), None);
    }

    #[test]
    fn every_refusal_has_its_code_and_a_message_that_needs_no_encoding() {
        let scopes = Scopes::default();
        let all = [
            (Rejection::InvalidRequest(MalformedCredential::Repeated), "3"),
            (Rejection::InsufficientScope { required: scopes.clone() }, "7"),
            (Rejection::CallerKind { found: CallerKind::User, required: scopes }, "7"),
            (Rejection::CrossSite, "7"),
            (Rejection::CredentialTooLarge, "8"),
            (Rejection::Unavailable(StoreErrorKind::TimedOut), "14"),
            (Rejection::IssuerUnavailable, "14"),
            (Rejection::NoCredential, "16"),
            (Rejection::InvalidCredential(InvalidCredential::SessionRevoked), "16"),
        ];
        for (rejection, code) in all {
            let status = refuse(&rejection);
            assert_eq!(status.headers()[GRPC_STATUS], code, "{rejection:?}");
            let message = status.headers()[GRPC_MESSAGE].to_str().unwrap();
            assert!(message.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'%'), "{message}");
            assert_eq!(status.extensions().get::<Rejection>(), Some(&rejection));
        }
    }

    #[test]
    fn the_status_is_in_the_head_and_the_challenge_stays() {
        let status = refuse(&Rejection::NoCredential);
        assert_eq!(status.status(), 200);
        assert!(status.body().is_empty());
        assert_eq!(status.headers()[CONTENT_TYPE], "application/grpc+proto");
        assert_eq!(status.headers()[WWW_AUTHENTICATE], "Bearer");
        assert_eq!(status.headers()[CACHE_CONTROL], "no-store");
        assert!(!status.headers().contains_key(GRPC_RETRY_PUSHBACK_MS));
    }

    #[test]
    fn a_client_is_told_when_to_try_again() {
        let status = refuse(&Rejection::Unavailable(StoreErrorKind::Unavailable));
        assert_eq!(status.headers()[RETRY_AFTER], "1");
        assert_eq!(status.headers()[GRPC_RETRY_PUSHBACK_MS], "1000");
    }
}
