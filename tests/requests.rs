//! What of a request the endpoints take: which methods, which bodies.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream::iter;
use http::header::{CONTENT_TYPE, COOKIE};
use http::{Method, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::json;

use crate::support::gateway::{Answer, Gateway, PREFIX, send};
use crate::support::{Backend, SqliteBackend};

#[tokio::test]
async fn a_wrong_method_is_told_which_is_right() {
    let db = SqliteBackend::start().await;
    let gateway = Gateway::start(&db).await;
    let all = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
        Method::TRACE,
    ];
    for (path, allow) in [
        ("/code", "POST"),
        ("/session", "POST"),
        ("/oauth-client", "POST"),
        ("/capabilities", "GET, HEAD"),
        ("/sessions", "GET, HEAD"),
        ("/sessions/sess_0", "DELETE"),
        ("/logout", "POST"),
        ("/.well-known/jwks.json", "GET, HEAD"),
    ] {
        for method in &all {
            let request = gateway.request(method.clone(), &format!("{PREFIX}{path}"));
            let answer = send(request.header("x-http-method-override", "POST")).await;
            let is_allowed = allow.split(", ").any(|name| name == method.as_str());
            assert_eq!(
                answer.status == StatusCode::METHOD_NOT_ALLOWED,
                !is_allowed,
                "{method} {path} {answer:?}"
            );
            if !is_allowed {
                assert_eq!(answer.header("allow"), allow, "{method} {path}");
                assert!(answer.is_not_stored(), "{method} {path}");
            }
            if !is_allowed && *method != Method::HEAD {
                let as_told = match path {
                    "/session" => answer.is_oauth_error(405, "method_not_allowed"),
                    _ => answer.is_problem(405, "method_not_allowed"),
                };
                assert!(as_told, "{method} {path} {answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn head_tells_what_get_would() {
    let db = SqliteBackend::start().await;
    let gateway = Gateway::start(&db).await;
    for path in [format!("{PREFIX}/capabilities"), "/.well-known/jwks.json".to_owned()] {
        let get = send(gateway.request(Method::GET, &path)).await;
        let head = send(gateway.request(Method::HEAD, &path)).await;
        assert_eq!((head.status, &head.headers, head.body.len()), (get.status, &get.headers, 0));
        assert_eq!(head.header("content-length"), get.body.len().to_string());
    }
}

#[tokio::test]
async fn a_body_that_is_not_small_json_is_refused() {
    let db = SqliteBackend::start().await;
    let gateway = Gateway::start(&db).await;
    let huge = format!(r#"{{"code":"{}"}}"#, "a".repeat(16 * 1024));
    for endpoint in ["/code", "/session"] {
        let post = |content_type: &'static str, body: reqwest::Body| {
            let request = gateway.request(Method::POST, &format!("{PREFIX}{endpoint}")).body(body);
            send(request.header(COOKIE, "login=alice").header(CONTENT_TYPE, content_type))
        };
        let is_refused = match endpoint {
            "/session" => Answer::is_oauth_error,
            _ => Answer::is_problem,
        };
        let json = "application/json; charset=utf-8";
        let large = post(json, huge.clone().into()).await;
        assert!(is_refused(&large, 413, "content_too_large"), "{endpoint} {large:?}");
        let chunked = reqwest::Body::wrap(StreamBody::new(iter(frames_of(&huge))));
        let large = post(json, chunked).await;
        assert!(is_refused(&large, 413, "content_too_large"), "{endpoint} {large:?}");
        for content_type in
            ["text/plain", "application/x-www-form-urlencoded", "application/json, text/plain"]
        {
            let refused = post(content_type, "{}".into()).await;
            assert!(is_refused(&refused, 415, "unsupported_media_type"), "{endpoint} {refused:?}");
        }
        for malformed in
            ["{", "[]", "null", "\"code\"", "{\"code\":\"a\",\"code\":\"b\",\"code_challenge\":1}", "\0"]
        {
            let refused = post(json, malformed.into()).await;
            assert!(is_refused(&refused, 400, "invalid_request"), "{endpoint} {malformed:?} {refused:?}");
        }
    }
    let without_type = gateway.request(Method::POST, &format!("{PREFIX}/session")).body("{\"code\":\"a\"}");
    assert!(send(without_type).await.is_oauth_error(415, "unsupported_media_type"));
    let empty =
        send(gateway.request(Method::POST, &format!("{PREFIX}/session?code={}", "a".repeat(64)))).await;
    assert!(empty.is_oauth_error(400, "invalid_request"), "{empty:?}");
    for body in [
        json!({}),
        json!({ "code": 1 }),
        json!({ "code": null }),
        json!({ "code": ["a"] }),
        json!({ "code": {} }),
    ] {
        let refused = send(gateway.post("/session", &body)).await;
        assert!(refused.is_oauth_error(400, "invalid_request"), "{body} {refused:?}");
    }
}

/// `text` in pieces, of no declared length.
fn frames_of(text: &str) -> Vec<Result<Frame<Bytes>, Infallible>> {
    text.as_bytes().chunks(4000).map(|chunk| Ok(Frame::data(Bytes::copy_from_slice(chunk)))).collect()
}
