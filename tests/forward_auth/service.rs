//! The service by itself.

use bridge_auth::header::IDENTITY_HEADERS;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, StatusCode};

use super::Scene;
use crate::support::gateway::{Answer, send};

impl Scene {
    async fn ask(&self, path: &str, lines: &[(&str, &str)]) -> Answer {
        let request = self.gateway.request(Method::GET, path);
        let line =
            |request: reqwest::RequestBuilder, (name, value): &(&str, &str)| request.header(*name, *value);
        send(lines.iter().fold(request, line)).await
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.alice)
    }
}

/// Whether it says that alice calls.
fn says_alice(answer: &Answer) -> bool {
    let values = |name: &str| answer.headers.get_all(name).iter().count();
    answer.status == StatusCode::NO_CONTENT
        && answer.body.is_empty()
        && answer.header("cache-control") == "no-store"
        && IDENTITY_HEADERS.iter().all(|name| values(name.as_str()) == 1)
        && answer.header("x-user-id") == "alice"
        && answer.header("x-session-id").starts_with("sess_")
        && answer.header("x-client-id") == "sp_bridge"
        && answer.header("x-trace-id").len() == 32
}

/// Whether it refuses with this status and code, and names nobody.
fn refuses(answer: &Answer, status: u16, code: &str) -> bool {
    answer.is_problem(status, code)
        && answer.header("x-rejection-code") == code
        && answer.text("trace_id") == answer.header("x-trace-id")
        && !IDENTITY_HEADERS.iter().any(|name| name != "x-trace-id" && answer.headers.contains_key(name))
}

#[tokio::test]
async fn a_proxy_learns_who_calls_whatever_method_path_and_body_it_sends() {
    let scene = Scene::start().await;
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"] {
        for path in ["/auth", "/auth/", "/auth/v1/messages?x=1", "/auth-503"] {
            let request = scene.gateway.request(method.parse().unwrap(), path).bearer_auth(&scene.alice);
            let answer = send(request.body("a body")).await;
            assert!(says_alice(&answer), "{method} {path} {answer:?}");
            assert!(!answer.headers.contains_key("content-length"), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn only_204_401_and_403_are_answered() {
    let scene = Scene::start().await;
    let bearer = scene.bearer();
    let long = format!("Bearer {}", "a".repeat(9000));
    let bob = format!("Bearer {}", scene.bob);
    for (lines, status, code, challenge) in [
        (vec![], 401, "credential_required", "Bearer scope=\"chat\""),
        (
            vec![("authorization", "Bearer a.b.c")],
            401,
            "invalid_token",
            "Bearer error=\"invalid_token\", scope=\"chat\"",
        ),
        (vec![("authorization", "Bearer")], 401, "invalid_request", "Bearer error=\"invalid_request\""),
        (
            vec![("authorization", &*bearer), ("authorization", &*bob)],
            401,
            "invalid_request",
            "Bearer error=\"invalid_request\"",
        ),
        (vec![("authorization", &*long)], 401, "credential_too_large", "Bearer error=\"invalid_request\""),
        (
            vec![("authorization", &*bob)],
            403,
            "insufficient_scope",
            "Bearer error=\"insufficient_scope\", scope=\"chat\"",
        ),
        (
            vec![("authorization", &*bearer), ("x-session-id", "another")],
            401,
            "invalid_token",
            "Bearer error=\"invalid_token\", scope=\"chat\"",
        ),
    ] {
        for path in ["/auth", "/auth-503", "/auth/a/b"] {
            let answer = scene.ask(path, &lines).await;
            assert!(refuses(&answer, status, code), "{lines:?} {answer:?}");
            assert_eq!(answer.header("www-authenticate"), challenge, "{lines:?}");
        }
    }
    let both = scene.ask("/auth?access_token=x", &[("authorization", &bearer)]).await;
    assert!(refuses(&both, 401, "invalid_request"), "{both:?}");
}

#[tokio::test]
async fn a_fault_calls_no_token_bad() {
    let scene = Scene::start().await;
    scene.store.break_look_ups();
    for (path, status) in [("/auth", 403), ("/auth-503", 503)] {
        let answer = scene.ask(path, &[("authorization", &scene.bearer())]).await;
        assert!(refuses(&answer, status, "temporarily_unavailable"), "{answer:?}");
        assert_eq!(answer.header("retry-after"), "1");
        assert!(!answer.headers.contains_key("www-authenticate"), "{answer:?}");
    }
    scene.store.mend();
    assert!(says_alice(&scene.ask("/auth", &[("authorization", &scene.bearer())]).await));
}

#[tokio::test]
async fn a_session_that_was_revoked_does_not_pass() {
    let scene = Scene::start().await;
    let first = scene.ask("/auth", &[("authorization", &scene.bearer())]).await;
    assert!(says_alice(&first));
    scene.gateway.bridge.admin().revoke_user(&crate::support::bridge::user("alice")).await.unwrap();
    let answer = scene.ask("/auth", &[("authorization", &scene.bearer())]).await;
    assert!(refuses(&answer, 401, "invalid_token"), "{answer:?}");
}

#[tokio::test]
async fn attack_a_refused_grpc_call_is_no_yes() {
    let scene = Scene::start().await;
    for path in ["/auth", "/auth/package.Service/Method"] {
        let request = scene.gateway.request(Method::POST, path).header(CONTENT_TYPE, "application/grpc");
        let answer = send(request.header(AUTHORIZATION, "Bearer a.b.c").body("x")).await;
        assert!(refuses(&answer, 401, "invalid_token"), "{answer:?}");
    }
}

#[tokio::test]
async fn attack_a39_a40_nothing_that_names_another_request_decides() {
    let scene = Scene::start().await;
    for line in [
        ("x-original-uri", "/healthz"),
        ("x-original-url", "/public"),
        ("x-original-method", "OPTIONS"),
        ("x-forwarded-uri", "/.well-known/jwks.json"),
        ("x-forwarded-method", "OPTIONS"),
        ("x-forwarded-host", "localhost"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-rewrite-url", "/public"),
        ("x-http-method-override", "OPTIONS"),
        ("user-agent", "GoogleHC/1.0"),
        ("x-forwarded-access-token", "x"),
        ("x-auth-request-user", "admin"),
        ("x-user-id", "admin"),
        ("x_user_id", "admin"),
    ] {
        assert!(refuses(&scene.ask("/auth", &[line]).await, 401, "credential_required"), "{line:?}");
        let answer = scene.ask("/auth", &[line, ("authorization", &scene.bearer())]).await;
        assert!(says_alice(&answer), "{line:?} {answer:?}");
    }
}

#[tokio::test]
async fn attack_a35_an_anonymous_request_has_no_name_of_its_own_choice() {
    let scene = Scene::start().await;
    let spoofed: Vec<_> = IDENTITY_HEADERS.iter().map(|name| (name.as_str().to_owned(), "admin")).collect();
    let lines: Vec<_> = spoofed.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let answer = scene.ask("/auth-optional", &lines).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    for name in IDENTITY_HEADERS {
        let value = answer.headers.get(&name).expect("all six are sent, so that the proxy replaces all six");
        assert!(name == "x-trace-id" || value.is_empty(), "{name} {value:?}");
    }
    assert_eq!(answer.header("x-trace-id").len(), 32);
    assert!(says_alice(&scene.ask("/auth-optional", &[("authorization", &scene.bearer())]).await));
}
